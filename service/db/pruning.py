"""Statements that take out of a copy of a database whoever was erased from the original."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from typing import Any

from sqlalchemy import Column, Connection, Table, delete, func, select, update

from service.db.changes import ChangeLog, record
from service.db.tables import api_keys, collections, crops, identities
from service.domain import Tombstone

ROWS_AT_ONCE = 5_000
MAX_DIGITS = 18  # of an id that fits into 64 bits
ERASABLE = {"collection": collections, "identity": identities, "crop": crops}  # in the order in which they hang


@dataclass(frozen=True, slots=True)
class Erased:
    """A crop that was taken out."""

    crop: int
    picture: str | None
    collection: int


@dataclass(frozen=True, slots=True)
class Again:
    """What was taken out by tombstones: the crops, and how many rows of collections, people, crops and keys were
    named and there."""

    crops: list[Erased]
    rows: int


def erase_gone(copy: Connection, original: Connection) -> list[Erased]:
    """Take out of a copy all collections, identities and crops that the original has no longer."""
    erased = []
    for one in ERASABLE.values():
        for gone in list(_gone(copy, original, (one.c.id, one.c.created_at))):
            erased += _erase(copy, one, gone)
    return _noted(copy, erased)


def drop_gone_pictures(copy: Connection, original: Connection) -> list[int]:
    """Take out of a copy the names of pictures that the original has no longer; returns their crops, which stay."""
    dropped = []
    for gone in list(_gone(copy, original, (crops.c.id, crops.c.picture))):
        copy.execute(update(crops).where(crops.c.id.in_(gone)).values(picture=None))
        dropped += gone
    return dropped


def erase_stones(copy: Connection, stones: Iterable[Tombstone], now: datetime) -> Again:
    """Take out of a copy the rows of tombstones, and revoke the keys; a stone whose row is not there, or was made at
    another moment, is passed over."""
    erased, rows = [], 0
    iterator = iter(stones)
    while part := list(islice(iterator, ROWS_AT_ONCE)):
        for kind, one in ERASABLE.items():
            moments: dict[str, set[datetime]] = {}
            for stone in part:
                if stone.kind == kind and stone.row.isdecimal() and len(stone.row) <= MAX_DIGITS:
                    moments.setdefault(stone.row, set()).add(stone.created_at)
            query = select(one.c.id, one.c.created_at).where(one.c.id.in_([int(row) for row in moments]))
            found = copy.execute(query) if moments else ()
            there = [row.id for row in found if row.created_at in moments.get(str(row.id), ())]
            erased += _erase(copy, one, there)
            rows += len(there)
        rows += sum(_revoke(copy, stone, now) for stone in part if stone.kind == "key")
    return Again(_noted(copy, erased), rows)


def pictures_of(connection: Connection, pictures: Sequence[str]) -> dict[str, tuple[int, str]]:
    """Crop and sha256 of those of the pictures that a row names."""
    query = select(crops.c.picture, crops.c.id, crops.c.picture_sha256).where(crops.c.picture.in_(pictures))
    return {row.picture: (row.id, row.picture_sha256) for row in connection.execute(query)}


def count_pictures(connection: Connection) -> int:
    """How many crops have a picture."""
    return int(connection.execute(select(func.count(crops.c.picture))).scalar_one())


def all_pictures(connection: Connection) -> Iterator[tuple[int, str, str]]:
    """Crop, picture and sha256 of every crop that has a picture, lowest crop first."""
    query = (
        select(crops.c.id, crops.c.picture, crops.c.picture_sha256)
        .where(crops.c.picture.is_not(None))
        .order_by(crops.c.id)
        .execution_options(yield_per=ROWS_AT_ONCE)
    )
    for row in connection.execute(query):
        yield row.id, row.picture, row.picture_sha256


def _gone(copy: Connection, original: Connection, columns: tuple[Column[Any], ...]) -> Iterator[list[int]]:
    """Ids, which are the first of the columns, of rows for which the original has not the same values."""
    number, query = columns[0], select(*columns)
    ordered = query.order_by(number).execution_options(yield_per=ROWS_AT_ONCE)
    for part in copy.execute(ordered).partitions():
        there = {tuple(row) for row in original.execute(query.where(number.between(part[0][0], part[-1][0])))}
        gone = [int(row[0]) for row in part if tuple(row) not in there]
        if gone:
            yield gone


def _erase(connection: Connection, one: Table, rows: Sequence[int]) -> list[Erased]:
    """Delete rows by id; what hangs on them goes too. Returns the crops among it."""
    if not rows:
        return []
    owner: Column[int] = {"collections": identities.c.collection_id, "identities": identities.c.id}.get(
        one.name, crops.c.id
    )
    query = select(crops.c.id, crops.c.picture, identities.c.collection_id).join_from(crops, identities)
    erased = [Erased(*row) for row in connection.execute(query.where(owner.in_(rows)))]
    if one is collections:
        connection.execute(delete(identities).where(identities.c.collection_id.in_(rows)))
    connection.execute(delete(one).where(one.c.id.in_(rows)))
    return erased


def _noted(connection: Connection, erased: list[Erased]) -> list[Erased]:
    """Write the change log as a removal does: it must lead to the rows that are there."""
    log = ChangeLog()
    for one in erased:
        log.removed(one.collection, [one.crop])
    record(connection, log.noted)
    return erased


def _revoke(connection: Connection, stone: Tombstone, now: datetime) -> int:
    """Revoke a key; returns how many there were to revoke."""
    key = (api_keys.c.id == stone.row) & (api_keys.c.created_at == stone.created_at) & api_keys.c.revoked_at.is_(None)
    return int(connection.execute(update(api_keys).where(key).values(revoked_at=now)).rowcount)
