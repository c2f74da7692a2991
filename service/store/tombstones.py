"""The file that outlives the database: which rows were erased for good. A backup holds people who were erased since it
was made; restoring it replays this file, so that they stay erased. It names rows, never people."""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from service.domain import Tombstone
from service.store.lines import Lines

TOMBSTONE_FILE = "erasures.jsonl"


class Tombstones:
    """An append-only file of one JSON object a line."""

    def __init__(self, path: Path) -> None:
        self._lines = Lines(path)

    def append(self, stones: Sequence[Tombstone]) -> None:
        """Add lines durably. Each tells when, for people who look for those of one removal."""
        now = datetime.now(UTC).isoformat(timespec="seconds")
        self._lines.append([{**_values(stone), "erased_at": now} for stone in stones])

    def read(self) -> Iterable[Tombstone]:
        """All stones, oldest first; a torn line is left out: its rows are still in the database's table."""
        for values in self._lines.read():
            stone = _stone(values)
            if stone is not None:
                yield stone


def _values(stone: Tombstone) -> dict[str, Any]:
    return {
        "database": stone.database, "epoch": stone.epoch, "kind": stone.kind, "row": stone.row,
        "created_at": stone.created_at.astimezone(UTC).isoformat(),
    }  # fmt: skip


def _stone(values: Any) -> Tombstone | None:
    try:
        moment = datetime.fromisoformat(values["created_at"])
        return Tombstone(values["database"], values["epoch"], values["kind"], values["row"], moment)
    except (KeyError, TypeError, ValueError):
        return None
