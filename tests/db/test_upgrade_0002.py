"""From revision 0001 with people in it: everything is kept, no id is used again, and the way back loses no crop."""

from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import Connection, Engine, MetaData, inspect, select, text
from sqlalchemy.exc import DBAPIError

from service.db.engine import make_engine, parse_url
from service.db.schema import check_revision, downgrade, upgrade

NOW = "2026-05-01 12:30:15.123456"


@pytest.fixture
def engine(database_url: str) -> Iterator[Engine]:
    """A database at revision 0001 with two people of two collections, and one crop more that is gone again."""
    downgrade(database_url, "0001")
    engine = make_engine(parse_url(database_url), pool_size=1, read_only=False)
    with engine.begin() as connection:
        for statement in PEOPLE:
            connection.execute(text(statement))
        for name, last in (("collections", 3), ("identities", 12), ("crops", 24), ("models", 3)):
            raise_sequence(connection, name, last)
        assert insert_crop(connection) == 25
        connection.execute(text("DELETE FROM crops WHERE id = 25"))  # the highest, whose id must not come again
    yield engine
    engine.dispose()


PEOPLE = [
    f"INSERT INTO meta VALUES (1, '{'d' * 32}', 1, 7)",
    f"INSERT INTO models VALUES (3, 'm', '{'0' * 64}', 2, '{NOW}')",
    f"INSERT INTO collections VALUES (3, 'warehouse', 0.7, NULL, '{NOW}')",
    f"INSERT INTO identities VALUES (11, 1, 'p-1', 'Zoë', 'zoe', '{{\"a\": [1, \"b\"]}}', '{NOW}', '{NOW}')",
    f"INSERT INTO identities VALUES (12, 3, 'p-1', NULL, NULL, '{{}}', '{NOW}', '{NOW}')",
    "INSERT INTO attributes (id, identity_id, key, kind, text) VALUES (5, 11, 'a', 'string', 'b')",
    *(
        f"INSERT INTO crops VALUES ({crop}, {identity}, 'pic{crop}', '{'1' * 64}', 'image/jpeg', 'c1', '{NOW}', NULL, "
        f"64, 128, 0.5, '{NOW}', NULL)"
        for crop, identity in ((21, 11), (22, 11), (24, 12))
    ),
    "INSERT INTO changes VALUES (7, 1, 'add', 1, 21)",
    "INSERT INTO outbox VALUES ('gone')",
    f"INSERT INTO idempotency VALUES ('', 1, 'k', '{'2' * 64}', 11, '{{\"x\": 1}}', '{NOW}')",
]  # fmt: skip


def raise_sequence(connection: Connection, table: str, last: int) -> None:
    """PostgreSQL does not see ids that were given; SQLite does."""
    if connection.dialect.name == "postgresql":
        connection.execute(text(f"SELECT setval(pg_get_serial_sequence('{table}', 'id'), {last})"))


def insert_crop(connection: Connection, picture: str = "'new'") -> int:
    """A crop under the next id."""
    return int(
        connection.execute(
            text(
                "INSERT INTO crops (identity_id, picture, picture_sha256, media_type, width, height, sharpness, "
                f"created_at) VALUES (11, {picture}, '{'3' * 64}', 'image/png', 1, 1, 0.5, '{NOW}') RETURNING id"
            )
        ).scalar_one()
    )


def add_vectors(connection: Connection) -> None:
    for crop in (21, 22, 24):
        row = {"crop": crop, "vector": bytes(range(crop, crop + 8))}
        connection.execute(text("INSERT INTO vectors VALUES (:crop, 3, :vector)"), row)


def content(engine: Engine, columns: dict[str, list[str]] | None = None) -> dict[str, Any]:
    """All rows of all tables, of the columns named."""
    tables = MetaData()
    with engine.connect() as connection:
        tables.reflect(connection)
        found = {}
        for table in tables.sorted_tables:
            names = (columns or {}).get(table.name, [column.name for column in table.columns])
            if columns is None or table.name in columns:
                rows = connection.execute(select(*(table.c[name] for name in names)))
                found[table.name] = sorted(map(repr, rows))
    return found


