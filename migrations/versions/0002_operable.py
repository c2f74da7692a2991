"""Keys, the audit log, erased rows, retention, and collections that keep no pictures."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

BIG_ID = sa.BigInteger().with_variant(sa.Integer, "sqlite")
MOMENT = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.add_column("collections", sa.Column("retention_days", sa.Integer))
    op.add_column("collections", sa.Column("keep_pictures", sa.Boolean, nullable=False, server_default=sa.true()))
    _set_nullable("picture", nullable=True)
    op.create_index("ix_crops_created_at", "crops", ["created_at"])
    op.create_index("ix_crops_expires_at", "crops", ["expires_at"])
    op.create_table(
        "api_keys",
        sa.Column("id", sa.String(12), nullable=False),
        sa.Column("name", sa.String(128), nullable=False),
        sa.Column("secret_sha256", sa.String(64), nullable=False),
        sa.Column("scope", sa.String(5), nullable=False),
        sa.Column("collection_id", BIG_ID),
        sa.Column("reads_per_minute", sa.Integer),
        sa.Column("writes_per_minute", sa.Integer),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("expires_at", MOMENT),
        sa.Column("revoked_at", MOMENT),
        sa.PrimaryKeyConstraint("id", name="pk_api_keys"),
        sa.ForeignKeyConstraint(
            ["collection_id"], ["collections.id"], name="fk_api_keys_collection_id_collections", ondelete="CASCADE"
        ),
    )
    op.create_table(
        "audit",
        sa.Column("id", BIG_ID, nullable=False),
        sa.Column("at", MOMENT, nullable=False),
        sa.Column("request_id", sa.String(64)),
        sa.Column("caller", sa.String(64), nullable=False),
        sa.Column("action", sa.String(32), nullable=False),
        sa.Column("collection", sa.String(128)),
        sa.Column("subjects", sa.JSON, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_audit"),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "erasures",
        sa.Column("id", BIG_ID, nullable=False),
        sa.Column("kind", sa.String(10), nullable=False),
        sa.Column("row_id", sa.String(20), nullable=False),
        sa.Column("row_created_at", MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_erasures"),
        sqlite_autoincrement=True,
    )
    op.execute("UPDATE idempotency SET holder = 'loopback' WHERE holder = ''")  # who nobody asked for a key
    for statement in _triggers():
        op.execute(statement)


def downgrade() -> None:
    for table in ("erasures", "audit", "api_keys"):
        op.drop_table(table)
    if op.get_bind().dialect.name == "postgresql":
        op.execute("DROP FUNCTION refuse_audit_change")
    op.drop_index("ix_crops_expires_at", "crops")
    op.drop_index("ix_crops_created_at", "crops")
    _refuse_pictures_not_kept()
    _set_nullable("picture", nullable=False)
    op.drop_column("collections", "keep_pictures")
    op.drop_column("collections", "retention_days")


def _set_nullable(column: str, *, nullable: bool) -> None:
    """On SQLite the table is made anew: its sequence must go on, or ids of crops that are gone would be used again."""
    if op.get_bind().dialect.name == "postgresql":
        op.alter_column("crops", column, nullable=nullable)
        return
    last = op.get_bind().execute(sa.text("SELECT seq FROM sqlite_sequence WHERE name = 'crops'")).scalar()
    with op.batch_alter_table("crops", recreate="always", table_kwargs={"sqlite_autoincrement": True}) as batch:
        batch.alter_column(column, existing_type=sa.String(64), nullable=nullable)
    if last is not None:
        op.execute("DELETE FROM sqlite_sequence WHERE name = 'crops'")
        op.get_bind().execute(
            sa.text("INSERT INTO sqlite_sequence (name, seq) VALUES ('crops', :last)"), {"last": last}
        )


def _refuse_pictures_not_kept() -> None:
    found = op.get_bind().execute(sa.text("SELECT count(*) FROM crops WHERE picture IS NULL")).scalar_one()
    if found:
        raise RuntimeError(f"{found} crops have no picture, which the older version cannot read; remove them first")


def _triggers() -> list[str]:
    """Rows of the audit log are only ever added."""
    if op.get_bind().dialect.name == "sqlite":
        return [
            f"CREATE TRIGGER audit_no_{verb.lower()} BEFORE {verb} ON audit "
            "BEGIN SELECT RAISE(ABORT, 'the audit log is append-only'); END"
            for verb in ("UPDATE", "DELETE")
        ] + [  # INSERT OR REPLACE removes a row without telling the trigger above
            "CREATE TRIGGER audit_no_replace BEFORE INSERT ON audit "
            "WHEN EXISTS (SELECT 1 FROM audit WHERE id = NEW.id) "
            "BEGIN SELECT RAISE(ABORT, 'the audit log is append-only'); END"
        ]
    return [
        "CREATE FUNCTION refuse_audit_change() RETURNS trigger LANGUAGE plpgsql AS "
        "$$ BEGIN RAISE EXCEPTION 'the audit log is append-only'; END $$",
        "CREATE TRIGGER audit_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON audit "
        "FOR EACH STATEMENT EXECUTE FUNCTION refuse_audit_change()",
    ]
