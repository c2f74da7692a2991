"""At start: bring pictures in line with the rows, and rows with what was removed; see that each crop has a vector."""

import logging
from collections.abc import Sequence
from datetime import UTC, datetime
from itertools import islice

from sqlalchemy import Connection

from service.db.audit import add_entries
from service.db.changes import models_in_use
from service.db.copying import Meta
from service.db.database import Database
from service.db.loading import count_without_vector
from service.db.outbox import await_unlinking, known_pictures
from service.db.pruning import erase_stones
from service.domain import PictureStore
from service.errors import NotReady
from service.flows.audit import entry
from service.flows.checking import in_parts
from service.flows.outbox import what_waits
from service.store.snapshots import SnapshotFolder, SnapshotRefused
from service.store.tombstones import Tombstones
from service.store.unwritten import UnwrittenReads

STONES_AT_ONCE = 5_000
NAMES_AT_ONCE = 1_000

log = logging.getLogger(__name__)


def settle_files(database: Database, store: PictureStore, tombstones: Tombstones) -> None:
    """Put staged pictures in place whose rows were committed, drop the others, unlink what the outbox holds, and tell
    the file that outlives the database what is erased. Raises OSError, DatabaseDown."""
    staged = store.staged()
    published = settle_staged(database, store, staged)
    unlinked = 0
    while waiting := database.read_now(what_waits):
        waiting.remove(store, tombstones)
        with database.begin() as connection:
            waiting.clear(connection)
        unlinked += len(waiting.pictures)
    if staged or unlinked:
        log.info(
            "settled pictures",
            extra={"published": published, "dropped": len(staged) - published, "unlinked": unlinked},
        )


def settle_staged(database: Database, store: PictureStore, staged: Sequence[str]) -> int:
    """Put staged pictures in place that a row names, drop the others; returns how many have their place. Raises
    DatabaseDown."""
    known = database.read_now(known_pictures, staged)
    store.publish(sorted(known))
    store.discard([name for name in staged if name not in known])
    return len(known)


def erase_again(database: Database, meta: Meta, tombstones: Tombstones) -> int:
    """Remove rows that were removed before, and revoke keys that were revoked, which a database that has gone back has
    again; their pictures are for the outbox. Returns how many rows. Raises OSError, DatabaseDown."""
    rows, crops, now = 0, 0, datetime.now(UTC)
    mine = (stone for stone in tombstones.read() if (stone.database, stone.epoch) == (meta.uuid, meta.epoch))
    while part := list(islice(mine, STONES_AT_ONCE)):
        with database.begin() as connection:
            again = erase_stones(connection, part, now)
            await_unlinking(connection, [one.picture for one in again.crops if one.picture])
            if again.rows:
                add_entries(connection, [entry("erase.again", None)])
        rows, crops = rows + again.rows, crops + len(again.crops)
    if rows:
        log.warning(
            "the database had gone back: what was removed is removed again, keys that were revoked are revoked again",
            extra={"rows": rows, "crops": crops},
        )
    return rows


def has_gone_back(meta: Meta, snapshots: SnapshotFolder) -> bool:
    """Whether a snapshot has seen more of this database than there is in it."""
    for number in snapshots.numbers():
        try:
            stamp = snapshots.read(number).stamp
        except SnapshotRefused:
            continue
        if (stamp.database, stamp.epoch) == (meta.uuid, meta.epoch):
            return stamp.generation > meta.generation
    return False


def sweep(database: Database, store: PictureStore) -> None:
    """Remove pictures that no row names. Only where nobody enrols, under the folder's lock."""
    for part in in_parts(store.names(), NAMES_AT_ONCE):
        known = database.read_now(known_pictures, part)
        store.unlink([name for name in part if name not in known])


def take_in_reads(database: Database, unwritten: UnwrittenReads) -> None:
    """Write reads to the audit log that the database would not take before a stop. Raises DatabaseDown."""
    entries = unwritten.read()
    if entries:
        with database.begin() as connection:
            add_entries(connection, entries)
        unwritten.drop()


def check_vectors(connection: Connection, model: int, version: str) -> None:
    """Raises NotReady where crops have no vector of the model in use: an empty answer would look like a gallery."""
    missing = count_without_vector(connection, model)
    if missing:
        used = ", ".join(f"{name}@sha256:{sha256[:12]} ({count})" for name, sha256, count in models_in_use(connection))
        raise NotReady(
            f"{missing} crops have no vector of the model in use, {version}; their vectors are of {used}. "
            "Set REAPPEAR_MODEL_DIR to that model, or start with another database",
            code="MODEL_MISMATCH",
        )
