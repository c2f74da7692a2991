"""The audit log of the running service."""

import json
import sys
from contextlib import nullcontext
from pathlib import Path
from typing import Annotated

import typer

from reappear.remote import KeyFile, Remote, Url

app = typer.Typer(help="The audit log of the running service.", no_args_is_help=True)

ENTRIES_AT_ONCE = 500


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
    remote, count = Remote(url, key_file), 0
    out = sys.stdout if file is None else file.open("x")
    with nullcontext() if file is None else out:
        while True:
            page = remote.ask("GET", "/audit", params={"limit": ENTRIES_AT_ONCE, "cursor": after})
            for entry in page["entries"]:
                print(json.dumps(entry, ensure_ascii=False), file=out)
            after, count = page["next"], count + len(page["entries"])
            if len(page["entries"]) < ENTRIES_AT_ONCE:
                break
    print(f"{count} entries; go on with --after {after}", file=sys.stderr)
