"""Change what is said of people and collections."""

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection

from service.db.audit import add_entries
from service.db.changes import ChangeLog
from service.db.people import add_collection, change_collection, change_identity, describe_collection, find_collection
from service.db.sightings import drop_pictures_in
from service.domain import Collection, Identity, Thresholds
from service.errors import BadInput
from service.flows.audit import entry
from service.flows.lookup import identity_at
from service.flows.merge import Patch
from service.flows.outbox import unlink
from service.flows.parts import Parts


async def patch_identity(parts: Parts, collection: str, external_id: str, patch: Patch) -> Identity:
    """Change name and attributes of an identity. Raises NotFound."""

    done = entry("identity.change", collection, [external_id])

    def job(connection: Connection, changes: ChangeLog) -> Identity:
        known = identity_at(connection, collection, external_id)
        name, attributes = patch.merged_name(known.name), patch.merged_attributes(known.attributes)
        change_identity(connection, known.id, name, attributes, datetime.now(UTC))
        add_entries(connection, [done])
        return identity_at(connection, collection, external_id)

    return (await parts.writer.write(job)).value


async def make_collection(parts: Parts, name: str, values: dict[str, Any]) -> Collection:
    """Make a collection with the thresholds and rules named in values. Raises Conflict where the name is taken,
    BadInput for thresholds in the wrong order."""
    done = entry("collection.create", name)

    def job(connection: Connection, changes: ChangeLog) -> Collection:
        _check_thresholds(parts.model.thresholds, values.get("match_threshold"), values.get("possible_threshold"))
        add_collection(connection, name, values, datetime.now(UTC))
        add_entries(connection, [done])
        return describe_collection(connection, name)

    return (await parts.writer.write(job)).value


async def patch_collection(parts: Parts, name: str, values: dict[str, Any]) -> Collection:
    """Set thresholds and rules, as far as named; pictures that shall not be kept are removed before this returns.
    Raises NotFound, BadInput."""
    done = entry("collection.change", name)

    def job(connection: Connection, changes: ChangeLog) -> Collection:
        known = find_collection(connection, name)
        match = values.get("match_threshold", known.match_threshold)
        possible = values.get("possible_threshold", known.possible_threshold)
        _check_thresholds(parts.model.thresholds, match, possible)
        change_collection(connection, known.id, values)
        if values.get("keep_pictures") is False:
            drop_pictures_in(connection, known.id)
        add_entries(connection, [done])
        return describe_collection(connection, name)

    changed = (await parts.writer.write(job)).value
    await unlink(parts)
    return changed


def _check_thresholds(model: Thresholds, match: float | None, possible: float | None) -> None:
    upper = model.match if match is None else match
    if possible is not None and possible > upper:
        raise BadInput(f"possible_threshold {possible} is above the match threshold in force, {upper}")
