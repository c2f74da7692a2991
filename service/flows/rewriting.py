"""What removed rows leave in free pages and logs of the database is overwritten: at once where nobody reads, else soon,
by housekeeping."""

import asyncio
import logging
import time
from datetime import timedelta

from service.db.engine import Database
from service.errors import DatabaseDown
from service.flows.writer import Writer

log = logging.getLogger(__name__)

REWRITE_WITHIN = timedelta(hours=1)  # the deadline a receipt names; housekeeping tries each minute


class Rewriting:
    """Knows whether something waits to be overwritten, and since when."""

    def __init__(self, *, gather_s: float = 0) -> None:
        """On PostgreSQL, where it takes a while, removals of `gather_s` seconds are overwritten together."""
        self._gather_s = gather_s
        self._since: float | None = time.monotonic()  # what was removed before a crash
        self._asked = True
        self._removals = 0  # so that one during a rewrite is not taken for rewritten

    @property
    def done(self) -> bool:
        """Whether nothing waits."""
        return self._since is None

    @property
    def waiting_s(self) -> float:
        """For how long something has waited, in seconds."""
        since = self._since
        return 0.0 if since is None else time.monotonic() - since

    def ask(self) -> None:
        """Rows were removed: overwrite what they left after the next transaction."""
        self._removals += 1
        if self._since is None:
            self._since = time.monotonic()
        self._asked = True

    def try_now(self, database: Database) -> None:
        """Between two transactions of the writer, in its thread: overwrite if asked to. SQLite only; on PostgreSQL it
        takes too long to wait for."""
        if self._asked and database.dialect == "sqlite":
            self._asked = False
            self._rewrite(database)

    async def catch_up(self, database: Database, writer: Writer) -> None:
        """Overwrite what waits, if anything does."""
        if self.done:
            return
        if database.dialect == "sqlite":
            self._asked = True
            await writer.write(lambda connection, changes: None)
        elif self.waiting_s >= self._gather_s:
            await asyncio.to_thread(self._rewrite, database)

    def _rewrite(self, database: Database) -> None:
        removals = self._removals
        try:
            if database.rewrite() and self._removals == removals:
                self._since = None
        except DatabaseDown:
            log.exception("free pages and logs cannot be overwritten yet")
