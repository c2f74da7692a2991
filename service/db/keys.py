"""Statements about API keys."""

from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, Select, insert, or_, select, update

from service.db.erasures import erase_rows
from service.db.tables import api_keys, collections
from service.domain import ApiKey, Scope
from service.errors import NotFound


def add_key(connection: Connection, key: ApiKey, collection: int | None) -> None:
    """Keep a new key; `collection` is our id of the one it is for."""
    row = {
        "id": key.id, "name": key.name, "secret_sha256": key.secret_sha256, "scope": key.scope.value,
        "collection_id": collection, "reads_per_minute": key.reads_per_minute,
        "writes_per_minute": key.writes_per_minute, "created_at": key.created_at, "expires_at": key.expires_at,
    }  # fmt: skip
    connection.execute(insert(api_keys).values(row))


def list_keys(connection: Connection) -> list[ApiKey]:
    """All keys, oldest first, revoked and expired ones included."""
    return [_as_key(row) for row in connection.execute(_keys().order_by(api_keys.c.created_at, api_keys.c.id))]


def keys_in_force(connection: Connection, now: datetime) -> list[ApiKey]:
    """Keys that are neither revoked nor expired."""
    unexpired = or_(api_keys.c.expires_at.is_(None), api_keys.c.expires_at > now)
    return [_as_key(row) for row in connection.execute(_keys().where(api_keys.c.revoked_at.is_(None), unexpired))]


def revoke_key(connection: Connection, key: str, now: datetime) -> ApiKey:
    """Revoke a key for good, also in restored backups; one revoked before stays as it is. Raises NotFound."""
    row = connection.execute(_keys().where(api_keys.c.id == key)).first()
    if row is None:
        raise NotFound(f"no key {key!r}; GET /keys lists them", code="KEY_NOT_FOUND")
    if row.revoked_at is None:
        erase_rows(connection, "key", api_keys, api_keys.c.id == key)
        connection.execute(update(api_keys).where(api_keys.c.id == key).values(revoked_at=now))
    return _as_key(connection.execute(_keys().where(api_keys.c.id == key)).one())


def _keys() -> Select[Any]:
    return select(*api_keys.c, collections.c.name.label("collection")).outerjoin_from(api_keys, collections)


def _as_key(row: Row[Any]) -> ApiKey:
    return ApiKey(
        row.id, row.name, row.secret_sha256, Scope(row.scope), row.collection, row.reads_per_minute,
        row.writes_per_minute, row.created_at, row.expires_at, row.revoked_at,
    )  # fmt: skip
