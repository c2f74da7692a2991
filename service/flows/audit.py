"""The audit log: who did what to whom. A write is noted in its own transaction; reads are noted together, at least once
a second, so that no query waits for a disk. A crash may lose the last second of reads, never a write."""

import asyncio
import logging
import os
import pwd
from collections.abc import Iterable, Sequence
from contextvars import ContextVar
from datetime import UTC, datetime

from service.db.audit import add_entries
from service.domain import AuditEntry
from service.errors import Overloaded, ReappearError
from service.flows.writer import Job, Writer
from service.store.unwritten import UnwrittenReads
from service.telemetry import request_id

caller: ContextVar[str] = ContextVar("caller", default="service")  # the key's id while a request is at hand
WEIGHT_AT_ONCE = 10_000
MAX_CALLER_CHARS = 64

log = logging.getLogger(__name__)


def entry(action: str, collection: str | None, subjects: Iterable[str] = ()) -> AuditEntry:
    """An entry of the request at hand, for now; call it outside the writer's thread."""
    return AuditEntry(datetime.now(UTC), request_id.get(), caller.get(), action, collection, tuple(subjects))


def command_entry(action: str, *about: str) -> AuditEntry:
    """An entry of a command that works past the service, for now and the user it runs as."""
    try:
        user = pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        user = str(os.getuid())
    return AuditEntry(datetime.now(UTC), None, f"command:{user}"[:MAX_CALLER_CHARS], action, None, about)


def _adding(entries: Sequence[AuditEntry]) -> Job[None]:
    return lambda connection, changes: add_entries(connection, entries)


def _weight(one: AuditEntry) -> int:
    return 1 + len(one.subjects)


class Audit:
    """Reads that are not yet written down."""

    def __init__(self, writer: Writer, unwritten: UnwrittenReads, *, max_waiting: int) -> None:
        """`max_waiting` reads and people in them, together, wait to be written."""
        self._writer = writer
        self._unwritten = unwritten
        self._max_waiting = max_waiting
        self._waiting: list[AuditEntry] = []
        self._weight = 0  # of all that wait: a read of a thousand people weighs as much as a thousand reads
        self._writing: asyncio.Task[None] | None = None

    def __len__(self) -> int:
        """How many reads wait to be written."""
        return len(self._waiting)

    def saw(self, action: str, collection: str | None, subjects: Iterable[str] = ()) -> None:
        """Note a read. Raises Overloaded where so many wait that one could be lost: then nothing is shown."""
        if self._weight >= self._max_waiting:
            raise Overloaded("reads cannot be written to the audit log at the moment, so none are answered")
        self._waiting.append(entry(action, collection, subjects))
        self._weight += _weight(self._waiting[-1])

    async def flush(self) -> None:
        """Write down what waits; who comes while another does waits for the same, so that each read is written once.
        Raises DatabaseDown, with all of it kept for the next time."""
        while self._waiting:
            if self._writing is None:
                self._writing = asyncio.create_task(self._write_some())
            await asyncio.shield(self._writing)  # who leaves does not take it along

    async def close(self) -> None:
        """Write down what waits, at the end; what the database does not take is kept for the next start."""
        try:
            await self.flush()
        except ReappearError:
            log.exception("reads are kept beside the database for the audit log")
            try:
                await asyncio.to_thread(self._unwritten.keep, self._waiting)
            except OSError:
                log.critical("%d reads are lost for the audit log: the disk does not take them", len(self._waiting))

    async def _write_some(self) -> None:
        taken, weight = [], 0
        for one in self._waiting:
            taken.append(one)
            weight += _weight(one)
            if weight >= WEIGHT_AT_ONCE:
                break
        try:
            await self._writer.write(_adding(taken), aside=True)
            del self._waiting[: len(taken)]
            self._weight -= weight
        finally:
            self._writing = None
