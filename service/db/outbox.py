"""Statements about picture files: those whose rows are gone, and those that a row names."""

from collections.abc import Sequence

from sqlalchemy import Connection, delete, func, insert, select

from service.db.tables import crops, outbox

IN_AT_ONCE = 10_000  # parameters of one IN list; PostgreSQL takes 65,535, SQLite 32,766


def waiting_pictures(connection: Connection, limit: int | None = None) -> list[str]:
    """Pictures in the outbox, up to a limit."""
    return list(connection.execute(select(outbox.c.picture).limit(limit)).scalars())


def count_waiting(connection: Connection) -> int:
    """How many pictures are in the outbox."""
    return connection.execute(select(func.count()).select_from(outbox)).scalar_one()


def clear_outbox(connection: Connection, pictures: Sequence[str]) -> None:
    """Forget pictures, 10,000 at most, whose files are gone for good."""
    connection.execute(delete(outbox).where(outbox.c.picture.in_(pictures)))


def await_unlinking(connection: Connection, pictures: Sequence[str]) -> None:
    """Put pictures in the outbox, whose rows go in the same transaction."""
    if pictures:
        connection.execute(insert(outbox), [{"picture": picture} for picture in pictures])


def known_pictures(connection: Connection, pictures: Sequence[str]) -> set[str]:
    """Those of the pictures that a row names."""
    found: set[str] = set()
    for start in range(0, len(pictures), IN_AT_ONCE):
        part = pictures[start : start + IN_AT_ONCE]
        found.update(connection.execute(select(crops.c.picture).where(crops.c.picture.in_(part))).scalars())
    return found
