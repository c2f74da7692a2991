"""Look at what is enrolled, and change what is said of it."""

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime

from sqlalchemy import Connection

from service.db.changes import ChangeLog
from service.db.people import (
    add_collection,
    change_collection,
    change_identity,
    describe_collection,
    find_collection,
    find_identity,
    list_collections,
    list_identities,
)  # fmt: skip
from service.db.sightings import find_picture, list_crops
from service.domain import Collection, Condition, Crop, Identity
from service.errors import BadInput
from service.flows.merge import Patch
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
    return await parts.database.read(lambda connection: _identity(connection, collection, external_id))


async def page_crops(parts: Parts, collection: str, external_id: str, *, after: int, limit: int) -> list[Crop]:
    """Up to `limit` crops of an identity after a position. Raises NotFound."""

    def query(connection: Connection) -> list[Crop]:
        identity = _identity(connection, collection, external_id).id
        return list_crops(connection, identity, after=after, limit=limit)

    return await parts.database.read(query)


async def show_picture(parts: Parts, crop: int) -> tuple[bytes, str]:
    """The picture of a crop and its media type. Raises NotFound."""
    name, media_type = await parts.database.read(find_picture, crop)
    return await asyncio.to_thread(parts.store.read, name), media_type


async def patch_identity(parts: Parts, collection: str, external_id: str, patch: Patch) -> Identity:
    """Change name and attributes of an identity. Raises NotFound."""

    def job(connection: Connection, changes: ChangeLog) -> Identity:
        known = _identity(connection, collection, external_id)
        name, attributes = patch.merged_name(known.name), patch.merged_attributes(known.attributes)
        change_identity(connection, known.id, name, attributes, datetime.now(UTC))
        return _identity(connection, collection, external_id)

    return (await parts.writer.write(job)).value  # type: ignore[no-any-return]


async def show_collections(parts: Parts) -> list[Collection]:
    """All collections."""
    return await parts.database.read(list_collections)


async def show_collection(parts: Parts, name: str) -> Collection:
    """One collection with its counts. Raises NotFound."""
    return await parts.database.read(describe_collection, name)


async def make_collection(parts: Parts, name: str, match: float | None, possible: float | None) -> Collection:
    """Make a collection. Raises Conflict where the name is taken."""

    def job(connection: Connection, changes: ChangeLog) -> Collection:
        _check_thresholds(match, possible)
        add_collection(connection, name, match, possible, datetime.now(UTC))
        return describe_collection(connection, name)

    return (await parts.writer.write(job)).value  # type: ignore[no-any-return]


async def patch_collection(parts: Parts, name: str, values: dict[str, float | None]) -> Collection:
    """Set match_threshold and possible_threshold, as far as named. Raises NotFound, BadInput."""

    def job(connection: Connection, changes: ChangeLog) -> Collection:
        known = find_collection(connection, name)
        _check_thresholds(
            values.get("match_threshold", known.match_threshold),
            values.get("possible_threshold", known.possible_threshold),
        )
        change_collection(connection, known.id, values)
        return describe_collection(connection, name)

    return (await parts.writer.write(job)).value  # type: ignore[no-any-return]


def _identity(connection: Connection, collection: str, external_id: str) -> Identity:
    return find_identity(connection, find_collection(connection, collection).id, external_id)


def _check_thresholds(match: float | None, possible: float | None) -> None:
    if match is not None and possible is not None and possible > match:
        raise BadInput("possible_threshold must not be above match_threshold")
