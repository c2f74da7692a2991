"""What is put right in the background: commits whose outcome was unknown, pictures that could not be unlinked, and
answers whose time is over."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from functools import partial

from service.errors import NotReady, Stopping
from service.flows import emptying, retention, rotation
from service.flows.keys import load_keys
from service.flows.outbox import empty_outbox
from service.flows.parts import Parts
from service.flows.reconcile import settle_staged
from service.heaps import trim_heaps

log = logging.getLogger(__name__)

FLUSH_EVERY_S = 0.5


async def keep_house(parts: Parts, ready: Callable[[], None], every_s: float) -> None:
    """Put things right every so often, until cancelled, which lets a round end first; not while `ready` raises
    NotReady."""
    while True:
        await asyncio.sleep(every_s)
        try:
            ready()
        except NotReady:
            continue
        round_of_it = asyncio.ensure_future(put_right(parts))
        try:
            await asyncio.shield(round_of_it)
        except asyncio.CancelledError:
            await round_of_it  # nothing may go on in a thread once its database is closed
            raise


async def put_right(parts: Parts) -> None:
    """See that the database has not gone back, bring index and keys up to date, settle doubtful pictures, remove what
    has had its time and what is left of collections, unlink what is removed, take it out of memory and snapshots and
    overwrite it, remove what is sealed of the audit log, drop old answers, give memory back. What fails does not keep
    the rest from being done."""
    steps: dict[str, Callable[[], Awaitable[object]]] = {
        "database": parts.pulse.check, "index": parts.writer.catch_up,
        "doubtful pictures": partial(settle_doubtful, parts), "keys": partial(load_keys, parts),
        "retention": partial(retention.apply_unasked, parts), "collections": partial(emptying.go_on, parts),
        "outbox": partial(empty_outbox, parts), "audit log": partial(rotation.remove, parts),
        "snapshots": partial(renew_snapshots, parts),
        "rewriting": partial(parts.rewriting.catch_up, parts.database, parts.writer),
        "answers": lambda: parts.writer.write(lambda connection, changes: parts.repeats.forget(connection), aside=True),
        "memory": lambda: asyncio.to_thread(trim_heaps),
    }  # fmt: skip
    for name, step in steps.items():
        if parts.stopping.is_set():
            return
        try:
            await step()
        except Stopping:
            return
        except Exception:
            log.exception("housekeeping of %s will be tried again", name)


async def renew_snapshots(parts: Parts) -> None:
    """Before removed rows are overwritten, and the snapshots go that have them."""
    if parts.rewriting.due:
        await parts.snapshots.refresh(parts.database, parts.writer)


async def keep_audit(parts: Parts) -> None:
    """Write reads to the audit log every half second, until cancelled. What fails is tried again."""
    while True:
        await asyncio.sleep(FLUSH_EVERY_S)
        try:
            await parts.audit.flush()
        except Exception:
            log.exception("reads are kept for the audit log until they can be written")


async def settle_doubtful(parts: Parts) -> None:
    """Publish staged pictures whose enrolment turned out to be committed, drop the others."""
    names = sorted(parts.doubtful)
    if not names:
        return
    await parts.writer.catch_up()  # which waits for the commits of these names
    await asyncio.to_thread(settle_staged, parts.database, parts.store, names)
    parts.doubtful.difference_update(names)
