"""Statements about collections, identities and their attributes."""

import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, Select, delete, func, insert, select, update
from sqlalchemy.exc import IntegrityError

from service.db.erasures import erase_rows
from service.db.filters import clauses
from service.db.tables import attributes, collections, crops, identities
from service.domain import MAX_FILTERED_CHARS, Collection, Condition, Identity
from service.errors import Conflict, NotFound

_crops_of_identity = (
    select(func.count()).select_from(crops).where(crops.c.identity_id == identities.c.id).scalar_subquery()
)


GOING = "/"  # which no client's name has: a collection whose name begins with it is hidden, and about to go
_shown = collections.c.name.not_like(f"{GOING}%")


def fold(name: str | None) -> str | None:
    """How names are compared: compatibility form, case folded."""
    return None if name is None else unicodedata.normalize("NFKC", name).casefold()


def _collections() -> Select[Any]:
    members = select(func.count()).select_from(identities).where(identities.c.collection_id == collections.c.id)
    pictures = select(func.count()).select_from(crops.join(identities)).where(
        identities.c.collection_id == collections.c.id
    )  # fmt: skip
    return select(
        *collections.c, members.scalar_subquery().label("identities"), pictures.scalar_subquery().label("crops")
    ).where(_shown)


def _as_collection(row: Row[Any]) -> Collection:
    return replace(_bare(row), identities=row.identities, crops=row.crops)


def _bare(row: Row[Any]) -> Collection:
    return Collection(
        row.id, row.name, row.match_threshold, row.possible_threshold, row.retention_days, row.keep_pictures,
        row.created_at,
    )  # fmt: skip


def list_collections(connection: Connection) -> list[Collection]:
    """All collections by name, with their counts."""
    found = [_as_collection(row) for row in connection.execute(_collections())]
    return sorted(found, key=lambda one: one.name)


def describe_collection(connection: Connection, name: str) -> Collection:
    """A collection with its counts. Raises NotFound."""
    row = connection.execute(_collections().where(collections.c.name == name)).first()
    if row is None:
        raise _no_collection(name)
    return _as_collection(row)


def find_collections(connection: Connection) -> list[Collection]:
    """All collections by name, without their counts."""
    return sorted(map(_bare, connection.execute(select(collections).where(_shown))), key=lambda one: one.name)


def find_collection(connection: Connection, name: str) -> Collection:
    """A collection without its counts, which cost a scan. Raises NotFound."""
    row = connection.execute(select(collections).where(collections.c.name == name)).first()
    if row is None:
        raise _no_collection(name)
    return _bare(row)


def drop_emptied(connection: Connection, people: Iterable[int]) -> set[int]:
    """Remove those of some people, by our ids, who have no crop left; returns whom."""
    wanted = set(people)
    gone = wanted - set(
        connection.execute(select(crops.c.identity_id).where(crops.c.identity_id.in_(wanted))).scalars()
    )
    erase_rows(connection, "identity", identities, identities.c.id.in_(gone))
    connection.execute(delete(identities).where(identities.c.id.in_(gone)))
    return gone


def look_up_collection(connection: Connection, collection: int) -> Collection | None:
    """A collection by our id, without its counts, or None."""
    row = connection.execute(select(collections).where(collections.c.id == collection, _shown)).first()
    return None if row is None else _bare(row)


def collection_ids(connection: Connection) -> list[int]:
    """The ids of all collections."""
    return [int(number) for number in connection.execute(select(collections.c.id).where(_shown)).scalars()]


def add_collection(connection: Connection, name: str, values: dict[str, Any], now: datetime) -> None:
    """Make a collection with the thresholds and rules named in values. Raises Conflict where the name is taken."""
    try:
        with connection.begin_nested():
            connection.execute(insert(collections).values(name=name, created_at=now, **values))
    except IntegrityError as error:
        raise Conflict(f"collection {name!r} exists already; PATCH /collections/{name} changes it") from error


def change_collection(connection: Connection, collection: int, values: dict[str, Any]) -> None:
    """Set the thresholds and rules named in values."""
    if values:
        connection.execute(update(collections).where(collections.c.id == collection).values(values))


