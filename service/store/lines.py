"""A durable file of one JSON object a line, which only grows until it is dropped."""

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import orjson

from service.store.folder import sync_folder


class Lines:
    """Not there until something is added."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def append(self, objects: Sequence[Any]) -> None:
        """Add lines durably. One that a crash tore is ended first, so that it spoils no other. Raises OSError."""
        if not objects:
            return
        with self._path.open("ab") as file:
            if file.tell() and not _ends_whole(self._path):
                file.write(b"\n")
            file.write(b"".join(orjson.dumps(one, option=orjson.OPT_APPEND_NEWLINE) for one in objects))
            file.flush()
            os.fsync(file.fileno())
        sync_folder(self._path.parent)  # each time: who made the file may have been killed before it came to that

    def read(self) -> Iterator[Any]:
        """All objects, oldest first; a torn line is left out. None of what is no file, such as a device without end."""
        if not self._path.is_file():
            return
        with self._path.open("rb") as file:
            for line in file:
                try:
                    yield orjson.loads(line)
                except orjson.JSONDecodeError:
                    continue

    def drop(self) -> None:
        """Remove the file durably."""
        self._path.unlink(missing_ok=True)
        sync_folder(self._path.parent)


def _ends_whole(path: Path) -> bool:
    with path.open("rb") as file:
        file.seek(-1, os.SEEK_END)
        return file.read(1) == b"\n"
