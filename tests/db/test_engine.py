"""Connections as they really are: durable, checked, read-only where they only read, and in UTC."""

import asyncio
import threading
import uuid
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest
from sqlalchemy import Connection, func, insert, make_url, select, text
from sqlalchemy.exc import IntegrityError, ProgrammingError

from service.db.changes import ChangeLog, changes_after, current_generation, ensure_meta, record
from service.db.database import Database
from service.db.engine import parse_url
from service.db.failures import refused
from service.db.schema import upgrade
from service.db.tables import collections, identities
from service.errors import DatabaseDamaged, DatabaseDown, DatabaseRefused, Overloaded
from tests.damage import cut_in_half, spoil_header, spoil_table

MAX_WAITING = 10
EARLIEST, LATEST = datetime(1, 1, 1, tzinfo=UTC), datetime(9999, 12, 31, 23, 59, 59, 999999, tzinfo=UTC)


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    database = Database(database_url, readers=2, max_waiting=MAX_WAITING)
    yield database
    database.close()


def add_collection(connection: Connection, name: str, moment: datetime = LATEST) -> None:
    connection.execute(insert(collections).values(name=name, created_at=moment))


def add_collections(connection: Connection, *names: str) -> None:
    for name in names:
        add_collection(connection, name)


def names(connection: Connection) -> list[str]:
    return list(connection.execute(select(collections.c.name).order_by(collections.c.name)).scalars())


def test_every_connection_survives_power_loss_and_keeps_its_references(database: Database) -> None:
    def pragmas(connection: Connection) -> dict[str, object]:
        wanted = ("journal_mode", "synchronous", "foreign_keys", "secure_delete", "query_only")
        return {name: connection.exec_driver_sql(f"PRAGMA {name}").scalar() for name in wanted}

    if database.dialect != "sqlite":
        wanted = "SELECT current_setting('synchronous_commit')"
        assert database.read_now(lambda connection: connection.execute(text(wanted)).scalar_one()) == "on"
        return
    durable = {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1, "secure_delete": 1}
    with database.begin() as connection:
        assert pragmas(connection) == {**durable, "query_only": 0}
    assert database.read_now(pragmas) == {**durable, "query_only": 1}


def test_what_is_written_is_read_at_once_and_what_fails_is_undone_whole(database: Database) -> None:
    with database.begin() as connection:
        add_collection(connection, "a")
    assert database.read_now(names) == ["a", "default"]
    with pytest.raises(IntegrityError), database.begin() as connection:
        add_collections(connection, "b", "a")
    assert database.read_now(names) == ["a", "default"]


def test_a_reader_sees_one_moment_while_the_writer_goes_on(database: Database) -> None:
    reading, written = threading.Event(), threading.Event()

    def twice(connection: Connection) -> tuple[list[str], list[str]]:
        before = names(connection)
        reading.set()
        assert written.wait(10)
        return before, names(connection)

    async def scene() -> tuple[list[str], list[str]]:
        task = asyncio.create_task(database.read(twice))
        await asyncio.to_thread(reading.wait, 10)

        def write() -> None:
            with database.begin() as connection:
                add_collection(connection, "a")
            written.set()

        await asyncio.to_thread(write)
        return await task

    before, after = asyncio.run(scene())
    assert before == ["default"]
    if database.dialect == "sqlite":
        assert after == ["default"]
    assert database.read_now(names) == ["a", "default"]


def test_a_reading_connection_cannot_write_on_sqlite(database: Database) -> None:
    if database.dialect == "sqlite":
        with pytest.raises(DatabaseDown):
            database.read_now(add_collection, "a")
    assert database.read_now(names) == ["default"]


