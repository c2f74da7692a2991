"""The audit log of the running service."""

import hashlib
import json
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from reappear.remote import KeyFile, Refused, Remote, Url
from service.store.whole_file import whole_file

app = typer.Typer(help="The audit log of the running service.", no_args_is_help=True)

ENTRIES_AT_ONCE = 500


@dataclass(frozen=True, slots=True)
class Page:
    """Some entries, and the cursor of what follows."""

    entries: list[dict[str, Any]]
    next: str


@dataclass(frozen=True, slots=True)
class Rotated:
    """The numbers of the entries that were removed, and how many they were."""

    first: int
    last: int
    entries: int


@app.callback()
def audit() -> None:
    """Who did what to whom and when."""


@app.command()
def export(
    file: Annotated[Path | None, typer.Argument(help="A new file; the screen where left out.")] = None,
    after: Annotated[str, typer.Option(help="The cursor an earlier export ended with.")] = "",
    url: Url = "",
    key_file: KeyFile = None,
) -> None:
    """Write the log as JSON, one entry a line, and tell the cursor to go on from next time.

    [bold]Example:[/] reappear audit export audit-2026-05.jsonl
    """
    remote = Remote(url, key_file)
    if file is None:
        count, after = _read_all(remote, after, print)
    elif file.exists():
        raise Refused(f"{file} exists already; name another file")
    else:
        with whole_file(file, overwrite=False) as out:
            count, after = _read_all(remote, after, lambda line: out.write(f"{line}\n".encode()))
    print(f"{count} entries; go on with --after {after}", file=sys.stderr)


@app.command()
def rotate(
    file: Annotated[Path, typer.Argument(help="A new file, or what an earlier run that was killed left there.")],
    url: Url = "",
    key_file: KeyFile = None,
) -> None:
    """Begin a new log: write all entries to a file as `export` does, and then remove them from the database. An entry
    stays that says who did it, when, which entries they were and the file's SHA-256, which is printed. Killed at any
    moment nothing is lost: run it again with the same file.

    [bold]Example:[/] reappear audit rotate /archive/audit-2026-05.jsonl
    """
    remote = Remote(url, key_file)
    if not file.exists():
        with whole_file(file, overwrite=False) as out:
            count, _ = _read_all(remote, "", lambda line: out.write(f"{line}\n".encode()))
            if not count:
                raise Refused("the audit log is empty")
    with file.open("rb") as written:
        count = sum(1 for _ in written)
        written.seek(0)
        sha256 = hashlib.file_digest(written, "sha256").hexdigest()
    wanted = {"entries": count, "sha256": sha256, "file": file.name}
    done = remote.ask("POST", "/audit/rotation", Rotated, json=wanted, timeout_s=None)
    print(f"entries {done.first} to {done.last} ({done.entries}) are in the file and no longer in the database")
    print(f"{sha256}  {file}")


def _read_all(remote: Remote, after: str, write: Callable[[str], object]) -> tuple[int, str]:
    """Hand on each entry after a cursor as a line; returns how many there were, and the next cursor."""
    count = 0
    while True:
        page = remote.ask("GET", "/audit", Page, params={"limit": ENTRIES_AT_ONCE, "cursor": after})
        for entry in page.entries:
            write(json.dumps(entry, ensure_ascii=False))
        after, count = page.next, count + len(page.entries)
        if len(page.entries) < ENTRIES_AT_ONCE:
            return count, after
