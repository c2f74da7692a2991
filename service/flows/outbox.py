"""What must follow a removal that is committed: picture files, and the file that outlives the database."""

import asyncio
import logging

from sqlalchemy import Connection

from service.db.changes import ChangeLog
from service.db.erasures import clear_tombstones, waiting_tombstones
from service.db.outbox import clear_outbox, waiting_pictures
from service.domain import Tombstone
from service.errors import OutcomeUnknown, ReappearError
from service.flows.parts import Parts

log = logging.getLogger(__name__)


def what_waits(connection: Connection) -> tuple[list[str], dict[int, Tombstone]]:
    """Pictures to unlink, and rows, by their number, to be told to the file."""
    return waiting_pictures(connection), waiting_tombstones(connection)


async def empty_outbox(parts: Parts) -> None:
    """Unlink the pictures whose rows are gone, and tell the file that outlives the database; what cannot be done now
    stays for the next time."""
    pictures, stones = await asyncio.to_thread(parts.database.read_now, what_waits)  # `read` refuses under load
    if not pictures and not stones:
        return
    parts.fail_point("after-commit-before-unlink")
    await asyncio.to_thread(parts.tombstones.append, list(stones.values()))
    await asyncio.to_thread(parts.store.unlink, pictures)
    parts.fail_point("after-unlink-before-clearing")

    def job(connection: Connection, changes: ChangeLog) -> None:
        clear_outbox(connection, pictures)
        clear_tombstones(connection, list(stones))

    parts.rewriting.ask()
    await parts.writer.write(job)


async def unlink(parts: Parts) -> None:
    """Empty the outbox after a removal that is committed. Raises OutcomeUnknown."""
    try:
        await empty_outbox(parts)
    except (OSError, ReappearError) as error:  # never Overloaded, which says that nothing was done
        log.exception("what a removal leaves cannot be removed yet")
        raise OutcomeUnknown("removed from rows and index, but files cannot follow yet; ask again") from error
