"""Statements about answers kept for repeated requests."""

from datetime import datetime
from typing import Any

from sqlalchemy import Connection, delete, insert, select

from service.db.tables import idempotency


def keep_answer(
    connection: Connection, *, holder: str, collection: int, key: str, fingerprint: str, identity: int,
    answer: dict[str, Any], now: datetime,
) -> None:  # fmt: skip
    """Keep the answer to an enrolment, in the enrolment's own transaction."""
    row = {
        "holder": holder, "collection_id": collection, "key": key, "fingerprint": fingerprint,
        "identity_id": identity, "answer": answer, "created_at": now,
    }  # fmt: skip
    connection.execute(insert(idempotency).values(row))


def kept_answer(
    connection: Connection, holder: str, collection: int, key: str
) -> tuple[str, dict[str, Any], datetime] | None:
    """Fingerprint, answer and time of an enrolment with this key, or None."""
    query = select(idempotency.c.fingerprint, idempotency.c.answer, idempotency.c.created_at).where(
        idempotency.c.holder == holder, idempotency.c.collection_id == collection, idempotency.c.key == key
    )
    row = connection.execute(query).first()
    return None if row is None else (row.fingerprint, row.answer, row.created_at)


def drop_answers_before(connection: Connection, moment: datetime) -> None:
    """Forget kept answers older than a moment."""
    connection.execute(delete(idempotency).where(idempotency.c.created_at < moment))
