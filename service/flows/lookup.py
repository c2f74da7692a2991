"""Look at what is enrolled."""

import asyncio
from collections.abc import Callable, Sequence

from sqlalchemy import Connection

from service.db.audit import list_entries
from service.db.people import describe_collection, find_collection, find_identity, list_collections, list_identities
from service.db.sightings import find_picture, list_crops, no_crop
from service.domain import AuditEntry, Collection, Condition, Crop, Identity
from service.errors import NotFound
from service.flows.parts import Parts


async def page_identities(
    parts: Parts, collection: str, *, after: int, limit: int, name: str | None, conditions: Sequence[Condition]
) -> list[Identity]:
    """Up to `limit` identities after a position, and one more where there are more, which is not to be shown. Raises
    NotFound for the collection."""

    def query(connection: Connection) -> list[Identity]:
        home = find_collection(connection, collection).id
        return list_identities(connection, home, after=after, limit=limit + 1, name=name, conditions=conditions)

    found = await parts.database.read(query)
    parts.audit.saw("identity.list", collection, [one.external_id for one in found[:limit]])
    return found


async def show_identity(parts: Parts, collection: str, external_id: str) -> Identity:
    """One identity. Raises NotFound."""
    found = await parts.database.read(lambda connection: identity_at(connection, collection, external_id))
    parts.audit.saw("identity.read", collection, [external_id])
    return found


async def page_crops(parts: Parts, collection: str, external_id: str, *, after: int, limit: int) -> list[Crop]:
    """Up to `limit` crops of an identity after a position, and one more where there are more, which is not to be shown.
    Raises NotFound."""

    def query(connection: Connection) -> list[Crop]:
        identity = identity_at(connection, collection, external_id).id
        return list_crops(connection, identity, after=after, limit=limit + 1)

    found = await parts.database.read(query)
    parts.audit.saw("crop.list", collection, [external_id])
    return found


async def show_picture(parts: Parts, crop: int, sees: Callable[[str], bool]) -> tuple[bytes, str]:
    """The picture of a crop and its media type. Raises NotFound, also for a crop of a collection that the caller does
    not see."""
    kept = await parts.database.read(find_picture, crop)
    if not sees(kept.collection):
        raise no_crop(crop)
    if kept.picture is None:
        raise NotFound("the collection of this crop keeps no pictures", code="PICTURE_NOT_KEPT")
    picture = await asyncio.to_thread(parts.store.read, kept.picture)
    parts.audit.saw("picture.read", kept.collection, [kept.identity])
    return picture, kept.media_type


async def page_audit(parts: Parts, *, after: int, limit: int) -> list[tuple[int, AuditEntry]]:
    """Up to `limit` entries of the audit log with their numbers, after a position."""
    found = await parts.database.read(lambda connection: list_entries(connection, after=after, limit=limit))
    if found:
        parts.audit.saw("audit.read", None)
    return found


async def show_collections(parts: Parts) -> list[Collection]:
    """All collections."""
    return await parts.database.read(list_collections)


async def show_collection(parts: Parts, name: str) -> Collection:
    """One collection with its counts. Raises NotFound."""
    return await parts.database.read(describe_collection, name)


def identity_at(connection: Connection, collection: str, external_id: str) -> Identity:
    """An identity by the names clients use. Raises NotFound."""
    return find_identity(connection, find_collection(connection, collection).id, external_id)