def count_identities(connection: Connection, collection: int) -> int:
    """How many identities a collection has."""
    query = select(func.count()).select_from(identities).where(identities.c.collection_id == collection)
    return int(connection.execute(query).scalar_one())


def _identities() -> Select[Any]:
    return select(*identities.c, _crops_of_identity.label("crops"))


def _as_identity(row: Row[Any]) -> Identity:
    return Identity(
        row.id, row.external_id, row.name, row.attributes, row.crops, row.created_at, row.updated_at
    )  # fmt: skip


def find_identity(connection: Connection, collection: int, external_id: str) -> Identity:
    """An identity by the client's id. Raises NotFound."""
    found = look_up_identity(connection, collection, external_id)
    if found is None:
        raise NotFound(
            f"no identity {external_id!r} in this collection; GET /gallery lists them", code="IDENTITY_NOT_FOUND"
        )
    return found


def look_up_identity(connection: Connection, collection: int, external_id: str) -> Identity | None:
    """An identity by the client's id, or None."""
    query = _identities().where(identities.c.collection_id == collection, identities.c.external_id == external_id)
    row = connection.execute(query).first()
    return None if row is None else _as_identity(row)


def show_identity(connection: Connection, identity: int) -> Identity:
    """An identity by our id, which must be there."""
    return _as_identity(connection.execute(_identities().where(identities.c.id == identity)).one())


def list_identities(
    connection: Connection,
    collection: int,
    *,
    after: int,
    limit: int,
    name: str | None,
    conditions: Sequence[Condition],
) -> list[Identity]:
    """Identities in the order they came, from the one after `after`; `name` is searched anywhere, in any case."""
    query = _identities().where(identities.c.collection_id == collection, identities.c.id > after)
    if name is not None:
        query = query.where(identities.c.name_folded.contains(fold(name) or "", autoescape=True))
    query = query.where(*clauses(conditions))
    return [_as_identity(row) for row in connection.execute(query.order_by(identities.c.id).limit(limit))]


def add_identity(
    connection: Connection, collection: int, external_id: str, name: str | None, values: dict[str, Any], now: datetime
) -> int:
    """Make an identity; returns our id of it."""
    row = {
        "collection_id": collection, "external_id": external_id, "name": name, "name_folded": fold(name),
        "attributes": values, "created_at": now, "updated_at": now,
    }  # fmt: skip
    identity = int(connection.execute(insert(identities).values(row).returning(identities.c.id)).scalar_one())
    _index_attributes(connection, identity, values)
    return identity


def change_identity(
    connection: Connection, identity: int, name: str | None, values: dict[str, Any], now: datetime
) -> None:
    """Set the name and attributes of an identity."""
    connection.execute(
        update(identities)
        .where(identities.c.id == identity)
        .values(name=name, name_folded=fold(name), attributes=values, updated_at=now)
    )
    connection.execute(delete(attributes).where(attributes.c.identity_id == identity))
    _index_attributes(connection, identity, values)


def delete_identity(connection: Connection, identity: int) -> None:
    """Remove an identity; its crops, vectors, attributes and kept answers go with it."""
    erase_rows(connection, "identity", identities, identities.c.id == identity)
    connection.execute(delete(identities).where(identities.c.id == identity))


def _index_attributes(connection: Connection, identity: int, values: dict[str, Any]) -> None:
    rows = [
        {"identity_id": identity, "key": key, **_column(scalar)}
        for key, value in values.items()
        for scalar in (value if isinstance(value, list) else [value])
        if isinstance(scalar, int | float) or (isinstance(scalar, str) and len(scalar) <= MAX_FILTERED_CHARS)
    ]
    if rows:
        connection.execute(insert(attributes), rows)


def _column(scalar: str | float | bool) -> dict[str, Any]:
    if isinstance(scalar, bool):
        return {"kind": "boolean", "text": None, "number": float(scalar)}
    if isinstance(scalar, str):
        return {"kind": "string", "text": scalar, "number": None}
    return {"kind": "number", "text": None, "number": float(scalar)}


def _no_collection(name: str) -> NotFound:
    return NotFound(f"no collection {name!r}; POST /collections makes one", code="COLLECTION_NOT_FOUND")
