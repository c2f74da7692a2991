"""Remove people, crops and collections: rows, vectors, pictures and index entries, before the answer is given."""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass

from sqlalchemy import Connection

from service.db.changes import ChangeLog
from service.db.outbox import clear_outbox, waiting_pictures
from service.db.people import delete_collection, delete_identity, describe_collection, find_collection, find_identity
from service.db.sightings import take_crop, take_crops_in, take_crops_of
from service.domain import DEFAULT_COLLECTION
from service.errors import Conflict, NotFound, OutcomeUnknown, ReappearError
from service.flows.parts import Parts

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Removed:
    """What is gone: how many identities and crops (each with its vector and picture), as of which generation."""

    identities: int
    crops: int
    generation: int


async def remove_identity(parts: Parts, collection: str, external_id: str) -> Removed:
    """Remove an identity and all that belongs to it. Raises NotFound."""

    def job(connection: Connection, changes: ChangeLog) -> tuple[int, int]:
        home = find_collection(connection, collection).id
        identity = find_identity(connection, home, external_id).id
        crops = take_crops_of(connection, identity)
        delete_identity(connection, identity)
        changes.removed(home, crops)
        return 1, len(crops)

    return await _remove(parts, job)


async def remove_crop(parts: Parts, collection: str, external_id: str, crop: int) -> Removed:
    """Remove one crop of an identity; the identity stays, even without crops. Raises NotFound."""

    def job(connection: Connection, changes: ChangeLog) -> tuple[int, int]:
        home = find_collection(connection, collection).id
        take_crop(connection, find_identity(connection, home, external_id).id, crop)
        changes.removed(home, [crop])
        return 0, 1

    return await _remove(parts, job)


async def remove_collection(parts: Parts, name: str, *, with_identities: bool) -> Removed:
    """Remove a collection. Raises Conflict for the default one, and for one with people in it unless asked for."""
    if name == DEFAULT_COLLECTION:
        raise Conflict("the default collection always exists; remove its identities instead")

    def job(connection: Connection, changes: ChangeLog) -> tuple[int, int]:
        home = describe_collection(connection, name)
        if home.identities and not with_identities:
            raise Conflict(f"{name!r} holds {home.identities} identities; add ?with_identities=true to remove them too")
        crops = take_crops_in(connection, home.id)
        delete_collection(connection, home.id)
        changes.removed(home.id, crops)
        return home.identities, len(crops)

    return await _remove(parts, job)


async def empty_outbox(parts: Parts) -> None:
    """Unlink the pictures whose rows are gone; what cannot be unlinked now stays for the next time."""
    pictures = await asyncio.to_thread(parts.database.read_now, waiting_pictures)  # `read` refuses under load
    if not pictures:
        return
    parts.fail_point("after-commit-before-unlink")
    await asyncio.to_thread(parts.store.unlink, pictures)
    parts.fail_point("after-unlink-before-clearing")
    await parts.writer.write(lambda connection, changes: clear_outbox(connection, pictures))


async def _remove(parts: Parts, job: Callable[[Connection, ChangeLog], tuple[int, int]]) -> Removed:
    try:
        written = await parts.writer.write(job)
    except NotFound:
        await _unlink(parts)  # of a removal whose answer was lost, and which is asked for again
        raise
    await _unlink(parts)
    identities, crops = written.value
    return Removed(identities, crops, written.generation)


async def _unlink(parts: Parts) -> None:
    try:
        await empty_outbox(parts)
    except (OSError, ReappearError) as error:  # never Overloaded, which says that nothing was done
        log.exception("pictures of removed crops cannot be unlinked")
        raise OutcomeUnknown("removed from rows and index, but pictures cannot be unlinked yet; ask again") from error
