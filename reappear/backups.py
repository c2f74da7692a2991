"""Take a backup while the service serves, and restore one while it does not."""

import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TaskID, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bars

from service.config import read_settings
from service.flows.backup import Progress, back_up
from service.flows.restore import restore as put_back
from service.store.tombstones import TOMBSTONE_FILE

TERMINATED = 128 + signal.SIGTERM


def backup(
    file: Annotated[Path, typer.Argument(help="A new file on a disk with room for all pictures and vectors.")],
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the file if it is there.")] = False,
) -> None:
    """Write database, pictures, settings and the names of models to one file, while the service serves or not. It holds
    people's pictures and is readable by its owner only; keep it so. Secrets of settings are not in it.

    [bold]Example:[/] reappear backup /backups/2026-05-01.tar
    """
    settings = read_settings()
    with _progress() as progress:
        done = back_up(
            file, database_url=settings.url, data_dir=settings.data_dir, overwrite=overwrite, progress=progress,
            settings=settings.model_dump(mode="json", exclude={"database_url"}),
        )  # fmt: skip
    print(
        f"{file}: {done.identities} identities, {done.crops} crops, {done.pictures} pictures, "
        f"{done.size_bytes / 1e6:.1f} MB, as of generation {done.generation}"
    )


def restore(
    file: Annotated[Path, typer.Argument(help="A backup of this version or an older one.")],
    tombstones: Annotated[
        list[Path] | None,
        typer.Option(
            help="erasures.jsonl of the lost data folder: who was erased since the backup stays so. Repeatable."
        ),
    ] = None,
    replace: Annotated[bool, typer.Option("--replace", help="Remove the people who are in the database.")] = False,
) -> None:
    """Check a backup and put it into the database and data folder of the settings, while no service runs there. The
    database may be of the other kind. Its audit log is kept; its keys are replaced by those of the backup.

    [bold]Example:[/] reappear restore /backups/2026-05-01.tar --tombstones /old/data/erasures.jsonl
    """
    settings = read_settings()
    with _progress() as progress:
        done = put_back(
            file, database_url=settings.url, data_dir=settings.data_dir, tombstones=tombstones or (), replace=replace,
            progress=progress,
        )  # fmt: skip
    own = settings.data_dir / TOMBSTONE_FILE
    asked = {file.resolve() for file in (own, *(tombstones or ()))}
    aside = settings.data_dir.glob(f"{own.stem}*{own.suffix}")
    if left := sorted({file.resolve() for file in aside} - asked):
        print(
            f"whoever only {' and '.join(map(str, left))} knows to be erased is back; to leave them out restore again, "
            "with --tombstones FILE for each", file=sys.stderr,
        )  # fmt: skip
    print(
        f"restored {done.identities} identities, {done.crops} crops; left out {done.erased_crops} crops that were "
        f"erased since; epoch {done.epoch}, generation {done.generation}. `reappear serve` starts the service"
    )


@contextmanager
def _progress() -> Iterator[Progress]:
    """A bar for each thing that is counted, on a terminal only. Told to end, the block still cleans up."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(TERMINATED))
    columns = TextColumn("{task.description:>16}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
    tasks: dict[str, TaskID] = {}
    with Bars(*columns, console=Console(stderr=True), disable=not sys.stderr.isatty()) as bars:

        def show(done: int, total: int, what: str) -> None:
            if what not in tasks:
                tasks[what] = bars.add_task(what)
            bars.update(tasks[what], completed=done, total=total)

        yield show
