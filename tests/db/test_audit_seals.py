"""The database lets entries of the audit log go only where an entry stays that tells of it."""

from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
from sqlalchemy import Engine, text
from sqlalchemy.exc import DBAPIError

from service.db.audit import add_entries, list_entries, remove_sealed, seal, sealed_through
from service.db.engine import make_engine, parse_url
from service.db.schema import downgrade, upgrade
from service.domain import AuditEntry

NOW = datetime(2026, 5, 1, tzinfo=UTC)
ENTRY = AuditEntry(NOW, None, "c", "query", None)
TOLD = AuditEntry(NOW, None, "c", "audit.rotate", None)


@pytest.fixture
def engine(database_url: str) -> Iterator[Engine]:
    """With ten entries, of which five are sealed."""
    engine = make_engine(parse_url(database_url), pool_size=1, read_only=False)
    with engine.begin() as connection:
        add_entries(connection, [ENTRY] * 10)
    yield engine
    engine.dispose()


def numbers(engine: Engine) -> list[int]:
    with engine.connect() as connection:
        return [int(one) for one in connection.execute(text("SELECT id FROM audit ORDER BY id")).scalars()]


def test_what_is_sealed_can_be_removed_and_nothing_else(engine: Engine) -> None:
    with engine.begin() as connection:
        seal(connection, 5, TOLD)
        assert sealed_through(connection) == 5
        assert [number for number, _ in list_entries(connection, after=0, limit=9)] == [6, 7, 8, 9, 10, 11]
        assert [number for number, _ in list_entries(connection, after=8, limit=2)] == [9, 10]
    for statement in (
        "DELETE FROM audit", "DELETE FROM audit WHERE id BETWEEN 5 AND 6", "DELETE FROM audit WHERE id = 11",
        "UPDATE audit SET caller = 'nobody' WHERE id = 1", "UPDATE audit_seals SET through = 9",
        "DELETE FROM audit_seals",
    ):  # fmt: skip
        with pytest.raises(DBAPIError, match="append-only"), engine.begin() as connection:
            connection.execute(text(statement))
    assert numbers(engine) == list(range(1, 12))
    with engine.begin() as connection:
        assert [remove_sealed(connection, 3) for _ in range(3)] == [3, 2, 0]
    assert numbers(engine) == list(range(6, 12))
    with engine.begin() as connection:
        add_entries(connection, [ENTRY])
    assert numbers(engine)[-1] == 12, "no number is used again"


@pytest.mark.parametrize("entry", [99, 3, 9], ids=["none", "one that goes itself", "one that tells of something else"])
def test_a_seal_without_an_entry_that_stays_and_tells_of_it_is_refused(entry: int, engine: Engine) -> None:
    with pytest.raises(DBAPIError, match="append-only"), engine.begin() as connection:
        connection.execute(text(f"INSERT INTO audit_seals (through, entry) VALUES (5, {entry})"))


def test_the_way_back_refuses_every_removal_again_and_the_way_forth_works(database_url: str, engine: Engine) -> None:
    with engine.begin() as connection:
        seal(connection, 5, TOLD)
    downgrade(database_url, "0002")
    for statement in ("DELETE FROM audit WHERE id = 1", "UPDATE audit SET caller = 'nobody'"):
        with pytest.raises(DBAPIError, match="append-only"), engine.begin() as connection:
            connection.execute(text(statement))
    upgrade(database_url)
    with engine.begin() as connection:
        assert sealed_through(connection) == 0
        assert len(list_entries(connection, after=0, limit=99)) == 11
        seal(connection, 11, TOLD)
        assert remove_sealed(connection, 99) == 11
