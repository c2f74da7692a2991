"""Make, list and revoke API keys."""

from dataclasses import dataclass
from datetime import UTC, datetime

from sqlalchemy import Connection

from service.db.audit import add_entries
from service.db.changes import ChangeLog
from service.db.keys import add_key, keys_in_force, list_keys, revoke_key
from service.db.people import find_collection
from service.domain import ApiKey, Scope
from service.errors import BadInput
from service.flows.audit import entry
from service.flows.keyring import make_token
from service.flows.outbox import unlink
from service.flows.parts import Parts


@dataclass(frozen=True, slots=True)
class NewKey:
    """What a new key may do, and for how long."""

    name: str
    scope: Scope
    collection: str | None = None
    expires_at: datetime | None = None
    reads_per_minute: int | None = None
    writes_per_minute: int | None = None


async def make_key(parts: Parts, new: NewKey) -> tuple[ApiKey, str]:
    """Make a key; returns it and its token, which is kept nowhere. Raises NotFound for the collection."""
    now = datetime.now(UTC)
    if new.expires_at is not None and new.expires_at <= now:
        raise BadInput("expires_at is in the past; leave it out for a key that does not expire")
    made = make_token()
    key = ApiKey(
        made.id, new.name, made.secret_sha256, new.scope, new.collection, new.reads_per_minute, new.writes_per_minute,
        now, new.expires_at, None,
    )  # fmt: skip
    done = entry("key.create", new.collection, [made.id])

    def job(connection: Connection, changes: ChangeLog) -> None:
        add_key(connection, key, None if new.collection is None else find_collection(connection, new.collection).id)
        add_entries(connection, [done])

    await parts.writer.write(job, aside=True)
    parts.keys.add(key)
    return key, made.token


async def show_keys(parts: Parts) -> list[ApiKey]:
    """All keys, revoked and expired ones included."""
    return await parts.database.read(list_keys)


async def revoke(parts: Parts, key: str) -> ApiKey:
    """Revoke a key: from the answer on it opens nothing. Raises NotFound."""
    now, done = datetime.now(UTC), entry("key.revoke", None, [key])

    def job(connection: Connection, changes: ChangeLog) -> ApiKey:
        revoked = revoke_key(connection, key, now)
        add_entries(connection, [done])
        return revoked

    parts.keys.drop(key)  # first: where the outcome stays unknown it is better closed, until housekeeping knows
    revoked = (await parts.writer.write(job, aside=True)).value
    parts.keys.drop(key)  # again: housekeeping may have read the keys just before
    await unlink(parts)
    return revoked


async def load_keys(parts: Parts) -> None:
    """Bring the ring in line with the rows, where the outcome of a write was unknown. Through the writer, so that no
    key that is revoked meanwhile comes back."""
    now = datetime.now(UTC)
    known = await parts.writer.write(lambda connection, changes: keys_in_force(connection, now), aside=True)
    parts.keys.load(known.value)
