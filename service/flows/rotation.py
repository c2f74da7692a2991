"""Begin a new audit log: what was exported is sealed in one transaction, from which on nobody sees it, and then removed
bit by bit, so that no write waits for long. An entry stays that tells of it."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass

from sqlalchemy import Connection

from service.db.audit import last_rotation, list_entries, remove_sealed, seal, sealed_through
from service.db.changes import ChangeLog
from service.domain import AuditEntry
from service.errors import Conflict
from service.flows.audit import entry
from service.flows.parts import Parts

ACTION = "audit.rotate"  # which the triggers know
READ_AT_ONCE = 1_000
REMOVED_AT_ONCE = 5_000  # in one transaction


@dataclass(frozen=True, slots=True)
class Rotation:
    """Which entries went, and the SHA-256 of the file that has them."""

    first: int
    last: int
    entries: int
    sha256: str


async def rotate(
    parts: Parts, entries: int, sha256: str, file: str, as_line: Callable[[AuditEntry], bytes]
) -> Rotation:
    """Remove the first `entries` of the log, whose lines together have this SHA-256. Once done it is done: asked for
    again it answers the same. Raises Conflict where the log begins with something else."""
    done = await parts.database.read(_done, sha256)
    if done is None:
        done = await _seal(parts, entries, sha256, file, as_line)
        parts.fail_point("after-seal-before-removal")
    await remove(parts)
    return done


async def remove(parts: Parts) -> None:
    """Remove what is sealed."""
    removed = 0
    while True:
        taken = (
            await parts.writer.write(lambda connection, changes: remove_sealed(connection, REMOVED_AT_ONCE), aside=True)
        ).value
        removed += taken
        if taken < REMOVED_AT_ONCE:
            break
    if removed:
        parts.rewriting.ask()  # which gives the room back


async def _seal(parts: Parts, entries: int, sha256: str, file: str, as_line: Callable[[AuditEntry], bytes]) -> Rotation:
    before = last = await parts.database.read(sealed_through)
    first, count, digest = 0, 0, hashlib.sha256()
    while count < entries:  # in short reads: entries never change, and a long one is in the way of others
        limit = min(READ_AT_ONCE, entries - count)
        page = await parts.database.read(lambda on: list_entries(on, after=last, limit=limit))  # noqa: B023
        if not page:
            break
        digest.update(b"".join(as_line(one) for _, one in page))
        first, last, count = first or page[0][0], page[-1][0], count + len(page)
    if count < entries or digest.hexdigest() != sha256:
        raise Conflict("the log does not begin with the entries of this file; export it anew, to another file")
    found = Rotation(first, last, entries, sha256)
    told = entry(ACTION, None, _told(found, file))

    def job(connection: Connection, changes: ChangeLog) -> None:
        if sealed_through(connection) != before:
            raise Conflict("the log was begun anew meanwhile; export it anew, to another file")
        seal(connection, last, told)

    await parts.writer.write(job, aside=True)
    return found


def _told(done: Rotation, file: str) -> list[str]:
    return [
        f"first={done.first}",
        f"last={done.last}",
        f"entries={done.entries}",
        f"sha256={done.sha256}",
        f"file={file}",
    ]


def _done(connection: Connection, sha256: str) -> Rotation | None:
    """The last rotation, if it was of a file with this SHA-256."""
    told = last_rotation(connection)
    said = dict(one.split("=", 1) for one in told.subjects) if told else {}
    if said.get("sha256") != sha256:
        return None
    return Rotation(int(said["first"]), int(said["last"]), int(said["entries"]), sha256)
