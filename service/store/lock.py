"""One process owns a data folder at a time."""

import fcntl
import os
import time
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import IO

from service.errors import FolderInUse, FolderRefused
from service.store.folder import sync_folder
from service.store.whole_file import whole_file

LOCK_FILE = "lock"
OWNER_FILE = "database-uuid"


class FolderLock:
    """Held from construction to `release`, or to the end of the process however it ends. `last_used` is when the holder
    before noted last that it used the folder, by the machine's clock; None where there was none."""

    def __init__(self, folder: Path) -> None:
        """Raises FolderRefused where the folder cannot be written, FolderInUse where another process holds it."""
        self._folder = folder
        try:
            missing = [one for one in (folder, *folder.parents) if not one.exists()]
            folder.mkdir(parents=True, exist_ok=True)
            for made in missing:
                sync_folder(made.parent)
            self.last_used = _changed_at(folder / LOCK_FILE)
            self._file: IO[str] = (folder / LOCK_FILE).open("a")
        except OSError as error:
            raise FolderRefused(
                f"{folder} cannot be written ({error.strerror}); set REAPPEAR_DATA_DIR to a folder this user may write"
            ) from error
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            self._file.close()
            raise FolderInUse(
                f"{folder} is in use by another process; stop it, or set another REAPPEAR_DATA_DIR"
            ) from error

    @property
    def owner(self) -> str | None:
        """The database whose pictures the folder holds, if any claimed it."""
        path = self._folder / OWNER_FILE
        return path.read_text() if path.exists() else None

    def disown(self) -> None:
        """Let whichever database comes next claim the folder: a restore is about to give it another."""
        (self._folder / OWNER_FILE).unlink(missing_ok=True)
        sync_folder(self._folder)

    def claim_for(self, database: str) -> None:
        """Bind the folder to a database. Raises FolderRefused where it holds the pictures of another."""
        path = self._folder / OWNER_FILE
        if not path.exists():
            with whole_file(path, overwrite=True) as file:
                file.write(database.encode())
        elif self.owner != database:
            raise FolderRefused(
                f"{self._folder} holds the pictures of another database; "
                "set REAPPEAR_DATABASE_URL to that one, or REAPPEAR_DATA_DIR to another folder"
            )

    def note_use(self) -> None:
        """Let the next holder know that the folder was in use now: `last_used`. Nothing where the disk refuses."""
        now = time.time()
        with suppress(OSError):
            os.utime(self._file.fileno(), (now, now))

    def release(self) -> None:
        """Let the next process in."""
        self._file.close()


def _changed_at(path: Path) -> datetime | None:
    return datetime.fromtimestamp(path.stat().st_mtime, UTC) if path.exists() else None
