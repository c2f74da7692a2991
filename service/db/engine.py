"""The database: one writing connection, several reading ones, on SQLite or PostgreSQL.

Every transaction runs whole in a thread, so it is never left half way by a cancelled request, and costs one hop
instead of one for each statement (docs/decisions/0002-transactions-in-threads.md).
"""

import asyncio
import logging
import os
import sqlite3
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from threading import Lock
from typing import Any, TypeVar

import orjson
from sqlalchemy import URL, Connection, Dialect, Engine, QueuePool, create_engine, event, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from service.db.claim import Taken, hold, take
from service.db.failures import DAMAGED, meaning, refusal
from service.errors import DatabaseDamaged, DatabaseDown, DatabaseRefused, Overloaded

log = logging.getLogger(__name__)

Answer = TypeVar("Answer")

BUSY_TIMEOUT_S = 5
REWRITE_TIMEOUT_MS = 100  # writes wait meanwhile
OPEN_TRANSACTIONS = (
    "SELECT pid, xact_start FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid() "
    "AND backend_type = 'client backend' AND (xact_start IS NOT NULL OR backend_xmin IS NOT NULL)"
)
OLDER_TRIES, OLDER_WAIT_S = 50, 0.1
TEXT_INDEXES = (  # a page of an index keeps what a VACUUM took out until something else needs the place
    "ix_attributes_key_text", "ix_attributes_key_number", "pk_idempotency", "uq_identities_collection_id_external_id",
)  # fmt: skip
BAD_OPTION = "REAPPEAR_DATABASE_URL has an option after its ? that the driver does not take"
KEEPALIVES = {"keepalives_idle": 10, "keepalives_interval": 5, "keepalives_count": 3}  # how soon one is missed
USER_TIMEOUT = {"tcp_user_timeout": 15_000}  # and where something was under way, ms
# How long to wait for a server that does not answer, and how soon to notice that it is gone
POSTGRES = {"connect_timeout": 3, **KEEPALIVES, **USER_TIMEOUT, "prepare_threshold": 2}
# How soon the server notices that this machine is gone, and frees the claim; not over Unix sockets
POSTGRES_SERVER = {**{f"tcp_{name}": value for name, value in KEEPALIVES.items()}, **USER_TIMEOUT}


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
        except Taken as error:
            raise DatabaseDown(f"{error} since the connection was lost; stop one of the two") from error

    def claim(self) -> None:
        """Keep other services out: on PostgreSQL the writing connection holds a lock, and a new one takes it again.
        Raises DatabaseRefused."""
        try:
            with self._whole(), self._writing.connect():
                pass
            if self._file is not None:
                self._held.callback(hold(self._file).close)
        except Taken as error:
            told = f"{error}; stop it, or set another REAPPEAR_DATABASE_URL{error.holder}"
            raise DatabaseRefused(told) from error
        except OSError as error:
            raise DatabaseRefused(
                f"{error.filename} cannot be written ({error.strerror}); let this user write beside the database"
            ) from error

    def rewrite(self, *, all_of_it: bool = True) -> bool:
        """Overwrite what removed rows left. SQLite's write-ahead log is moved into the file and cut to nothing; with
        `all_of_it` the file is made anew before, because secure_delete overwrites rows, and not the copies that stay
        behind where a page was balanced. PostgreSQL's dead rows are vacuumed, and indexes that hold texts made anew.
        False where a reader is in the way. Raises DatabaseDown."""
        with self._whole():
            if self.dialect == "postgresql":
                with self._tending.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
                    return _rewrite_postgresql(connection)
            raw = self._writing.raw_connection()
            try:
                cursor = raw.cursor()
                if all_of_it:
                    if not _empty_log(cursor):
                        return False  # what is made anew would go into the log, all of it, and that could not be cut
                    cursor.execute("VACUUM")
                return _empty_log(cursor)
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


def _empty_log(cursor: Any) -> bool:
    """Move SQLite's write-ahead log into the file and cut it to nothing; False where a reader is in the way."""
    cursor.execute(f"PRAGMA busy_timeout={REWRITE_TIMEOUT_MS}")
    try:
        (busy, _, _) = cursor.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    finally:
        cursor.execute(f"PRAGMA busy_timeout={BUSY_TIMEOUT_S * 1000}")
    return not busy


def _rewrite_postgresql(connection: Connection) -> bool:
    """Rows that an older transaction may still see survive a VACUUM, so those open now must end first. A REINDEX in
    which the service dies leaves nothing behind, unlike a concurrent one; it waits for its lock, and lets others wait
    behind it, for a second at most."""
    older = set(map(tuple, connection.exec_driver_sql(OPEN_TRANSACTIONS)))
    for _ in range(OLDER_TRIES):
        older &= set(map(tuple, connection.exec_driver_sql(OPEN_TRANSACTIONS)))
        if not older:
            break
        time.sleep(OLDER_WAIT_S)
    else:
        return False
    connection.exec_driver_sql("VACUUM")
    connection.exec_driver_sql("SET lock_timeout = '1s'")
    try:
        for index in TEXT_INDEXES:
            connection.exec_driver_sql(f"REINDEX INDEX {index}")
    finally:
        connection.exec_driver_sql("RESET lock_timeout")  # the connection is kept, and a VACUUM may wait for longer
    return True


