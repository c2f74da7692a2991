"""Overwriting what removed rows left in a database's files."""

import time
from typing import Any

from sqlalchemy import Connection

from service.db.engine import BUSY_TIMEOUT_S

REWRITE_TIMEOUT_MS = 100  # writes wait meanwhile
OPEN_TRANSACTIONS = (
    "SELECT pid, xact_start FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid() "
    "AND backend_type = 'client backend' AND (xact_start IS NOT NULL OR backend_xmin IS NOT NULL)"
)
OLDER_TRIES, OLDER_WAIT_S = 50, 0.1
TEXT_INDEXES = (  # a page of an index keeps what a VACUUM took out until something else needs the place
    "ix_attributes_key_text", "ix_attributes_key_number", "pk_idempotency", "uq_identities_collection_id_external_id",
)  # fmt: skip


def rewrite_sqlite(cursor: Any, *, all_of_it: bool) -> bool:
    """Move the write-ahead log into the file and cut it to nothing. With `all_of_it` the file is made anew before,
    because secure_delete overwrites rows, and not the copies that stay behind where a page was balanced. False where a
    reader is in the way."""
    if all_of_it:
        if not _empty_log(cursor):
            return False  # what is made anew would go into the log, all of it, and that could not be cut
        cursor.execute("VACUUM")
    return _empty_log(cursor)


def rewrite_postgresql(connection: Connection) -> bool:
    """Vacuum dead rows, and make indexes that hold texts anew. Rows that an older transaction may still see survive
    that, so those open now must end first: False where they do not. A REINDEX in which the service dies leaves nothing
    behind, unlike a concurrent one; it waits for its lock, and lets others wait behind it, for a second at most."""
    older = set(map(tuple, connection.exec_driver_sql(OPEN_TRANSACTIONS)))
    for _ in range(OLDER_TRIES):
        older &= set(map(tuple, connection.exec_driver_sql(OPEN_TRANSACTIONS)))
        if not older:
            break
        time.sleep(OLDER_WAIT_S)
    else:
        return False
    connection.exec_driver_sql("VACUUM")
    connection.exec_driver_sql("SET lock_timeout = '1s'")
    try:
        for index in TEXT_INDEXES:
            connection.exec_driver_sql(f"REINDEX INDEX {index}")
    finally:
        connection.exec_driver_sql("RESET lock_timeout")  # the connection is kept, and a VACUUM may wait for longer
    return True


def _empty_log(cursor: Any) -> bool:
    """Move SQLite's write-ahead log into the file and cut it to nothing; False where a reader is in the way."""
    cursor.execute(f"PRAGMA busy_timeout={REWRITE_TIMEOUT_MS}")
    try:
        (busy, _, _) = cursor.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    finally:
        cursor.execute(f"PRAGMA busy_timeout={BUSY_TIMEOUT_S * 1000}")
    return not busy