def columns_of(engine: Engine) -> dict[str, list[str]]:
    with engine.connect() as connection:
        seen = inspect(connection)
        names = [name for name in seen.get_table_names() if not name.startswith(("sqlite_", "alembic"))]
        return {name: [column["name"] for column in seen.get_columns(name)] for name in names}


def test_an_upgrade_keeps_every_row_and_gives_new_columns_their_defaults(database_url: str, engine: Engine) -> None:
    with engine.begin() as connection:
        add_vectors(connection)
    columns = columns_of(engine)
    before = content(engine, columns)
    assert {name for name, rows in before.items() if rows} == set(columns), "every table has something to lose"
    upgrade(database_url)
    before["idempotency"] = [row.replace("(''", "('loopback'") for row in before["idempotency"]]
    assert content(engine, columns) == before, "and answers kept for requests without a key are found by their sender"
    with engine.begin() as connection:
        check_revision(connection)
        rules = connection.execute(text("SELECT retention_days, keep_pictures FROM collections")).all()
        assert [(days, bool(keep)) for days, keep in rules] == [(None, True)] * 2


def test_no_crop_id_is_used_again_after_an_upgrade(database_url: str, engine: Engine) -> None:
    upgrade(database_url)
    with engine.begin() as connection:
        assert insert_crop(connection) == 26
    downgrade(database_url, "0001")
    with engine.begin() as connection:
        connection.execute(text("DELETE FROM crops WHERE id = 26"))
        assert insert_crop(connection) == 27, "nor on the way back"


def test_what_hangs_together_still_does_after_an_upgrade(database_url: str, engine: Engine) -> None:
    with engine.begin() as connection:
        add_vectors(connection)
    upgrade(database_url)
    with engine.begin() as connection:
        if connection.dialect.name == "sqlite":
            assert connection.exec_driver_sql("PRAGMA foreign_key_check").all() == []
            assert connection.exec_driver_sql("PRAGMA integrity_check").scalar_one() == "ok"
        assert insert_crop(connection, "NULL") == 26
    for statement in (
        "INSERT INTO vectors VALUES (99, 3, 'x')",
        "UPDATE crops SET identity_id = 99",
        "UPDATE crops SET picture = 'pic21'",
        f"INSERT INTO api_keys (id, name, secret_sha256, scope, collection_id, created_at) "
        f"VALUES ('k', 'n', 'x', 'read', 99, '{NOW}')",
    ):
        with pytest.raises(DBAPIError), engine.begin() as connection:
            connection.execute(text(statement))
    with engine.begin() as connection:
        connection.execute(text("DELETE FROM identities WHERE id = 11"))
        assert connection.execute(text("SELECT id FROM crops")).scalars().all() == [24]
        assert connection.execute(text("SELECT crop_id FROM vectors")).scalars().all() == [24]


def test_the_way_back_is_refused_where_pictures_were_not_kept_and_changes_nothing(
    database_url: str, engine: Engine
) -> None:
    upgrade(database_url, "0002")
    with engine.begin() as connection:
        bare = insert_crop(connection, "NULL")
        connection.execute(text(f"INSERT INTO audit (at, caller, action, subjects) VALUES ('{NOW}', 'c', 'a', '[]')"))
    before = content(engine)
    with pytest.raises(RuntimeError, match="1 crops have no picture"):
        downgrade(database_url, "0001")
    assert content(engine) == before
    with engine.begin() as connection:
        connection.execute(text(f"DELETE FROM crops WHERE id = {bare}"))
    people = {name: names for name, names in columns_of(engine).items() if name in ("identities", "crops", "vectors")}
    kept = content(engine, people)
    downgrade(database_url, "0001")
    assert content(engine, people) == kept
    assert "audit" not in columns_of(engine)
    upgrade(database_url)
    assert content(engine, people) == kept