def parse_url(url: str) -> URL:
    """A SQLAlchemy URL with the driver this service uses. Raises DatabaseRefused for anything but the two databases."""
    try:
        parsed = make_url(url)
    except Exception as error:
        raise DatabaseRefused("REAPPEAR_DATABASE_URL is not a database URL") from error
    drivers = {"sqlite": "sqlite+pysqlite", "postgresql": "postgresql+psycopg", "postgres": "postgresql+psycopg"}
    if parsed.get_backend_name() not in drivers:
        raise DatabaseRefused("REAPPEAR_DATABASE_URL must begin with sqlite:/// or postgresql://")
    if parsed.get_backend_name() == "sqlite" and parsed.database in (None, "", ":memory:"):
        raise DatabaseRefused("REAPPEAR_DATABASE_URL must name a file, such as sqlite:///data/reappear.db")
    return parsed.set(drivername=drivers[parsed.get_backend_name()])


def make_engine(url: URL, *, pool_size: int, read_only: bool) -> Engine:
    """An engine whose connections are durable (SQLite: WAL, synchronous=FULL) and begin transactions explicitly. Raises
    DatabaseRefused, here or with the first connection, for an option in the URL that the driver does not take."""
    common: dict[str, Any] = {
        "pool_size": pool_size,
        "max_overflow": 0,
        "hide_parameters": True,  # the log must not name people
        "json_serializer": lambda value: orjson.dumps(value).decode(),
        "json_deserializer": orjson.loads,
    }
    if url.get_backend_name() == "postgresql":
        engine = _engine(url, pool_pre_ping=True, connect_args=POSTGRES, **common)

        @event.listens_for(engine, "do_connect")
        def _connect(dialect: Dialect, record: object, arguments: Any, options: Any) -> Any:
            assert dialect.loaded_dbapi is not None
            try:
                return dialect.loaded_dbapi.connect(*arguments, **options)
            except dialect.loaded_dbapi.ProgrammingError as error:
                raise DatabaseRefused(BAD_OPTION) from error

        @event.listens_for(engine, "connect")
        def _set_session(connection: Any, record: object) -> None:
            connection.execute("SET TIME ZONE 'UTC'")  # else the driver cannot read moments near the year 9999
            connection.execute("SET idle_in_transaction_session_timeout = '120s'")  # after a cut line locks must go
            for name, value in POSTGRES_SERVER.items():
                connection.execute(f"SET {name} = {value}")
            connection.commit()

        return engine
    engine = _engine(url, connect_args={"timeout": BUSY_TIMEOUT_S, "check_same_thread": False}, **common)
    path, first = Path(url.database or ""), list[tuple[int, int] | None]()  # the file that the first connection opened
    os.environ.setdefault("SQLITE_TMPDIR", str(path.absolute().parent))  # a VACUUM needs room

    @event.listens_for(engine, "connect")
    def _prepare(connection: Any, record: object) -> None:
        first.append(_file_at(path))
        connection.isolation_level = None  # the driver begins nothing by itself; `_begin` does
        cursor = connection.cursor()
        cursor.execute("PRAGMA journal_mode=WAL")
        cursor.execute("PRAGMA synchronous=FULL")
        cursor.execute("PRAGMA foreign_keys=ON")
        cursor.execute("PRAGMA secure_delete=ON")
        if read_only:
            cursor.execute("PRAGMA query_only=ON")
            cursor.execute("PRAGMA wal_autocheckpoint=0")  # before 3.51.3 two checkpointing connections may corrupt
        cursor.close()

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        if _file_at(path) != first[0]:  # SQLite would go on in a file that no start finds again
            log.critical("the database file was moved, removed or replaced")
            raise DatabaseDown(
                "the database file was moved, removed or replaced while the service was running; put it back, "
                "or stop the service and start it with the one it is to have"
            )
        connection.exec_driver_sql("BEGIN" if read_only else "BEGIN IMMEDIATE")

    return engine


def _file_at(path: Path) -> tuple[int, int] | None:
    """Which file that is now: its device and inode, or None where there is none."""
    try:
        found = path.stat()
    except FileNotFoundError:
        return None
    return found.st_dev, found.st_ino


def _engine(url: URL, **options: Any) -> Engine:
    try:
        return create_engine(url, **options)
    except (ArgumentError, ValueError) as error:
        raise DatabaseRefused(BAD_OPTION) from error


@contextmanager
def translated() -> Iterator[None]:
    """Turn a database that does not answer, is full or is gone into DatabaseDown, damage into DatabaseDamaged."""
    try:
        yield
    except PoolTimeout as error:
        raise DatabaseDown("all connections to the database have been busy for long; try again") from error
    except (DBAPIError, sqlite3.DatabaseError) as error:  # the driver's own where SQLAlchemy is not in between
        failure = meaning(error)
        if failure is None:
            raise
        raise failure from error
