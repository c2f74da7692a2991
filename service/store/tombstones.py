"""The file that outlives the database: which rows were erased for good. A backup holds people who were erased since it
was made; restoring it replays this file, so that they stay erased. It names rows, never people."""

import os
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path

import orjson

from service.domain import Tombstone
from service.store.folder import sync_folder

TOMBSTONE_FILE = "erasures.jsonl"


class Tombstones:
    """An append-only file of one JSON object a line."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def append(self, stones: Sequence[Tombstone]) -> None:
        """Add lines durably. One that a crash tore is ended first, so that it spoils no other."""
        if not stones:
            return
        with self._path.open("ab") as file:
            if file.tell() and not _ends_whole(self._path):
                file.write(b"\n")
            file.write(b"".join(_line(stone) for stone in stones))
            file.flush()
            os.fsync(file.fileno())
        sync_folder(self._path.parent)  # each time: who made the file may have been killed before it came to that

    def read(self) -> Iterable[Tombstone]:
        """All stones, oldest first; a torn line is left out: its rows are still in the database's table."""
        if not self._path.exists():
            return
        with self._path.open("rb") as file:
            for line in file:
                stone = _stone(line)
                if stone is not None:
                    yield stone


def _line(stone: Tombstone) -> bytes:
    values = {
        "database": stone.database, "epoch": stone.epoch, "kind": stone.kind, "row": stone.row,
        "created_at": stone.created_at.astimezone(UTC).isoformat(),
    }  # fmt: skip
    return orjson.dumps(values, option=orjson.OPT_APPEND_NEWLINE)


def _stone(line: bytes) -> Tombstone | None:
    try:
        values = orjson.loads(line)
        moment = datetime.fromisoformat(values["created_at"])
        return Tombstone(values["database"], values["epoch"], values["kind"], values["row"], moment)
    except (orjson.JSONDecodeError, KeyError, TypeError, ValueError):
        return None


def _ends_whole(path: Path) -> bool:
    with path.open("rb") as file:
        file.seek(-1, os.SEEK_END)
        return file.read(1) == b"\n"
