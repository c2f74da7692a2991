"""What SQLite's pages keep of removed rows, and that a rewrite takes it out."""

import random
from datetime import UTC, datetime
from pathlib import Path

from sqlalchemy import Connection, select

from service.db.changes import ensure_meta
from service.db.database import Database
from service.db.people import add_identity, change_identity, delete_identity
from service.db.tables import identities

NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)
PEOPLE = 2_000


def test_no_page_keeps_a_copy_of_who_was_removed_amid_other_changes(sqlite_template: Path, tmp_path: Path) -> None:
    path = tmp_path / "reappear.db"
    path.write_bytes(sqlite_template.read_bytes())
    chance = random.Random(7)
    database = Database(f"sqlite:///{path}", readers=1, max_waiting=1)
    here: dict[int, str] = {}
    gone: list[str] = []
    with database.begin() as connection:
        ensure_meta(connection)
    for number in range(2 * PEOPLE):
        with database.begin() as connection:
            if number < PEOPLE or chance.random() < 0.3:
                name = f"marker-{number}-{'x' * chance.randrange(200)}-end"
                here[add_identity(connection, 1, f"id-{number}", name, {"note": name}, NOW)] = name
            if number % 2 and here:
                identity = chance.choice(sorted(here))
                gone.append(here.pop(identity))
                delete_identity(connection, identity)
            elif here:
                identity = chance.choice(sorted(here))
                gone.append(here[identity])
                here[identity] = f"changed-{number}-{'y' * chance.randrange(300)}-end"
                change_identity(connection, identity, here[identity], {"note": here[identity]}, NOW)
    assert database.rewrite(all_of_it=True)
    content = path.read_bytes()
    database.close()
    assert [name for name in gone if name.encode() in content] == []
    assert all(name.encode() in content for name in here.values()), "who stays is in the file"


def test_beside_a_reader_the_log_does_not_grow_by_the_file_each_time(sqlite_template: Path, tmp_path: Path) -> None:
    """A backup reads for minutes, and each removal meanwhile asks for it again."""
    path, log = tmp_path / "reappear.db", tmp_path / "reappear.db-wal"
    path.write_bytes(sqlite_template.read_bytes())
    database = Database(f"sqlite:///{path}", readers=1, max_waiting=1)
    with database.begin() as connection:
        ensure_meta(connection)
        for number in range(PEOPLE):
            add_identity(connection, 1, f"id-{number}", "x" * 200, {}, NOW)
    sizes = []

    def read(connection: Connection) -> None:
        connection.execute(select(identities.c.id).limit(1)).all()
        for number in range(5):
            with database.begin() as writing:
                delete_identity(writing, number + 1)
            assert not database.rewrite(all_of_it=True)
            sizes.append(log.stat().st_size)

    database.read_now(read)
    assert sizes[-1] - sizes[0] < path.stat().st_size / 4
    assert database.rewrite(all_of_it=True)
    assert log.stat().st_size == 0
    database.close()
