"""What must follow a removal that is committed: picture files, and the file that outlives the database."""

import asyncio
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection

from service.db.changes import ChangeLog
from service.db.erasures import clear_tombstones, waiting_tombstones
from service.db.outbox import clear_outbox, waiting_pictures
from service.domain import PictureStore, Tombstone
from service.errors import OutcomeUnknown, ReappearError
from service.flows.parts import Parts
from service.store.tombstones import Tombstones

log = logging.getLogger(__name__)

AT_ONCE = 2_000  # pictures, and rows: what is cleared in one transaction, while other writes wait


@dataclass(frozen=True, slots=True)
class Leftovers:
    """Pictures to unlink, and rows, by their number, to be told to the file; some of those that wait."""

    pictures: Sequence[str]
    stones: Mapping[int, Tombstone]

    def __bool__(self) -> bool:
        return bool(self.pictures or self.stones)

    def remove(self, store: PictureStore, tombstones: Tombstones) -> None:
        """Unlink, which makes room where there is none, then tell the file. Raises OSError."""
        store.unlink(list(self.pictures))
        tombstones.append(list(self.stones.values()))

    def clear(self, connection: Connection) -> None:
        """They are removed."""
        clear_outbox(connection, self.pictures)
        clear_tombstones(connection, list(self.stones))


def what_waits(connection: Connection) -> Leftovers:
    """The next of what removals left."""
    return Leftovers(waiting_pictures(connection, AT_ONCE), waiting_tombstones(connection, AT_ONCE))


async def empty_outbox(parts: Parts) -> None:
    """Unlink the pictures whose rows are gone, and tell the file that outlives the database; what cannot be done now
    stays for the next time."""
    while waiting := await asyncio.to_thread(parts.database.read_now, what_waits):  # `read` refuses under load
        parts.fail_point("after-commit-before-unlink")
        await asyncio.to_thread(waiting.remove, parts.store, parts.tombstones)
        parts.fail_point("after-unlink-before-clearing")
        await _clear(parts, waiting)


async def _clear(parts: Parts, waiting: Leftovers) -> None:
    def job(connection: Connection, changes: ChangeLog) -> None:
        waiting.clear(connection)

    parts.rewriting.ask()
    await parts.writer.write(job, aside=True)


async def unlink(parts: Parts) -> None:
    """Empty the outbox after a removal that is committed. Raises OutcomeUnknown."""
    try:
        await empty_outbox(parts)
    except (OSError, ReappearError) as error:  # never Overloaded, which says that nothing was done
        log.exception("what a removal leaves cannot be removed yet")
        raise OutcomeUnknown("removed from rows and index, but files cannot follow yet; ask again") from error
