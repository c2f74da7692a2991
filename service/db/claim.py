"""The claim of one service on a database: on PostgreSQL an advisory lock that its writing connection holds, on SQLite a
lock on a file beside the database."""

import fcntl
import time
from datetime import datetime
from pathlib import Path
from typing import IO, Any

CLAIM = 0x52454150  # the number of the advisory lock
CLAIM_TRIES, CLAIM_WAIT_S = 25, 0.2
HOLDER = (
    "SELECT pid, host(client_addr), backend_start FROM pg_locks LEFT JOIN pg_stat_activity USING (pid) "
    "WHERE locktype = 'advisory' AND granted AND classid = 0 AND objid = %s AND objsubid = 1 "
    "AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
)


class Claimed(Exception):
    """Another service holds the claim; `holder` says which connection that is, and is for people at a start only."""

    def __init__(self, holder: str) -> None:
        super().__init__("another service uses this database")
        self.holder = holder


def take(connection: Any, record: object) -> None:
    """Take the claim for a new writing connection. Waits a little for a service that was just killed, or a line that
    was just cut. Raises Claimed."""
    for _ in range(CLAIM_TRIES):
        taken = connection.execute("SELECT pg_try_advisory_lock(%s)", (CLAIM,)).fetchone() == (True,)
        connection.commit()
        if taken:
            return
        time.sleep(CLAIM_WAIT_S)
    holder = connection.execute(HOLDER, (CLAIM,)).fetchone()
    connection.close()
    raise Claimed("" if holder is None else _told(*holder))


def hold(database: Path) -> IO[str]:
    """Take the claim on a SQLite file, until what is returned is closed or the process ends. Not on the file itself:
    closing it a second time would end SQLite's own locks. Raises Claimed, OSError."""
    database = database.resolve()  # a link leads to the same one
    file = database.with_name(f"{database.name}.lock").open("a")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        file.close()
        raise Claimed("") from error
    return file


def _told(pid: int, address: str | None, since: datetime | None) -> str:
    """Which connection that is. The server keeps that of a machine which lost its power until it misses its answers."""
    place = f"from {address or 'its own machine'} since {since:%Y-%m-%d %H:%M} UTC, " if since else ""  # if we may know
    return (
        f"; it is connected {place}as process {pid} of the database server. Where that service is known to be gone, "
        f"`SELECT pg_terminate_backend({pid})` there frees the database"
    )
