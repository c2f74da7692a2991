"""Statements about rows that are erased for good, until the file that outlives the database has them."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, String, Table, cast, delete, insert, literal, select

from service.db.tables import erasures, meta
from service.domain import Tombstone


def erase_rows(connection: Connection, kind: str, table: Table, where: Any) -> None:
    """Note the rows of a table that are about to be removed, in the transaction that removes them."""
    rows = select(literal(kind), cast(table.c.id, String), table.c.created_at).where(where)
    connection.execute(insert(erasures).from_select(["kind", "row_id", "row_created_at"], rows))


def waiting_tombstones(connection: Connection, limit: int | None = None) -> dict[int, Tombstone]:
    """What the file does not have for certain yet, by its row; the oldest, up to a limit."""
    database, epoch = connection.execute(select(meta.c.database_uuid, meta.c.epoch)).one()
    return {
        row.id: Tombstone(database, epoch, row.kind, row.row_id, row.row_created_at)
        for row in connection.execute(select(erasures).order_by(erasures.c.id).limit(limit))
    }


def clear_tombstones(connection: Connection, rows: Sequence[int]) -> None:
    """Forget rows, 10,000 at most, that the file has."""
    connection.execute(delete(erasures).where(erasures.c.id.in_(rows)))
