"""What removed rows leave in free pages and logs of the database is overwritten: the log of SQLite at once where nobody
reads, all else by housekeeping, for the removals of a while together, and with them goes what snapshots of the index
have of them."""

import asyncio
import logging
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from service.db.database import Database
from service.flows.snapshots import Busy
from service.flows.writer import Writer

log = logging.getLogger(__name__)


class Rewriting:
    """Knows whether something waits to be overwritten, and since when."""

    def __init__(
        self, gather_s: float,
        forget: Callable[[Database, float, float], float | None] = lambda database, gather_s, since: None,
    ) -> None:  # fmt: skip
        """Removals gather for `gather_s` before they are overwritten together; 0 does it with each. `forget` is how
        `Snapshots` does its part."""
        self._gather_s = gather_s
        self._forget = forget
        self._since: float | None = time.monotonic()  # what was removed before a crash
        self._asked = True
        self._removals = 0  # so that one during a rewrite is not taken for rewritten

    @property
    def done(self) -> bool:
        """Whether nothing waits."""
        return self._since is None

    @property
    def deadline(self) -> datetime:
        """By when a removal of now is overwritten."""
        return datetime.now(UTC) + timedelta(seconds=self.promised_s)

    @property
    def promised_s(self) -> float:
        """Within how many seconds a removal is overwritten; housekeeping tries from half of the time on, each
        minute."""
        return max(60, 2 * self._gather_s)

    @property
    def waiting_s(self) -> float:
        """For how long something has waited, in seconds."""
        since = self._since
        return 0.0 if since is None else time.monotonic() - since

    @property
    def due(self) -> bool:
        """Whether something has waited for long enough."""
        return not self.done and self.waiting_s >= self._gather_s

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
            await writer.write(lambda connection, changes: None, aside=True)
        elif self.due:
            await asyncio.to_thread(self._rewrite, database)

    def _rewrite(self, database: Database) -> None:
        """Never raises: it comes after a commit, which it must not make look like a failure."""
        removals, began, all_of_it = self._removals, time.monotonic(), self.waiting_s >= self._gather_s
        try:
            since = began if self._since is None else self._since
            left = self._forget(database, self._gather_s, since) if all_of_it else None
            if database.rewrite(all_of_it=all_of_it) and all_of_it:
                self._since = began if left is None and self._removals != removals else left
        except Busy:
            log.info("removed rows are overwritten once the index is done with them")
        except Exception:
            log.exception("free pages and logs cannot be overwritten yet")
