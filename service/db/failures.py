"""What the errors of a database mean to the one who keeps the service running, and what has to be done."""

import logging
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from service.errors import DatabaseDamaged, DatabaseDown, DatabaseRefused

log = logging.getLogger(__name__)

DAMAGED = (
    "the database is damaged, and trying again does not help; stop the service, keep what there is, and restore the "
    "last backup"
)
DAMAGE = ("SQLITE_CORRUPT", "SQLITE_NOTADB", "XX001", "XX002")  # beginnings of names, or SQLSTATEs: data, an index
FULL = "the disk of the database is full; make room there, then try again"
READ_ONLY = "the database has become read-only; see why, and make it writable"
REMEDIES = {  # by SQLite's name of an error, or PostgreSQL's SQLSTATE
    "SQLITE_FULL": FULL, "53100": FULL, "SQLITE_READONLY": READ_ONLY, "25006": READ_ONLY,
    "SQLITE_CANTOPEN": "the database file cannot be opened; see that its folder is there and may be written to",
    "42501": "the role of the service lacks rights in the database; make it the owner of the database and its tables",
    "SQLITE_BUSY": "another program keeps the database locked; let it finish or end it, then try again",
}  # fmt: skip
NO_ANSWER = "the database does not answer"


def meaning(error: DBAPIError | sqlite3.DatabaseError) -> DatabaseDown | None:
    """A failure of the database itself, with what to do; None for a mistake in a statement."""
    driver = error.orig if isinstance(error, DBAPIError) else error
    name = _name(driver)
    if name.startswith(DAMAGE):
        return DatabaseDamaged(DAMAGED)
    if isinstance(error, OperationalError | InterfaceError | sqlite3.DatabaseError):
        log.error("the database failed: %s", driver)
        return DatabaseDown(_remedy(name) or f"{NO_ANSWER}; try again after the time in Retry-After")
    if error.connection_invalidated:
        return DatabaseDown("the connection to the database was lost; try again")
    remedy = _remedy(name)
    return None if remedy is None else DatabaseDown(remedy)


def refusal(error: DatabaseDown) -> DatabaseRefused:
    """The same for people who start a service or run a command, with the first line of what the driver says."""
    driver = getattr(error.__cause__, "orig", error.__cause__)
    if not isinstance(driver, Exception):
        return DatabaseRefused(error.detail)
    said = str(driver).strip().partition("\n")[0]
    if isinstance(error, DatabaseDamaged) or _remedy(_name(driver)):
        return DatabaseRefused(f"{error.detail} ({said})")
    problem = "the database refuses the connection" if "FATAL:" in said else NO_ANSWER  # it sends no SQLSTATE then
    return DatabaseRefused(f"{problem}: {said}; see REAPPEAR_DATABASE_URL")


@contextmanager
def refused() -> Iterator[None]:
    """At a start there is nobody to try again. Raises DatabaseRefused in the place of DatabaseDown."""
    try:
        yield
    except DatabaseDown as error:
        raise refusal(error) from error


def _name(error: BaseException | None) -> str:
    return getattr(error, "sqlite_errorname", None) or getattr(error, "sqlstate", None) or ""


def _remedy(name: str) -> str | None:
    if name.startswith("SQLITE_IOERR"):
        return f"the disk of the database fails ({name}); see that it has room, is writable and is whole"
    return REMEDIES.get(name)


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
