"""`python -m tests.faults.careless BREACH`: a service that breaks one of its promises to the disk, to prove that the
simulated losses of power notice."""

import sys
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, event

from service import __main__
from service.db import database
from service.store import folder
from service.store.folder import STAGING, FolderStore


def _commit_with(synchronous: str) -> None:
    make_engine = database.make_engine

    def make(*arguments: Any, **options: Any) -> Engine:
        made = make_engine(*arguments, **options)

        @event.listens_for(made, "connect")
        def _relax(connection: Any, record: object) -> None:
            connection.execute(f"PRAGMA synchronous={synchronous}")

        return made

    database.make_engine = make


def _write_without_sync(store: FolderStore, name: str, picture: bytes) -> None:
    (store._root / STAGING / name).write_bytes(picture)


def _unlink_without_sync(store: FolderStore, names: list[str]) -> None:
    for name in names:
        store._place(name).unlink(missing_ok=True)


def _no_sync(path: Path) -> None:
    pass


BREACHES = {
    "commits are never synced": lambda: _commit_with("OFF"),
    "commits are synced now and then": lambda: _commit_with("NORMAL"),
    "pictures are not synced": lambda: setattr(FolderStore, "_write", _write_without_sync),
    "names of pictures are not synced": lambda: setattr(folder, "sync_folder", _no_sync),
    "removals of pictures are not synced": lambda: setattr(FolderStore, "unlink", _unlink_without_sync),
}


if __name__ == "__main__":
    BREACHES[sys.argv[1]]()
    sys.argv = ["service", "--migrate"]
    sys.exit(__main__.main())
