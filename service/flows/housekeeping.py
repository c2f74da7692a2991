"""What is put right in the background: commits whose outcome was unknown, pictures that could not be unlinked, and
answers whose time is over."""

import asyncio
import logging
from datetime import UTC, datetime

from service.db.outbox import known_pictures
from service.errors import ReappearError
from service.flows.parts import Parts
from service.flows.remove import empty_outbox

SWEPT_AT_ONCE = 10_000

log = logging.getLogger(__name__)


async def keep_house(parts: Parts, every_s: float) -> None:
    """Put things right every so often, until cancelled. What fails is logged and tried again."""
    swept = False
    while True:
        await asyncio.sleep(every_s)
        try:
            swept = swept or await sweep(parts)
            await put_right(parts)
        except (ReappearError, OSError):
            log.exception("housekeeping will be tried again")


async def put_right(parts: Parts) -> None:
    """Bring the index up to date, settle doubtful pictures, unlink what is removed, drop old answers."""
    await parts.writer.catch_up()
    await settle_doubtful(parts)
    await empty_outbox(parts)
    await parts.writer.write(lambda connection, changes: parts.repeats.forget(connection, datetime.now(UTC)))


async def sweep(parts: Parts) -> bool:
    """Unlink published pictures that no row names: what a database that was put back leaves behind. A picture is
    published after its row is committed, so one without a row has none any more."""
    names = await asyncio.to_thread(lambda: list(parts.store.names()))
    for start in range(0, len(names), SWEPT_AT_ONCE):
        part = names[start : start + SWEPT_AT_ONCE]
        known = await parts.database.read(known_pictures, part)
        orphans = [name for name in part if name not in known]
        await asyncio.to_thread(parts.store.unlink, orphans)
        if orphans:
            log.warning("unlinked pictures that no row names", extra={"pictures": len(orphans)})
    return True


async def settle_doubtful(parts: Parts) -> None:
    """Publish staged pictures whose enrolment turned out to be committed, drop the others."""
    names = sorted(parts.doubtful)
    if not names:
        return
    await parts.writer.catch_up()  # which waits for the commits of these names
    known = await parts.database.read(known_pictures, names)
    await asyncio.to_thread(parts.store.publish, sorted(known))
    await asyncio.to_thread(parts.store.discard, [name for name in names if name not in known])
    parts.doubtful.difference_update(names)
