"""Remove crops that have had their time: by their own `expires_at`, or by the `retention_days` of their collection.
Identities go with the last of their crops."""

import logging
from dataclasses import dataclass
from datetime import UTC, datetime

from sqlalchemy import Connection

from service.db.audit import add_entries
from service.db.changes import ChangeLog
from service.db.people import find_collections, look_up_collection
from service.db.retention import count_expired, take_expired, with_expired
from service.domain import Collection
from service.errors import BadInput
from service.flows.audit import entry
from service.flows.clock import LONGEST_REST
from service.flows.outbox import unlink
from service.flows.parts import Parts

log = logging.getLogger(__name__)

CROPS_AT_ONCE = 1_000  # in one transaction, so that other writes come between


@dataclass(frozen=True, slots=True)
class Expired:
    """How many crops of a collection go, and how many identities with the last of theirs."""

    collection: str
    crops: int
    identities: int


async def preview(parts: Parts, at: datetime | None) -> tuple[datetime, list[Expired]]:
    """What has had its time at a moment, now where it is None, by collection. Raises BadInput for a past moment."""
    now = datetime.now(UTC)
    if at is not None and at < now:
        raise BadInput("at is in the past; what went then is in the audit log")
    moment = at or now

    def query(connection: Connection) -> list[Expired]:
        found = []
        for collection in find_collections(connection):
            crops, identities = count_expired(connection, collection, moment)
            if crops:
                found.append(Expired(collection.name, crops, identities))
        return found

    return moment, await parts.database.read(query)


async def apply_unasked(parts: Parts) -> None:
    """Remove what has had its time, but not by a doubtful clock: then whoever looks at it asks for it."""
    if not parts.clock.doubtful:
        parts.clock.note()  # never of a doubtful one: the next start would believe it
        await apply(parts)
    elif await parts.database.read(with_expired, parts.clock.earliest()):
        log.error(
            "retention waits: by this machine's clock the service did not run for %d days. If it is right: "
            "`reappear retention --apply`", LONGEST_REST.days,
        )  # fmt: skip


async def apply(parts: Parts) -> tuple[datetime, list[Expired]]:
    """Remove what has had its time; returns what went."""
    parts.clock.doubtful = False
    now = parts.clock.earliest()
    gone = []
    for collection in await parts.database.read(with_expired, now):
        crops = identities = 0
        while not parts.stopping.is_set():
            taken_crops, taken_identities = await _take(parts, collection, now)
            crops, identities = crops + taken_crops, identities + taken_identities
            if taken_crops < CROPS_AT_ONCE:
                break
        if crops:
            log.info("crops have had their time", extra={"crops": crops, "identities": identities})
            gone.append(Expired(collection.name, crops, identities))
    if gone:
        await unlink(parts)
    return now, gone


async def _take(parts: Parts, collection: Collection, now: datetime) -> tuple[int, int]:
    """Remove some crops by the rules now in force, which may have changed between two batches."""
    blank = entry("retention.remove", collection.name)

    def job(connection: Connection, changes: ChangeLog) -> tuple[int, int]:
        rules = look_up_collection(connection, collection.id)
        if rules is None:
            return 0, 0
        found = take_expired(connection, rules, now, CROPS_AT_ONCE)
        if found.taken.crops:
            changes.removed(collection.id, found.taken.crops)
            add_entries(connection, [blank.about(found.subjects)])
        return len(found.taken.crops), found.identities

    return (await parts.writer.write(job)).value