@pytest.mark.parametrize(
    "moment",
    [
        EARLIEST,
        LATEST,
        datetime(2026, 5, 1, 12, 30, 0, 123456, tzinfo=UTC),
        datetime(2026, 5, 1, 1, 30, tzinfo=timezone(timedelta(hours=14))),
        datetime(1969, 12, 31, 23, 59, 59, tzinfo=UTC),
    ],
)
@pytest.mark.parametrize("zone", ["UTC", "Asia/Tokyo", "America/New_York"])
def test_a_moment_comes_back_as_it_was_wherever_the_database_thinks_it_is(
    moment: datetime, zone: str, database_url: str
) -> None:
    if database_url.startswith("postgresql"):
        admin = Database(database_url, readers=1, max_waiting=MAX_WAITING)
        with admin.begin() as connection:
            name = connection.execute(text("SELECT current_database()")).scalar_one()
            connection.execute(text(f"ALTER DATABASE {name} SET timezone = '{zone}'"))
        admin.close()
    database = Database(database_url, readers=1, max_waiting=MAX_WAITING)
    try:
        with database.begin() as connection:
            add_collection(connection, "a", moment)
        query = select(collections.c.created_at).where(collections.c.name == "a")
        found = database.read_now(lambda connection: connection.execute(query).scalar_one())
        assert found == moment
        assert found.utcoffset() == timedelta(0)
        earlier = select(func.count()).select_from(collections).where(collections.c.created_at < moment)
        assert database.read_now(lambda connection: connection.execute(earlier).scalar_one()) == (moment > NOW_ISH)
    finally:
        database.close()


NOW_ISH = datetime(2026, 5, 2, tzinfo=UTC)  # the default collection is younger than any moment here but the latest


@pytest.mark.parametrize("url", ["", "mysql://host/db", "sqlite", "postgresql", "reappear.db", "http://127.0.0.1/"])
def test_a_url_of_another_database_is_refused_by_the_name_of_its_setting(url: str) -> None:
    with pytest.raises(DatabaseRefused, match="REAPPEAR_DATABASE_URL"):
        parse_url(url)


@pytest.mark.parametrize(
    ("url", "driver"),
    [
        ("sqlite:////tmp/x.db", "sqlite+pysqlite"),
        ("postgresql://u:p@h/n", "postgresql+psycopg"),
        ("postgresql+psycopg://u:p@h/n", "postgresql+psycopg"),
        ("postgres://u:p@h/n", "postgresql+psycopg"),
    ],
)
def test_the_driver_is_chosen_by_the_service(url: str, driver: str) -> None:
    assert parse_url(url).drivername == driver


def test_a_database_that_does_not_answer_is_told_as_such_without_its_password() -> None:
    database = Database("postgresql://user:secret@127.0.0.1:9/nowhere", readers=1, max_waiting=MAX_WAITING)
    with pytest.raises(DatabaseDown, match="does not answer") as refusal:
        database.read_now(names)
    assert "secret" not in str(refusal.value)
    database.close()


def test_a_database_that_lets_the_service_in_but_not_do_its_work_is_told_with_the_words_of_the_driver(
    database_url: str,
) -> None:
    if not database_url.startswith("postgresql"):
        return
    mine, name = make_url(database_url), f"weak_{uuid.uuid4().hex[:8]}"
    owner = Database(database_url, readers=1, max_waiting=MAX_WAITING)
    weak = Database(
        mine.set(username=name, password="secret").render_as_string(hide_password=False),
        readers=1, max_waiting=MAX_WAITING,
    )  # fmt: skip
    try:
        with owner.begin() as connection:
            connection.execute(text(f"CREATE ROLE {name} LOGIN PASSWORD 'secret'"))
        with pytest.raises(DatabaseDown, match="lacks rights"):
            weak.read_now(names)
        with (
            pytest.raises(DatabaseRefused, match=r"lacks rights.*\(permission denied for table collections\)"),
            refused(),
        ):
            weak.read_now(names)
    finally:
        weak.close()
        with owner.begin() as connection:
            connection.execute(text(f"DROP ROLE IF EXISTS {name}"))
        owner.close()
    nowhere = mine.set(database="nowhere").render_as_string(hide_password=False)
    with pytest.raises(DatabaseRefused, match=r'refuses the connection: .*"nowhere" does not exist'):
        upgrade(nowhere)


