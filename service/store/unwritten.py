"""Reads that the database would not take for the audit log before a stop: a file that the next start takes in."""

import logging
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from service.domain import AuditEntry
from service.store.lines import Lines

log = logging.getLogger(__name__)

UNWRITTEN_FILE = "audit-unwritten.jsonl"
DAMAGED = ".damaged"  # instead of .jsonl


class UnwrittenReads:
    """There only between a stop that could not write and the next start."""

    def __init__(self, path: Path) -> None:
        self._lines = Lines(path)
        self._damaged = Lines(path.with_suffix(DAMAGED))
        self._no_reads: list[Any] = []

    def keep(self, entries: Sequence[AuditEntry]) -> None:
        """Add entries durably. Raises OSError."""
        self._lines.append([asdict(one) for one in entries])

    def read(self) -> list[AuditEntry]:
        """All entries; empty where there is no file. A line that a crash tore is left out, and one that is no read is
        set aside: it must keep neither the others from the log nor the service from its start."""
        entries = list[AuditEntry]()
        self._no_reads.clear()
        adapter = TypeAdapter(AuditEntry)
        for values in self._lines.read():
            try:
                entries.append(adapter.validate_python(values))
            except ValidationError:
                self._no_reads.append(values)
        if self._no_reads and not entries:
            self.drop()
        return entries

    def drop(self) -> None:
        """They are in the database. What is no read goes into a file of its own, for people to look at."""
        if self._no_reads:
            log.warning("lines that are no reads are set aside", extra={"lines": len(self._no_reads)})
        self._damaged.append(self._no_reads)
        self._lines.drop()
