"""A copy of the whole database as one SQLite file, at this version's revision."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import Connection

from service.db.engine import make_engine, parse_url
from service.db.failures import translated
from service.db.schema import upgrade


class Copy:
    """An open copy."""

    def __init__(self, path: Path) -> None:
        """`path` is a database already, which is brought to this version's revision, or an empty file."""
        url = f"sqlite:///{path}"
        upgrade(url)
        self._engine = make_engine(parse_url(url), pool_size=1, read_only=False)

    @contextmanager
    def begin(self) -> Iterator[Connection]:
        """A transaction; one at a time. Raises DatabaseDown where the file cannot be written."""
        with translated(), self._engine.begin() as connection:
            yield connection

    def finish(self, *, compact: bool) -> None:
        """Make it one file, without a write-ahead log; compacted, it keeps no trace of what was deleted. Closes it."""
        with translated():
            connection = self._engine.raw_connection()  # these statements run in no transaction
            cursor = connection.cursor()
            if compact:
                cursor.execute("VACUUM")
            cursor.execute("PRAGMA journal_mode=DELETE")
            cursor.close()
            connection.close()
        self.close()

    def close(self) -> None:
        """Let go of the file."""
        self._engine.dispose()


def remove_files(path: Path) -> None:
    """Remove a copy that is closed, or that a crash left, with what SQLite keeps beside it."""
    for suffix in ("", "-wal", "-shm", "-journal"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)
