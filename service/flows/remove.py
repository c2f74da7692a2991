"""Remove people, crops and collections: rows, vectors, pictures and index entries, before the answer is given."""

import asyncio
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime

import numpy as np
from sqlalchemy import Connection

from service.db.audit import add_entries
from service.db.changes import ChangeLog
from service.db.emptying import hide_collection, some_crops
from service.db.people import count_identities, delete_identity, find_collection, find_identity
from service.db.sightings import Taken, rows_of, take_crop, take_crops_of, vectors_of_crops
from service.domain import DEFAULT_COLLECTION, VectorArray
from service.errors import Conflict, DatabaseDown, NotFound, OutcomeUnknown, ReappearError
from service.flows.audit import entry
from service.flows.emptying import empty, go_on
from service.flows.outbox import unlink
from service.flows.parts import Parts
from service.flows.writer import Job

log = logging.getLogger(__name__)

MAX_LOOKED_FOR = 256  # vectors of a removal that are searched for afterwards; of more, these many


@dataclass(frozen=True, slots=True)
class Counts:
    """How much is gone."""

    identities: int
    crops: int
    vectors: int
    pictures: int


@dataclass(frozen=True, slots=True)
class SelfQuery:
    """What was removed, looked for again: how many crops, and how many rows and hits there still are."""

    crops: int
    found: int


@dataclass(frozen=True, slots=True)
class Removed:
    """The receipt. `rewritten`: whether free pages and logs are overwritten too; else they are by `rewritten_by`."""

    removed: Counts
    generation: int
    self_query: SelfQuery
    rewritten: bool
    rewritten_by: datetime


@dataclass(frozen=True, slots=True)
class _Gone:
    """What a job took out: of which collection (ours), how many identities, which crops, and some of their vectors."""

    home: int
    identities: int
    taken: Taken
    vectors: VectorArray


async def remove_identity(parts: Parts, collection: str, external_id: str) -> Removed:
    """Remove an identity and all that belongs to it. Raises NotFound."""
    done = entry("identity.remove", collection, [external_id])

    def job(connection: Connection, changes: ChangeLog) -> _Gone:
        home = find_collection(connection, collection).id
        identity = find_identity(connection, home, external_id).id
        taken = take_crops_of(connection, identity)
        vectors = _some_vectors(connection, parts, taken)
        delete_identity(connection, identity)
        changes.removed(home, taken.crops)
        add_entries(connection, [done])
        return _Gone(home, 1, taken, vectors)

    return await _remove(parts, job)


async def remove_crop(parts: Parts, collection: str, external_id: str, crop: int) -> Removed:
    """Remove one crop of an identity; the identity stays, even without crops. Raises NotFound."""
    done = entry("crop.remove", collection, [external_id])

    def job(connection: Connection, changes: ChangeLog) -> _Gone:
        home = find_collection(connection, collection).id
        identity = find_identity(connection, home, external_id).id
        vectors = _some_vectors(connection, parts, Taken([crop], 1, 1))
        taken = take_crop(connection, identity, crop)
        changes.removed(home, taken.crops)
        add_entries(connection, [done])
        return _Gone(home, 0, taken, vectors)

    return await _remove(parts, job)


async def remove_collection(parts: Parts, name: str, *, with_identities: bool) -> Removed:
    """Remove a collection and its keys: first it is hidden, then it goes portion by portion. Raises Conflict for the
    default one, and for one with people in it unless asked for."""
    if name == DEFAULT_COLLECTION:
        raise Conflict("the default collection always exists; remove its identities instead")
    done = entry("collection.remove", name)
    busy: set[int] = set()

    def hide(connection: Connection, changes: ChangeLog) -> tuple[int, VectorArray]:
        home = find_collection(connection, name).id
        people = count_identities(connection, home)
        if people and not with_identities:
            raise Conflict(f"{name!r} holds {people} identities; add ?with_identities=true to remove them too")
        vectors = vectors_of_crops(connection, some_crops(connection, home, MAX_LOOKED_FOR), parts.model.id)
        hide_collection(connection, home)
        add_entries(connection, [done])
        busy.add(home)
        parts.emptying.add(home)  # housekeeping leaves it to this request
        return home, vectors

    try:
        home, vectors = await _hide(parts, name, hide)
        parts.fail_point("after-hiding-before-emptying")
        with _rest_to_follow():
            gone = await empty(parts, home, name)
    finally:
        parts.emptying.difference_update(busy)
    taken = Taken(gone.crops, gone.vectors, gone.pictures)
    try:
        return await _receipt(parts, _Gone(home, gone.identities, taken, vectors), gone.generation)
    finally:
        await asyncio.to_thread(parts.galleries.drop, home)


async def _hide(parts: Parts, name: str, job: Job[tuple[int, VectorArray]]) -> tuple[int, VectorArray]:
    try:
        hidden = (await parts.writer.write(job)).value
    except NotFound:
        with _rest_to_follow():
            await go_on(parts)  # with a removal whose answer was lost, and which is asked for again
        await unlink(parts)
        raise
    except OutcomeUnknown:
        parts.keys.drop_collection(name)  # better closed, until housekeeping knows
        raise
    parts.keys.drop_collection(name)
    return hidden


@contextmanager
def _rest_to_follow() -> Iterator[None]:
    """Errors, none of which may say that nothing was done."""
    try:
        yield
    except ReappearError as error:
        raise OutcomeUnknown("removed, and found no more, but some rows have yet to follow; ask again") from error


async def _remove(parts: Parts, job: Job[_Gone]) -> Removed:
    try:
        written = await parts.writer.write(job)
    except NotFound:
        await unlink(parts)  # of a removal whose answer was lost, and which is asked for again
        raise
    return await _receipt(parts, written.value, written.generation)


async def _receipt(parts: Parts, gone: _Gone, generation: int) -> Removed:
    await unlink(parts)
    rewritten = parts.rewriting.done
    crops = len(gone.taken.crops)
    return Removed(
        Counts(gone.identities, crops, gone.taken.vectors, gone.taken.pictures), generation,
        SelfQuery(crops, await _look_for(parts, gone)), rewritten, parts.rewriting.deadline,
    )  # fmt: skip


async def _look_for(parts: Parts, gone: _Gone) -> int:
    """Rows of the removed crops, and hits among them for their own vectors: none, or something is wrong."""
    try:
        found = await asyncio.to_thread(parts.database.read_now, rows_of, gone.taken.crops)
    except DatabaseDown as error:  # which says that nothing was written
        raise OutcomeUnknown("removed, but it cannot be looked for at the moment; ask again") from error
    if len(gone.vectors):
        gallery, allow = parts.galleries.of(gone.home), np.array(gone.taken.crops, np.int64)
        hits = await asyncio.to_thread(gallery.vectors.search, gone.vectors, 1, allow)
        found += int((hits[1] >= 0).sum())
    if found:
        log.error("removed crops are still found", extra={"found": found})
    return found


def _some_vectors(connection: Connection, parts: Parts, taken: Taken) -> VectorArray:
    return vectors_of_crops(connection, taken.crops[:MAX_LOOKED_FOR], parts.model.id)
