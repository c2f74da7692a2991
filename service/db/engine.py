"""Connections to SQLite or PostgreSQL that are durable, and begin transactions explicitly."""

import logging
import os
from pathlib import Path
from typing import Any

import orjson
from sqlalchemy import URL, Connection, Dialect, Engine, create_engine, event, make_url
from sqlalchemy.exc import ArgumentError

from service.errors import DatabaseDown, DatabaseRefused

log = logging.getLogger(__name__)

BUSY_TIMEOUT_S = 5
BAD_OPTION = "REAPPEAR_DATABASE_URL has an option after its ? that the driver does not take"
KEEPALIVES = {"keepalives_idle": 10, "keepalives_interval": 5, "keepalives_count": 3}  # how soon one is missed
USER_TIMEOUT = {"tcp_user_timeout": 15_000}  # and where something was under way, ms
# How long to wait for a server that does not answer, and how soon to notice that it is gone
POSTGRES = {"connect_timeout": 3, **KEEPALIVES, **USER_TIMEOUT, "prepare_threshold": 2}
# How soon the server notices that this machine is gone, and frees the claim; not over Unix sockets
POSTGRES_SERVER = {**{f"tcp_{name}": value for name, value in KEEPALIVES.items()}, **USER_TIMEOUT}


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
        return _postgresql(url, common)
    return _sqlite(url, common, read_only=read_only)


def _postgresql(url: URL, common: dict[str, Any]) -> Engine:
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


def _sqlite(url: URL, common: dict[str, Any], *, read_only: bool) -> Engine:
    engine = _engine(url, connect_args={"timeout": BUSY_TIMEOUT_S, "check_same_thread": False}, **common)
    path, opened = Path(url.database or ""), None  # the file that the first connection opened
    os.environ.setdefault("SQLITE_TMPDIR", str(path.absolute().parent))  # a VACUUM needs room

    @event.listens_for(engine, "connect")
    def _prepare(connection: Any, record: object) -> None:
        nonlocal opened
        opened = opened or _file_at(path)
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
        if _file_at(path) != opened:  # SQLite would go on in a file that no start finds again
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
