"""What has had its time, and goes."""

from dataclasses import astuple, dataclass
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from reappear.remote import TIMEOUT_S, KeyFile, Remote, Url


@dataclass(frozen=True, slots=True)
class Gone:
    """How much of a collection goes."""

    collection: str
    crops: int
    identities: int


@dataclass(frozen=True, slots=True)
class Due:
    """What has had its time at a moment."""

    at: str
    collections: list[Gone]


def retention(
    apply: Annotated[bool, typer.Option("--apply", help="Remove it now; the service does within a minute.")] = False,
    at: Annotated[
        str | None, typer.Option(help="A moment to come, ISO 8601 with a time zone; now if left out.")
    ] = None,
    url: Url = "",
    key_file: KeyFile = None,
) -> None:
    """Show what retention removes (a dry run), or remove it now.

    [bold]Example:[/] reappear retention --at 2027-01-01T00:00:00Z
    """
    if apply and at is not None:
        raise typer.BadParameter("--at is for the dry run; leave it out with --apply")
    moment = {} if at is None else {"at": at}
    method, timeout_s = ("POST", None) if apply else ("GET", TIMEOUT_S)
    found = Remote(url, key_file).ask(method, "/retention", Due, params=moment, timeout_s=timeout_s)
    table = Table("collection", "crops", "identities", title=f"{'removed' if apply else 'goes'} at {found.at}")
    for one in found.collections:
        table.add_row(*map(str, astuple(one)))
    Console(soft_wrap=True, markup=False).print(
        table if found.collections else f"nothing has had its time at {found.at}"
    )
