"""Reads that the database would not take for the audit log before a stop: a file that the next start takes in."""

import os
from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime
from pathlib import Path

import orjson

from service.domain import AuditEntry
from service.store.folder import sync_folder

UNWRITTEN_FILE = "audit-unwritten.jsonl"


class UnwrittenReads:
    """One JSON object a line; there only between a stop that could not write and the next start."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def keep(self, entries: Sequence[AuditEntry]) -> None:
        """Add entries durably. Raises OSError."""
        with self._path.open("ab") as file:
            file.write(b"".join(orjson.dumps(asdict(one), option=orjson.OPT_APPEND_NEWLINE) for one in entries))
            file.flush()
            os.fsync(file.fileno())
        sync_folder(self._path.parent)

    def read(self) -> list[AuditEntry]:
        """All entries; empty where there is no file."""
        if not self._path.exists():
            return []
        lines = map(orjson.loads, self._path.read_bytes().splitlines())
        return [
            AuditEntry(**{**one, "at": datetime.fromisoformat(one["at"]), "subjects": tuple(one["subjects"])})
            for one in lines
        ]

    def drop(self) -> None:
        """They are in the database."""
        self._path.unlink(missing_ok=True)
        sync_folder(self._path.parent)
