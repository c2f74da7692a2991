"""Change what is said of people and collections."""

from datetime import UTC, datetime

from sqlalchemy import Connection

from service.db.changes import ChangeLog
from service.db.people import add_collection, change_collection, change_identity, describe_collection, find_collection
from service.domain import Collection, Identity, Thresholds
from service.errors import BadInput
from service.flows.lookup import identity_at
from service.flows.merge import Patch
from service.flows.parts import Parts


async def patch_identity(parts: Parts, collection: str, external_id: str, patch: Patch) -> Identity:
    """Change name and attributes of an identity. Raises NotFound."""

    def job(connection: Connection, changes: ChangeLog) -> Identity:
        known = identity_at(connection, collection, external_id)
        name, attributes = patch.merged_name(known.name), patch.merged_attributes(known.attributes)
        change_identity(connection, known.id, name, attributes, datetime.now(UTC))
        return identity_at(connection, collection, external_id)

    return (await parts.writer.write(job)).value


async def make_collection(parts: Parts, name: str, match: float | None, possible: float | None) -> Collection:
    """Make a collection. Raises Conflict where the name is taken, BadInput for thresholds in the wrong order."""

    def job(connection: Connection, changes: ChangeLog) -> Collection:
        _check_thresholds(parts.model.thresholds, match, possible)
        add_collection(connection, name, match, possible, datetime.now(UTC))
        return describe_collection(connection, name)

    return (await parts.writer.write(job)).value


async def patch_collection(parts: Parts, name: str, values: dict[str, float | None]) -> Collection:
    """Set match_threshold and possible_threshold, as far as named. Raises NotFound, BadInput."""

    def job(connection: Connection, changes: ChangeLog) -> Collection:
        known = find_collection(connection, name)
        match = values.get("match_threshold", known.match_threshold)
        possible = values.get("possible_threshold", known.possible_threshold)
        _check_thresholds(parts.model.thresholds, match, possible)
        change_collection(connection, known.id, values)
        return describe_collection(connection, name)

    return (await parts.writer.write(job)).value


def _check_thresholds(model: Thresholds, match: float | None, possible: float | None) -> None:
    upper = model.match if match is None else match
    if possible is not None and possible > upper:
        raise BadInput(f"possible_threshold {possible} is above the match threshold in force, {upper}")
