"""A file that is there whole or not at all."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from service.errors import FileRefused
from service.store.folder import sync_folder


@contextmanager
def whole_file(path: Path, *, overwrite: bool) -> Iterator[IO[bytes]]:
    """A seekable file, readable by its owner only, that gets its name, synced, once the block ends well; until
    then it is PATH.part, which only one process writes. Raises FileRefused."""
    part = part_of(path)
    if path.exists() and not (overwrite and path.is_file()):
        raise FileRefused(f"{path} exists already; name another file, or add --overwrite")
    try:
        descriptor = os.open(part, os.O_WRONLY | os.O_CREAT, 0o600)
    except OSError as error:
        raise FileRefused(f"{part} cannot be written ({error.strerror})") from error
    with os.fdopen(descriptor, "wb") as file:
        _lock(file, part)
        try:
            file.truncate(0)
            yield file
            file.flush()
            os.fsync(file.fileno())
            part.rename(path)
        except BaseException:
            part.unlink(missing_ok=True)
            raise
    sync_folder(path.parent)


def part_of(path: Path) -> Path:
    """The name of a file while it is being written."""
    return path.with_name(f"{path.name}.part")


def _lock(file: IO[bytes], part: Path) -> None:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        ours = os.path.samestat(part.stat(), os.fstat(file.fileno()))  # else its writer just renamed or dropped it
    except OSError:
        ours = False
    if not ours:
        raise FileRefused(f"{part} is being written by another process; wait for it, or name another file")
