"""Statements about the audit log. Rows are only ever added: triggers refuse the rest."""

from collections.abc import Sequence

from sqlalchemy import Connection, insert, select

from service.db.tables import audit
from service.domain import AuditEntry


def add_entries(connection: Connection, entries: Sequence[AuditEntry]) -> None:
    """Add entries, in order."""
    rows = [
        {"at": one.at, "request_id": one.request_id, "caller": one.caller, "action": one.action,
         "collection": one.collection, "subjects": list(one.subjects)}
        for one in entries
    ]  # fmt: skip
    if rows:
        connection.execute(insert(audit), rows)


def list_entries(connection: Connection, *, after: int, limit: int) -> list[tuple[int, AuditEntry]]:
    """Up to `limit` entries with their numbers, in the order they were written, from the one after `after`."""
    query = select(audit).where(audit.c.id > after).order_by(audit.c.id).limit(limit)
    return [
        (row.id, AuditEntry(row.at, row.request_id, row.caller, row.action, row.collection, tuple(row.subjects)))
        for row in connection.execute(query)
    ]
