"""The database: one writing connection, several reading ones, on SQLite or PostgreSQL.

Every transaction runs whole in a thread, so it is never left half way by a cancelled request, and costs one hop
instead of one for each statement (docs/decisions/0002-transactions-in-threads.md).
"""

import asyncio
import logging
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from threading import Lock
from typing import Any, TypeVar

from sqlalchemy import Connection, QueuePool, event

from service.db.claim import Claimed, hold, take
from service.db.engine import make_engine, parse_url
from service.db.failures import DAMAGED, refusal, translated
from service.db.rewriting import rewrite_postgresql, rewrite_sqlite
from service.errors import DatabaseDamaged, DatabaseDown, DatabaseRefused, Overloaded

log = logging.getLogger(__name__)

Answer = TypeVar("Answer")


class Database:
    """Reads in its own threads; writes through `begin`, which only the writer's thread calls."""

    def __init__(self, url: str, *, readers: int, max_waiting: int, others: int = 0) -> None:
        """`readers` read side by side; more than `max_waiting` at once are refused. So many `others` may call
        `read_now` beside them without waiting for a connection."""
        parsed = parse_url(url)
        self.dialect = parsed.get_backend_name()
        self._file = Path(str(parsed.database)) if self.dialect == "sqlite" else None
        self._held = ExitStack()
        self._writing = make_engine(parsed, pool_size=1, read_only=False)
        self._reading = make_engine(parsed, pool_size=readers + others, read_only=True)
        self._tending = make_engine(parsed, pool_size=1, read_only=True)  # connects only to rewrite, on PostgreSQL
        if self.dialect == "postgresql":
            event.listen(self._writing, "connect", take)
        self._threads = ThreadPoolExecutor(readers, thread_name_prefix="read")
        self._readers, self._most = readers, max_waiting
        self._asked, self._counting = 0, Lock()  # readings under way or waiting
        self.damaged = False  # until a transaction meets damage; then all are refused

    async def read(self, query: Callable[..., Answer], *arguments: Any) -> Answer:
        """Run `query(connection, *arguments)` in one reading transaction. Raises DatabaseDown, Overloaded."""
        with self._counting:
            if self._asked >= self._most:
                raise Overloaded("too many requests wait for the database; send the request again later")
            self._asked += 1
        reading = self._threads.submit(self.read_now, query, *arguments)
        reading.add_done_callback(lambda done: self._leave())
        return await asyncio.wrap_future(reading)

    @property
    def waiting(self) -> int:
        """How many readings wait for one of the threads."""
        return max(0, self._asked - self._readers)

    def _leave(self) -> None:
        with self._counting:
            self._asked -= 1

    def read_now(self, query: Callable[..., Answer], *arguments: Any) -> Answer:
        """`read` for code that has a thread of its own. Raises DatabaseDown."""
        with self._whole(), self._reading.begin() as connection:
            return query(connection, *arguments)

    @contextmanager
    def begin(self) -> Iterator[Connection]:
        """The writing transaction: commits at the end of the block, rolls back if it raises. Raises DatabaseDown."""
        try:
            with self._whole(), self._writing.begin() as connection:
                yield connection
        except Claimed as error:
            raise DatabaseDown(f"{error} since the connection was lost; stop one of the two") from error

    def claim(self) -> None:
        """Keep other services out: on PostgreSQL the writing connection holds a lock, and a new one takes it again.
        Raises DatabaseRefused."""
        try:
            with self._whole(), self._writing.connect():
                pass
            if self._file is not None:
                self._held.callback(hold(self._file).close)
        except Claimed as error:
            told = f"{error}; stop it, or set another REAPPEAR_DATABASE_URL{error.holder}"
            raise DatabaseRefused(told) from error
        except OSError as error:
            raise DatabaseRefused(
                f"{error.filename} cannot be written ({error.strerror}); let this user write beside the database"
            ) from error

    def rewrite(self, *, all_of_it: bool = True) -> bool:
        """Overwrite what removed rows left: see `rewriting`. False where a reader is in the way. Raises
        DatabaseDown."""
        with self._whole():
            if self.dialect == "postgresql":
                with self._tending.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
                    return rewrite_postgresql(connection)
            raw = self._writing.raw_connection()
            try:
                return rewrite_sqlite(raw.cursor(), all_of_it=all_of_it)
            finally:
                raw.close()

    @contextmanager
    def _whole(self) -> Iterator[None]:
        """`translated`, until damage is met: nothing may be acknowledged into a damaged file. Raises DatabaseDamaged,
        DatabaseDown."""
        if self.damaged:
            raise DatabaseDamaged(DAMAGED)
        try:
            with translated():
                yield
        except DatabaseDamaged as error:
            if not self.damaged:
                log.critical(refusal(error).detail)
            self.damaged = True
            raise

    def connections(self) -> dict[tuple[str, str], int]:
        """How many connections are in use and idle, by (pool, state)."""
        pools = {"writing": self._writing.pool, "reading": self._reading.pool}
        counts: dict[tuple[str, str], int] = {}
        for name, pool in pools.items():
            assert isinstance(pool, QueuePool)
            counts[name, "in_use"], counts[name, "idle"] = pool.checkedout(), pool.checkedin()
        return counts

    def close(self) -> None:
        """Let readings finish and close all connections, the writing one last: it alone checkpoints."""
        self._threads.shutdown()
        self._reading.dispose()
        self._tending.dispose()
        self._writing.dispose()
        self._held.close()


@contextmanager
def writing_beside(url: str) -> Iterator[Connection]:
    """One writing transaction beside the service, whose log it neither checkpoints nor cuts. Raises DatabaseDown."""
    engine = make_engine(parse_url(url), pool_size=1, read_only=False)

    @event.listens_for(engine, "connect")
    def _leave_log(connection: Any, record: object) -> None:
        if engine.dialect.name == "sqlite":
            connection.execute("PRAGMA wal_autocheckpoint=0")

    try:
        with translated(), engine.begin() as connection:
            yield connection
    finally:
        engine.dispose()
