"""Statements that take a large collection out bit by bit. Its name goes first: to one that no client can send, so that
nothing finds it any more, and what is left of it can go in transactions of its own, also after a crash."""

from dataclasses import dataclass

from sqlalchemy import Connection, delete, select, update

from service.db.erasures import erase_rows
from service.db.people import GOING, drop_emptied
from service.db.sightings import Taken, take_crops
from service.db.tables import api_keys, collections, crops, identities

PEOPLE_AT_ONCE = 200
CROPS_AT_ONCE = 500  # in one transaction: 40 ms


@dataclass(frozen=True, slots=True)
class Portion:
    """What went in one transaction: crops, and people by the client's ids; `last` where the collection's row went."""

    taken: Taken
    subjects: list[str]
    last: bool


def hide_collection(connection: Connection, collection: int) -> None:
    """From now on nobody finds a collection or what is in it, its keys are gone, and no restore brings it back."""
    erase_rows(connection, "collection", collections, collections.c.id == collection)
    connection.execute(update(collections).where(collections.c.id == collection).values(name=f"{GOING}{collection}"))
    connection.execute(delete(api_keys).where(api_keys.c.collection_id == collection))


def going_collections(connection: Connection) -> list[int]:
    """Collections that are hidden and not yet gone."""
    found = select(collections.c.id).where(collections.c.name.startswith(GOING)).order_by(collections.c.id)
    return [int(number) for number in connection.execute(found).scalars()]


def some_crops(connection: Connection, collection: int, limit: int) -> list[int]:
    """Some crops of a collection."""
    found = select(crops.c.id).join_from(crops, identities).where(identities.c.collection_id == collection)
    return [int(number) for number in connection.execute(found.limit(limit)).scalars()]


def take_portion(connection: Connection, collection: int) -> Portion:
    """Remove some crops of a hidden collection, the people who have no others, or at last its row."""
    people = _some_people(connection, collection)
    if not people:
        connection.execute(delete(collections).where(collections.c.id == collection))
        return Portion(Taken([], 0, 0), [], True)
    found = select(crops.c.id).where(crops.c.identity_id.in_(people)).order_by(crops.c.id).limit(CROPS_AT_ONCE)
    taken = take_crops(connection, [int(number) for number in connection.execute(found).scalars()])
    return Portion(taken, [people[identity] for identity in sorted(drop_emptied(connection, people))], False)


def _some_people(connection: Connection, collection: int) -> dict[int, str]:
    """The client's ids by ours."""
    found = select(identities.c.id, identities.c.external_id).where(identities.c.collection_id == collection)
    return {row.id: row.external_id for row in connection.execute(found.limit(PEOPLE_AT_ONCE))}
