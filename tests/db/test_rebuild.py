"""A migration that rebuilds a table must not take along what hangs on it, nor let ids be used again."""

from datetime import UTC, datetime
from pathlib import Path

from alembic.config import Config
from alembic.operations import Operations
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Connection, create_engine, insert, select

from service.db import schema
from service.db.tables import crops, identities


def rebuild(config: Config, revision: str) -> None:
    """What a later migration may do to identities on SQLite."""
    connection: Connection = config.attributes["connection"]
    with Operations(MigrationContext.configure(connection)).batch_alter_table(
        "identities", recreate="always", table_kwargs={"sqlite_autoincrement": True}
    ) as batch:
        batch.alter_column("name", new_column_name="name")


def test_rebuilding_a_table_keeps_what_hangs_on_it(tmp_path: Path, sqlite_template: Path) -> None:
    path = tmp_path / "reappear.db"
    path.write_bytes(sqlite_template.read_bytes())
    engine = create_engine(f"sqlite:///{path}")
    moment = datetime(2026, 1, 1, tzinfo=UTC)
    person = {
        "id": 1,
        "collection_id": 1,
        "external_id": "p",
        "attributes": {},
        "created_at": moment,
        "updated_at": moment,
    }
    crop = {
        "identity_id": 1, "picture": "a", "picture_sha256": "b", "media_type": "image/png", "width": 1, "height": 1,
        "sharpness": 0.0, "created_at": moment,
    }  # fmt: skip
    with engine.begin() as connection:
        connection.execute(insert(identities).values(person))
        connection.execute(insert(crops).values(crop))
    schema._run(f"sqlite:///{path}", rebuild, "")
    with engine.begin() as connection:
        assert connection.execute(
            select(identities.c.external_id, crops.c.picture).join_from(crops, identities)
        ).all() == [("p", "a")]
    engine.dispose()