@pytest.mark.parametrize("found", ["data_corrupted", "index_corrupted"])
def test_damage_that_postgresql_finds_is_damage(found: str, database: Database) -> None:
    if database.dialect != "postgresql":
        return
    told = text(f"DO $$ BEGIN RAISE {found}; END $$")
    with pytest.raises(DatabaseDamaged, match="restore the last backup"):
        database.read_now(lambda connection: connection.execute(told))
    with pytest.raises(DatabaseDamaged), database.begin() as connection:
        add_collection(connection, "a")


def test_once_damage_is_met_nothing_more_is_read_or_written(sqlite_url: str) -> None:
    spoil_table(Path(parse_url(sqlite_url).database or ""), "identities")
    database = Database(sqlite_url, readers=1, max_waiting=MAX_WAITING)
    try:
        assert database.read_now(names) == ["default"], "what is whole can be read until then"
        with pytest.raises(DatabaseDamaged, match="restore the last backup"), database.begin() as connection:
            connection.execute(select(identities))
        with pytest.raises(DatabaseDamaged):
            database.read_now(names)
        with pytest.raises(DatabaseDamaged), database.begin() as connection:
            add_collection(connection, "a")
        with pytest.raises(DatabaseDamaged):
            database.rewrite()
    finally:
        database.close()


@pytest.mark.parametrize("spoil", [spoil_header, cut_in_half])
def test_a_file_that_is_no_whole_database_is_told_as_damaged(spoil: Callable[[Path], None], sqlite_url: str) -> None:
    spoil(Path(parse_url(sqlite_url).database or ""))
    database = Database(sqlite_url, readers=1, max_waiting=MAX_WAITING)
    try:
        with pytest.raises(DatabaseDamaged, match="damaged"):
            database.read_now(names)
    finally:
        database.close()
    with pytest.raises(DatabaseRefused, match="damaged"):
        upgrade(sqlite_url)


def test_a_mistake_in_a_statement_is_not_taken_for_a_database_that_is_down(database: Database) -> None:
    with pytest.raises(ProgrammingError):
        database.read_now(lambda connection: connection.execute(text("SELECT :value"), {"value": object()}))


def test_readers_beyond_the_bound_are_refused_at_once_and_places_are_given_back(database: Database) -> None:
    holding, release = threading.Semaphore(0), threading.Event()

    def wait(connection: Connection) -> bool:
        holding.release()
        return release.wait(10)

    async def scene() -> None:
        reads = [asyncio.create_task(database.read(wait)) for _ in range(MAX_WAITING)]
        for _ in range(2):
            assert await asyncio.to_thread(holding.acquire, timeout=10)
        with pytest.raises(Overloaded):
            await database.read(names)
        release.set()
        assert await asyncio.gather(*reads) == [True] * MAX_WAITING
        assert await database.read(names) == ["default"]

    asyncio.run(scene())


def test_generations_have_no_gaps_whatever_is_rolled_back(database: Database) -> None:
    def note(*crops: int) -> list[int]:
        changes = ChangeLog()
        changes.removed(1, list(crops))
        return [change.generation for change in record(connection, changes.noted)]

    with database.begin() as connection:
        ensure_meta(connection)
        ensure_meta(connection)
    with database.begin() as connection:
        assert note(1, 2, 3) == [1, 2, 3]
    with pytest.raises(ZeroDivisionError), database.begin() as connection:
        assert 1 / (note(4, 5) != [4, 5])
    with database.begin() as connection:
        assert note() == []
        assert note(6) == [4]
    assert database.read_now(current_generation) == 4
    log = database.read_now(changes_after, 2, 1)
    assert [(change.generation, change.crop, change.vector) for change in log] == [(3, 3, None), (4, 6, None)]
