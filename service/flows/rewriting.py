"""What removed rows leave in free pages and logs of the database is overwritten: at once where nobody reads, else soon,
by housekeeping."""

import asyncio
import logging
import time
from datetime import timedelta

from service.db.engine import Database
from service.errors import DatabaseDown

log = logging.getLogger(__name__)

REWRITE_WITHIN = timedelta(hours=1)  # the deadline a receipt names; housekeeping tries each minute


class Rewriting:
    """Knows whether something waits to be overwritten, and since when."""

    def __init__(self) -> None:
        self._since: float | None = time.monotonic()  # what was removed before a crash

    def wanted(self) -> None:
        """Rows were removed."""
        if self._since is None:
            self._since = time.monotonic()

    def waiting_s(self) -> float:
        """For how long something has waited, in seconds."""
        return 0.0 if self._since is None else time.monotonic() - self._since

    async def try_now(self, database: Database) -> bool:
        """Overwrite if that can be done at once, which it never can on PostgreSQL; returns whether all of it is."""
        return await self._rewrite(database) if database.dialect == "sqlite" else False

    async def catch_up(self, database: Database) -> None:
        """Overwrite what waits, if anything does."""
        if self._since is not None:
            await self._rewrite(database)

    async def _rewrite(self, database: Database) -> bool:
        since = self._since
        try:
            done = await asyncio.to_thread(database.rewrite)
        except DatabaseDown:
            log.exception("free pages and logs cannot be overwritten yet")
            return False
        if done and self._since == since:
            self._since = None
        return done
