"""Reads that the database would not take for the audit log before a stop: a file that the next start takes in."""

from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime
from pathlib import Path

from service.domain import AuditEntry
from service.store.lines import Lines

UNWRITTEN_FILE = "audit-unwritten.jsonl"


class UnwrittenReads:
    """There only between a stop that could not write and the next start."""

    def __init__(self, path: Path) -> None:
        self._lines = Lines(path)

    def keep(self, entries: Sequence[AuditEntry]) -> None:
        """Add entries durably. Raises OSError."""
        self._lines.append([asdict(one) for one in entries])

    def read(self) -> list[AuditEntry]:
        """All entries; empty where there is no file. A line that a crash tore is left out."""
        return [
            AuditEntry(**{**one, "at": datetime.fromisoformat(one["at"]), "subjects": tuple(one["subjects"])})
            for one in self._lines.read()
        ]

    def drop(self) -> None:
        """They are in the database."""
        self._lines.drop()
