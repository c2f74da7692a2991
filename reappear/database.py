"""The service's database, as commands look into it beside the service. They never make one."""

from collections.abc import Iterator
from contextlib import contextmanager

from service.db.database import Database
from service.db.schema import check_there


@contextmanager
def opened(url: str) -> Iterator[Database]:
    """A database to read. Raises DatabaseRefused where there is none."""
    check_there(url)
    database = Database(url, readers=1, max_waiting=1)
    try:
        yield database
    finally:
        database.close()
