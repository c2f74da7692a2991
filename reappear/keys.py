"""API keys of the running service: make, list and revoke them."""

import re
from dataclasses import astuple, dataclass, fields
from datetime import UTC, datetime, timedelta
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Column, Table

from reappear.remote import KeyFile, Remote, Url
from service.domain import Scope

app = typer.Typer(help="API keys of the running service: make, list and revoke them.", no_args_is_help=True)

KEY_ID = re.compile(r"[0-9a-f]{12}")
MOST_DAYS = 1_000_000  # a moment ends with the year 9999


@dataclass(frozen=True, slots=True)
class Key:
    """What the service tells of a key, as it is shown."""

    id: str
    name: str
    scope: str
    collection: str | None
    created_at: str
    expires_at: str | None
    revoked_at: str | None


@dataclass(frozen=True, slots=True)
class Keys:
    """All of them."""

    keys: list[Key]


@dataclass(frozen=True, slots=True)
class MadeKey:
    """A new key, and what its holder sends."""

    id: str
    token: str


def _key_id(text: str) -> str:
    """It becomes part of a path, in which anything else could name something else."""
    if not KEY_ID.fullmatch(text):
        raise typer.BadParameter("a key's id is 12 digits of 0-9 and a-f, as `reappear keys list` shows it")
    return text


@app.command()
def create(
    name: Annotated[str, typer.Argument(help="Who will hold it, such as 'tracker, hall 3'.")],
    scope: Annotated[Scope, typer.Option(help="read: query and look. write: also enrol and remove. admin: all.")],
    collection: Annotated[str | None, typer.Option(help="The only collection it opens.")] = None,
    expires_days: Annotated[
        int | None, typer.Option(min=1, max=MOST_DAYS, help="Days until it opens nothing any more.")
    ] = None,
    reads_per_minute: Annotated[int | None, typer.Option(min=0, help="Its own share of reads.")] = None,
    writes_per_minute: Annotated[int | None, typer.Option(min=0, help="Its own share of writes.")] = None,
    url: Url = "",
    key_file: KeyFile = None,
) -> None:
    """Make a key and print its token, which is shown this once.

    [bold]Example:[/] reappear keys create 'tracker, hall 3' --scope write --collection warehouse --expires-days 365
    """
    expires_at = None if expires_days is None else (datetime.now(UTC) + timedelta(days=expires_days)).isoformat()
    wanted = {
        "name": name, "scope": scope.value, "collection": collection, "expires_at": expires_at,
        "reads_per_minute": reads_per_minute, "writes_per_minute": writes_per_minute,
    }  # fmt: skip
    sent = {field: value for field, value in wanted.items() if value is not None}
    made = Remote(url, key_file).ask("POST", "/keys", MadeKey, json=sent)
    Console(stderr=True, markup=False).print(
        f"key {made.id} for {name!r}; its token is shown this once:", highlight=False
    )
    print(made.token)


@app.command("list")
def list_keys(url: Url = "", key_file: KeyFile = None) -> None:
    """List all keys, revoked and expired ones included.

    [bold]Example:[/] reappear keys list
    """
    shown = [field.name for field in fields(Key)]
    table = Table(*(Column(name, overflow="fold", no_wrap=name in ("id", "scope")) for name in shown))
    for key in Remote(url, key_file).ask("GET", "/keys", Keys).keys:
        table.add_row(*(value or "" for value in astuple(key)))
    Console(soft_wrap=True, markup=False).print(table)


@app.command()
def revoke(
    key: Annotated[str, typer.Argument(callback=_key_id, help="The id of the key, the part after rk_.")],
    url: Url = "",
    key_file: KeyFile = None,
) -> None:
    """Revoke a key: it opens nothing from now on.

    [bold]Example:[/] reappear keys revoke 0f3c9a2b7d04
    """
    revoked = Remote(url, key_file).ask("DELETE", f"/keys/{key}", Key)
    print(f"key {revoked.id} of {revoked.name!r} opens nothing any more")
