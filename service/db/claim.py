"""The claim of one service on a PostgreSQL database: an advisory lock that its writing connection holds."""

import time
from datetime import datetime
from typing import Any

CLAIM = 0x52454150  # the number of the advisory lock
CLAIM_TRIES, CLAIM_WAIT_S = 25, 0.2
HOLDER = (
    "SELECT pid, host(client_addr), backend_start FROM pg_locks LEFT JOIN pg_stat_activity USING (pid) "
    "WHERE locktype = 'advisory' AND granted AND classid = 0 AND objid = %s AND objsubid = 1 "
    "AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
)


class Taken(Exception):
    """Another service holds the claim; `holder` says which connection that is, and is for people at a start only."""

    def __init__(self, holder: str) -> None:
        super().__init__("another service uses this database")
        self.holder = holder


def take(connection: Any, record: object) -> None:
    """Take the claim for a new writing connection. Waits a little for a service that was just killed, or a line that
    was just cut. Raises Taken."""
    for _ in range(CLAIM_TRIES):
        taken = connection.execute("SELECT pg_try_advisory_lock(%s)", (CLAIM,)).fetchone() == (True,)
        connection.commit()
        if taken:
            return
        time.sleep(CLAIM_WAIT_S)
    holder = connection.execute(HOLDER, (CLAIM,)).fetchone()
    connection.close()
    raise Taken("" if holder is None else _told(*holder))


def _told(pid: int, address: str | None, since: datetime | None) -> str:
    """Which connection that is. The server keeps that of a machine which lost its power until it misses its answers."""
    place = f"from {address or 'its own machine'} since {since:%Y-%m-%d %H:%M} UTC, " if since else ""  # if we may know
    return (
        f"; it is connected {place}as process {pid} of the database server. Where that service is known to be gone, "
        f"`SELECT pg_terminate_backend({pid})` there frees the database"
    )
