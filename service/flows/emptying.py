"""Remove hidden collections portion by portion, so that other writes come between."""

import asyncio
import logging
from dataclasses import dataclass, field

from sqlalchemy import Connection

from service.db.audit import add_entries
from service.db.changes import ChangeLog, record
from service.db.database import Database
from service.db.emptying import Portion, going_collections, take_portion
from service.errors import Stopping
from service.flows.audit import entry
from service.flows.parts import Parts
from service.flows.writer import Job

log = logging.getLogger(__name__)


@dataclass(slots=True)
class Emptied:
    """What went of a collection until now, and the generation that has it."""

    identities: int = 0
    crops: list[int] = field(default_factory=list)
    vectors: int = 0
    pictures: int = 0
    generation: int = 0


async def empty(parts: Parts, collection: int, name: str | None = None) -> Emptied:
    """Remove all that is left of a hidden collection, and then itself. `name` is what it was called, where that is
    still known. Raises Stopping, with the rest left to the next start."""
    done, last = Emptied(), False
    while not last:
        if parts.stopping.is_set():
            raise Stopping("the service is shutting down; what is left goes when it starts again")
        written = await parts.writer.write(_taking(collection, name))
        portion, done.generation = written.value, written.generation
        done.identities += len(portion.subjects)
        done.crops += portion.taken.crops
        done.vectors += portion.taken.vectors
        done.pictures += portion.taken.pictures
        last = portion.last
    return done


async def go_on(parts: Parts) -> None:
    """Remove hidden collections that no request is busy with."""
    for collection in await parts.database.read(going_collections):
        if collection not in parts.emptying:
            await empty(parts, collection)
            await asyncio.to_thread(parts.galleries.drop, collection)


def empty_at_start(database: Database) -> None:
    """Remove what a crash left of hidden collections, before the index is loaded. Raises DatabaseDown."""
    for collection in database.read_now(going_collections):
        log.info("a collection is still to be removed")
        last = False
        while not last:
            with database.begin() as connection:
                changes = ChangeLog()
                last = _taking(collection, None)(connection, changes).last
                record(connection, changes.noted)


def _taking(collection: int, name: str | None) -> Job[Portion]:
    done = entry("collection.remove", name)

    def job(connection: Connection, changes: ChangeLog) -> Portion:
        portion = take_portion(connection, collection)
        changes.removed(collection, portion.taken.crops)
        if portion.subjects:
            add_entries(connection, [done.about(portion.subjects)])
        return portion

    return job
