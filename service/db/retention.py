"""Statements about crops that have had their time."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, and_, case, func, or_, select

from service.db.people import drop_emptied, find_collections
from service.db.sightings import Taken, take_crops
from service.db.tables import crops, identities
from service.domain import Collection


@dataclass(frozen=True, slots=True)
class TakenExpired:
    """Crops that went, the clients' ids of whom they showed, and how many of these went with their last crop."""

    taken: Taken
    subjects: list[str]
    identities: int


def count_expired(connection: Connection, collection: Collection, at: datetime) -> tuple[int, int]:
    """How many crops have had their time at a moment, and how many identities have no others."""
    expired = func.sum(case((_expired(collection, at), 1), else_=0))
    each = (
        select(expired.label("expired"), func.count().label("crops"))
        .select_from(crops.join(identities))
        .where(identities.c.collection_id == collection.id)
        .group_by(crops.c.identity_id)
        .subquery()
    )
    whole = func.sum(case((each.c.expired == each.c.crops, 1), else_=0))
    row = connection.execute(select(func.sum(each.c.expired), whole)).one()
    return int(row[0] or 0), int(row[1] or 0)


def with_expired(connection: Connection, at: datetime) -> list[Collection]:
    """Collections, without counts, of which any crop has had its time. Without a filter by collection the index of
    `expires_at` answers for those that expire by themselves."""
    owners = select(identities.c.collection_id).join_from(crops, identities)
    by_themselves = set(connection.execute(owners.where(crops.c.expires_at <= at).distinct()).scalars())

    def has_old(collection: Collection) -> bool:
        mine = and_(identities.c.collection_id == collection.id, _expired(collection, at))
        return connection.execute(owners.where(mine).limit(1)).first() is not None

    return [
        one for one in find_collections(connection)
        if one.id in by_themselves or (one.retention_days is not None and has_old(one))
    ]  # fmt: skip


def take_expired(connection: Connection, collection: Collection, at: datetime, limit: int) -> TakenExpired:
    """Remove up to `limit` crops that have had their time, oldest first, and the identities that have none left."""
    mine = and_(identities.c.collection_id == collection.id, _expired(collection, at))
    query = select(crops.c.id, crops.c.identity_id, identities.c.external_id).join_from(crops, identities).where(mine)
    rows = connection.execute(query.order_by(crops.c.id).limit(limit)).all()
    taken = take_crops(connection, [row.id for row in rows])
    owners = {row.identity_id: row.external_id for row in rows}
    return TakenExpired(taken, sorted(owners.values()), len(drop_emptied(connection, owners)))


def _expired(collection: Collection, at: datetime) -> Any:
    by_itself = and_(crops.c.expires_at.is_not(None), crops.c.expires_at <= at)
    if collection.retention_days is None:
        return by_itself
    return or_(by_itself, crops.c.created_at <= at - timedelta(days=collection.retention_days))
