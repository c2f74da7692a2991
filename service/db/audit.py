"""Statements about the audit log. Rows are only ever added, and removed once they are sealed:
triggers refuse the rest."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, Row, delete, func, insert, select

from service.db.tables import audit, audit_seals
from service.domain import AuditEntry


def add_entries(connection: Connection, entries: Sequence[AuditEntry]) -> None:
    """Add entries, in order."""
    if entries:
        connection.execute(insert(audit), [_values(one) for one in entries])


def add_beside(connection: Connection, one: AuditEntry) -> None:
    """Add an entry beside the service. Numbers must come in the order of commits, or an export would miss it."""
    if connection.dialect.name == "postgresql":
        connection.exec_driver_sql("LOCK TABLE audit IN SHARE ROW EXCLUSIVE MODE")
    add_entries(connection, [one])


def list_entries(connection: Connection, *, after: int, limit: int) -> list[tuple[int, AuditEntry]]:
    """Up to `limit` entries with their numbers, in the order they were written, from the one after `after`. What
    is sealed is not shown."""
    query = select(audit).where(audit.c.id > max(after, sealed_through(connection))).order_by(audit.c.id).limit(limit)
    return [(row.id, _as_entry(row)) for row in connection.execute(query)]


def sealed_through(connection: Connection) -> int:
    """The number of the last entry that was exported for good; 0 where none was."""
    return int(connection.execute(select(func.max(audit_seals.c.through))).scalar() or 0)


def last_rotation(connection: Connection) -> AuditEntry | None:
    """The entry that tells of the last export for good."""
    query = select(audit).join(audit_seals, audit_seals.c.entry == audit.c.id).order_by(audit.c.id.desc())
    row = connection.execute(query.limit(1)).first()
    return None if row is None else _as_entry(row)


def seal(connection: Connection, through: int, told: AuditEntry) -> None:
    """Add the entry that tells of an export for good; from now on entries up to `through` may be removed."""
    entry = connection.execute(insert(audit).values(_values(told)).returning(audit.c.id)).scalar_one()
    connection.execute(insert(audit_seals).values(through=through, entry=entry))


def remove_sealed(connection: Connection, limit: int) -> int:
    """Remove up to `limit` sealed entries, oldest first; returns how many."""
    sealed = select(audit.c.id).where(audit.c.id <= sealed_through(connection)).order_by(audit.c.id).limit(limit)
    gone = connection.execute(sealed).scalars().all()
    if gone:
        connection.execute(delete(audit).where(audit.c.id <= gone[-1]))
    return len(gone)


def _values(one: AuditEntry) -> dict[str, Any]:
    return {
        "at": one.at, "request_id": one.request_id, "caller": one.caller, "action": one.action,
        "collection": one.collection, "subjects": list(one.subjects),
    }  # fmt: skip


def _as_entry(row: Row[Any]) -> AuditEntry:
    return AuditEntry(row.at, row.request_id, row.caller, row.action, row.collection, tuple(row.subjects))
