"""Migrations: from nothing to head and back, to exactly the tables the code speaks of, and never a used id again."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Connection, Engine, String, delete, func, insert, inspect, select, text
from sqlalchemy.exc import IntegrityError

from service.db.engine import make_engine, parse_url
from service.db.schema import check_revision, downgrade, upgrade
from service.db.tables import attributes, collections, crops, identities, metadata, models, vectors
from service.errors import DatabaseRefused

NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)


@pytest.fixture
def engine(database_url: str) -> Iterator[Engine]:
    engine = make_engine(parse_url(database_url), pool_size=1, read_only=False)
    yield engine
    engine.dispose()


def add_person(connection: Connection, name: str = "p-1") -> tuple[int, int]:
    """An identity with one crop, its vector and an attribute; returns their ids."""
    row = {"collection_id": 1, "external_id": name, "attributes": {}, "created_at": NOW, "updated_at": NOW}
    identity = connection.execute(insert(identities).values(row).returning(identities.c.id)).scalar_one()
    picture = {
        "identity_id": identity, "picture": name, "picture_sha256": "0" * 64, "media_type": "image/png", "width": 1,
        "height": 1, "sharpness": 0.5, "created_at": NOW,
    }  # fmt: skip
    crop = connection.execute(insert(crops).values(picture).returning(crops.c.id)).scalar_one()
    model = connection.execute(select(func.max(models.c.id))).scalar()
    if model is None:
        made = {"name": "m", "sha256": "0" * 64, "dim": 2, "created_at": NOW}
        model = connection.execute(insert(models).values(made).returning(models.c.id)).scalar_one()
    connection.execute(insert(vectors).values(crop_id=crop, model_id=model, vector=b"12345678"))
    connection.execute(insert(attributes).values(identity_id=identity, key="a", kind="string", text="b"))
    return identity, crop


def test_migrations_make_exactly_the_tables_of_the_code(engine: Engine) -> None:
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True, "compare_server_default": True})
        assert compare_metadata(context, metadata) == []


def test_texts_have_the_length_and_the_order_that_the_code_gives_them(engine: Engine) -> None:
    """Which the comparison above does not see."""
    with engine.connect() as connection:
        for table in metadata.sorted_tables:
            made = {column["name"]: column["type"] for column in inspect(connection).get_columns(table.name)}
            for column in table.columns:
                if isinstance(column.type, String):
                    meant, found = column.type.dialect_impl(engine.dialect), made[column.name]
                    assert isinstance(found, String)
                    told = f"{table.name}.{column.name}"
                    assert (found.length, found.collation) == (meant.length, meant.collation), told


def test_a_database_goes_from_nothing_to_head_and_back_and_forth_again(database_url: str, engine: Engine) -> None:
    def names() -> set[str]:
        with engine.connect() as connection:
            return {name for name in inspect(connection).get_table_names() if not name.startswith("sqlite_")}

    expected = {*metadata.tables, "alembic_version"}
    assert names() == expected
    with engine.begin() as connection:
        add_person(connection)
    downgrade(database_url)
    assert names() == {"alembic_version"}
    upgrade(database_url)
    upgrade(database_url)  # at head already: nothing happens
    assert names() == expected
    with engine.begin() as connection:
        check_revision(connection)
        assert connection.execute(select(collections.c.name)).scalars().all() == ["default"]
        assert connection.execute(select(func.count()).select_from(identities)).scalar_one() == 0
        add_person(connection)


def test_an_empty_database_and_one_of_another_version_are_refused_with_the_remedy(
    database_url: str, engine: Engine
) -> None:
    with engine.begin() as connection:
        check_revision(connection)
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with engine.begin() as connection, pytest.raises(DatabaseRefused, match="revision 9999"):
        check_revision(connection)
    with engine.begin() as connection:
        connection.execute(text("DELETE FROM alembic_version"))
    with engine.begin() as connection, pytest.raises(DatabaseRefused, match=r"revision none.*--migrate"):
        check_revision(connection)


def test_ids_are_not_used_again_after_the_highest_row_went(engine: Engine) -> None:
    seen: list[tuple[int, int]] = []
    for number in range(3):
        with engine.begin() as connection:
            seen.append(add_person(connection, f"p-{number}"))
        with engine.begin() as connection:
            connection.execute(delete(identities))
    with engine.begin() as connection:
        connection.execute(delete(vectors))
        connection.execute(delete(models))
        add_person(connection)
        assert connection.execute(select(models.c.id)).scalar_one() == 2
        first = connection.execute(insert(collections).values(name="a", created_at=NOW).returning(collections.c.id))
        highest = first.scalar_one()
        connection.execute(delete(collections).where(collections.c.id == highest))
        second = connection.execute(insert(collections).values(name="b", created_at=NOW).returning(collections.c.id))
        assert second.scalar_one() > highest
    for ids in zip(*seen, strict=True):
        assert len(set(ids)) == 3
        assert list(ids) == sorted(ids)


def test_what_hangs_on_an_identity_goes_with_it_and_nothing_else(engine: Engine) -> None:
    with engine.begin() as connection:
        goes, _ = add_person(connection, "goes")
        _, stays = add_person(connection, "stays")
    with engine.begin() as connection:
        connection.execute(delete(identities).where(identities.c.id == goes))
    with engine.begin() as connection:
        assert connection.execute(select(crops.c.id)).scalars().all() == [stays]
        assert connection.execute(select(vectors.c.crop_id)).scalars().all() == [stays]
        assert connection.execute(select(func.count()).select_from(attributes)).scalar_one() == 1


@pytest.mark.parametrize(
    "statement",
    [
        insert(vectors).values(crop_id=99, model_id=99, vector=b""),
        insert(attributes).values(identity_id=99, key="a", kind="string", text="b"),
        delete(collections),
        delete(models),
        insert(collections).values(name="default", created_at=NOW),
        insert(identities).values(
            collection_id=1, external_id="p-1", attributes={}, created_at=NOW, updated_at=NOW
        ),
    ],
    ids=["a vector of nobody", "an attribute of nobody", "a home of people", "a model of vectors", "a name taken",
         "an id taken"],
)  # fmt: skip
def test_the_database_itself_refuses_what_would_not_hang_together(statement: object, engine: Engine) -> None:
    with engine.begin() as connection:
        add_person(connection)
    with pytest.raises(IntegrityError), engine.begin() as connection:
        connection.execute(statement)  # type: ignore[call-overload]


def test_a_failing_migration_leaves_a_sqlite_file_as_it_was(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'own.db'}"
    upgrade(url)
    engine = make_engine(parse_url(url), pool_size=1, read_only=False)
    with engine.begin() as connection:
        add_person(connection)
        connection.execute(text("UPDATE alembic_version SET version_num = 'nowhere'"))
    with pytest.raises(Exception, match="nowhere"):
        upgrade(url)
    with engine.begin() as connection:
        assert connection.execute(select(func.count()).select_from(crops)).scalar_one() == 1
        assert connection.exec_driver_sql("PRAGMA foreign_keys").scalar_one() == 1
    engine.dispose()
