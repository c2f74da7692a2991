"""At start: bring pictures in line with the rows, and see that there is a vector of each crop."""

import logging

from sqlalchemy import Connection

from service.db.audit import add_entries
from service.db.changes import models_in_use
from service.db.engine import Database
from service.db.loading import count_without_vector
from service.db.outbox import known_pictures
from service.domain import PictureStore
from service.errors import NotReady
from service.flows.outbox import what_waits
from service.store.tombstones import Tombstones
from service.store.unwritten import UnwrittenReads

log = logging.getLogger(__name__)


def settle_files(database: Database, store: PictureStore, tombstones: Tombstones) -> None:
    """Put staged pictures in place whose rows were committed, drop the others, unlink what the outbox holds, and tell
    the file that outlives the database what is erased. Raises OSError, DatabaseDown."""
    staged = store.staged()
    known = database.read_now(known_pictures, staged)
    store.publish(sorted(known))
    store.discard([name for name in staged if name not in known])
    unlinked = 0
    while waiting := database.read_now(what_waits):
        waiting.remove(store, tombstones)
        with database.begin() as connection:
            waiting.clear(connection)
        unlinked += len(waiting.pictures)
    if staged or unlinked:
        log.info(
            "settled pictures",
            extra={"published": len(known), "dropped": len(staged) - len(known), "unlinked": unlinked},
        )


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
