"""Run the service, and bring its database up to date."""

from typing import Annotated

import typer

from service.__main__ import run
from service.config import read_settings
from service.db.schema import bring_up_to_date, is_current
from service.errors import FolderInUse
from service.store.lock import FolderLock


def serve(
    migrate: Annotated[bool, typer.Option(help="Bring the database to this version's revision first.")] = False,
) -> None:
    """Run the service until it is told to stop. Settings are REAPPEAR_ variables; the README lists them.

    [bold]Example:[/] REAPPEAR_DATA_DIR=/srv/reappear reappear serve --migrate
    """
    raise typer.Exit(run(read_settings(), migrate=migrate))


def migrate() -> None:
    """Bring the database to this version's revision, while no service runs. Where it is there already, nothing is done.

    [bold]Example:[/] reappear migrate && reappear serve
    """
    settings = read_settings()
    try:
        lock = FolderLock(settings.data_dir)
    except FolderInUse:
        if not is_current(settings.url):
            raise
        print("the database is at this version's revision already")
        return
    try:
        bring_up_to_date(settings.url, lock.owner)
    finally:
        lock.release()
    print("the database is at this version's revision")
