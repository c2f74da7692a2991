"""SQLite files that a disk has spoiled: their first bytes, their end, or the page of one table."""

import sqlite3
from contextlib import closing
from pathlib import Path

SPOILED = b"\x55"
HEADER_BYTES = 100


def spoil_header(path: Path) -> None:
    """It is no database any more."""
    _overwrite(path, 0, HEADER_BYTES)


def cut_in_half(path: Path) -> None:
    """Its header promises more pages than there are."""
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def spoil_table(path: Path, name: str) -> None:
    """The first page of one table is lost; nobody may have the file open."""
    with closing(sqlite3.connect(path)) as connection:
        (page,) = connection.execute("SELECT rootpage FROM sqlite_master WHERE name = ?", (name,)).fetchone()
        (size,) = connection.execute("PRAGMA page_size").fetchone()
    _overwrite(path, (page - 1) * size, size)


def _overwrite(path: Path, offset: int, count: int) -> None:
    with path.open("r+b") as file:
        file.seek(offset)
        file.write(SPOILED * count)
