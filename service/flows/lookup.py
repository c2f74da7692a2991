"""Look at what is enrolled."""

import asyncio
from collections.abc import Sequence

from sqlalchemy import Connection

from service.db.people import describe_collection, find_collection, find_identity, list_collections, list_identities
from service.db.sightings import find_picture, list_crops
from service.domain import Collection, Condition, Crop, Identity
from service.flows.parts import Parts


async def page_identities(
    parts: Parts, collection: str, *, after: int, limit: int, name: str | None, conditions: Sequence[Condition]
) -> list[Identity]:
    """Up to `limit` identities after a position. Raises NotFound for the collection."""

    def query(connection: Connection) -> list[Identity]:
        home = find_collection(connection, collection).id
        return list_identities(connection, home, after=after, limit=limit, name=name, conditions=conditions)

    return await parts.database.read(query)


async def show_identity(parts: Parts, collection: str, external_id: str) -> Identity:
    """One identity. Raises NotFound."""
    return await parts.database.read(lambda connection: identity_at(connection, collection, external_id))


async def page_crops(parts: Parts, collection: str, external_id: str, *, after: int, limit: int) -> list[Crop]:
    """Up to `limit` crops of an identity after a position. Raises NotFound."""

    def query(connection: Connection) -> list[Crop]:
        identity = identity_at(connection, collection, external_id).id
        return list_crops(connection, identity, after=after, limit=limit)

    return await parts.database.read(query)


async def show_picture(parts: Parts, crop: int) -> tuple[bytes, str]:
    """The picture of a crop and its media type. Raises NotFound."""
    name, media_type = await parts.database.read(find_picture, crop)
    return await asyncio.to_thread(parts.store.read, name), media_type


async def show_collections(parts: Parts) -> list[Collection]:
    """All collections."""
    return await parts.database.read(list_collections)


async def show_collection(parts: Parts, name: str) -> Collection:
    """One collection with its counts. Raises NotFound."""
    return await parts.database.read(describe_collection, name)


def identity_at(connection: Connection, collection: str, external_id: str) -> Identity:
    """An identity by the names clients use. Raises NotFound."""
    return find_identity(connection, find_collection(connection, collection).id, external_id)
