"""Collections, identities, crops, vectors, the change log and what goes with them."""

from datetime import UTC, datetime

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

BIG_ID = sa.BigInteger().with_variant(sa.Integer, "sqlite")
BYTEWISE = sa.String().with_variant(sa.String(collation="C"), "postgresql")
MOMENT = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.create_table(
        "meta",
        sa.Column("id", sa.Integer, nullable=False, autoincrement=False),
        sa.Column("database_uuid", sa.String(32), nullable=False),
        sa.Column("epoch", sa.Integer, nullable=False),
        sa.Column("generation", BIG_ID, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_meta"),
    )
    op.create_table(
        "models",
        sa.Column("id", BIG_ID, nullable=False),
        sa.Column("name", sa.String(64), nullable=False),
        sa.Column("sha256", sa.String(64), nullable=False),
        sa.Column("dim", sa.Integer, nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_models"),
        sa.UniqueConstraint("name", "sha256", name="uq_models_name_sha256"),
        sqlite_autoincrement=True,
    )
    collections = op.create_table(
        "collections",
        sa.Column("id", BIG_ID, nullable=False),
        sa.Column("name", sa.String(128), nullable=False),
        sa.Column("match_threshold", sa.Double),
        sa.Column("possible_threshold", sa.Double),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_collections"),
        sa.UniqueConstraint("name", name="uq_collections_name"),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "identities",
        sa.Column("id", BIG_ID, nullable=False),
        sa.Column("collection_id", BIG_ID, nullable=False),
        sa.Column("external_id", sa.String(128), nullable=False),
        sa.Column("name", sa.Text),
        sa.Column("name_folded", sa.Text),
        sa.Column("attributes", sa.JSON, nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("updated_at", MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_identities"),
        sa.ForeignKeyConstraint(["collection_id"], ["collections.id"], name="fk_identities_collection_id_collections"),
        sa.UniqueConstraint("collection_id", "external_id", name="uq_identities_collection_id_external_id"),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "attributes",
        sa.Column("id", BIG_ID, nullable=False),
        sa.Column("identity_id", BIG_ID, nullable=False),
        sa.Column("key", sa.String(128), nullable=False),
        sa.Column("kind", sa.String(7), nullable=False),
        sa.Column("text", BYTEWISE),
        sa.Column("number", sa.Double),
        sa.PrimaryKeyConstraint("id", name="pk_attributes"),
        sa.ForeignKeyConstraint(
            ["identity_id"], ["identities.id"], name="fk_attributes_identity_id_identities", ondelete="CASCADE"
        ),
    )
    op.create_index("ix_attributes_identity_id", "attributes", ["identity_id"])
    op.create_index("ix_attributes_key_text", "attributes", ["key", "text"])
    op.create_index("ix_attributes_key_number", "attributes", ["key", "number"])
    op.create_table(
        "crops",
        sa.Column("id", BIG_ID, nullable=False),
        sa.Column("identity_id", BIG_ID, nullable=False),
        sa.Column("picture", sa.String(64), nullable=False),
        sa.Column("picture_sha256", sa.String(64), nullable=False),
        sa.Column("media_type", sa.String(16), nullable=False),
        sa.Column("camera", BYTEWISE),
        sa.Column("captured_at", MOMENT),
        sa.Column("track", BYTEWISE),
        sa.Column("width", sa.Integer, nullable=False),
        sa.Column("height", sa.Integer, nullable=False),
        sa.Column("sharpness", sa.Double, nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("expires_at", MOMENT),
        sa.PrimaryKeyConstraint("id", name="pk_crops"),
        sa.ForeignKeyConstraint(
            ["identity_id"], ["identities.id"], name="fk_crops_identity_id_identities", ondelete="CASCADE"
        ),
        sa.UniqueConstraint("picture", name="uq_crops_picture"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_crops_identity_id", "crops", ["identity_id"])
    op.create_table(
        "vectors",
        sa.Column("crop_id", BIG_ID, nullable=False),
        sa.Column("model_id", BIG_ID, nullable=False),
        sa.Column("vector", sa.LargeBinary, nullable=False),
        sa.PrimaryKeyConstraint("crop_id", "model_id", name="pk_vectors"),
        sa.ForeignKeyConstraint(["crop_id"], ["crops.id"], name="fk_vectors_crop_id_crops", ondelete="CASCADE"),
        sa.ForeignKeyConstraint(["model_id"], ["models.id"], name="fk_vectors_model_id_models"),
    )
    op.create_index("ix_vectors_model_id", "vectors", ["model_id"])
    op.create_table(
        "changes",
        sa.Column("generation", BIG_ID, nullable=False, autoincrement=False),
        sa.Column("epoch", sa.Integer, nullable=False),
        sa.Column("op", sa.String(6), nullable=False),
        sa.Column("collection_id", BIG_ID, nullable=False),
        sa.Column("crop_id", BIG_ID, nullable=False),
        sa.PrimaryKeyConstraint("generation", name="pk_changes"),
    )
    op.create_table(
        "outbox",
        sa.Column("picture", sa.String(64), nullable=False),
        sa.PrimaryKeyConstraint("picture", name="pk_outbox"),
    )
    op.create_table(
        "idempotency",
        sa.Column("holder", sa.String(64), nullable=False),
        sa.Column("collection_id", BIG_ID, nullable=False),
        sa.Column("key", sa.String(255), nullable=False),
        sa.Column("fingerprint", sa.String(64), nullable=False),
        sa.Column("identity_id", BIG_ID, nullable=False),
        sa.Column("answer", sa.JSON, nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("holder", "collection_id", "key", name="pk_idempotency"),
        sa.ForeignKeyConstraint(
            ["collection_id"], ["collections.id"], name="fk_idempotency_collection_id_collections", ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["identity_id"], ["identities.id"], name="fk_idempotency_identity_id_identities", ondelete="CASCADE"
        ),
    )
    op.create_index("ix_idempotency_identity_id", "idempotency", ["identity_id"])
    op.create_index("ix_idempotency_created_at", "idempotency", ["created_at"])
    op.bulk_insert(collections, [{"name": "default", "created_at": datetime.now(UTC).replace(tzinfo=None)}])


def downgrade() -> None:
    for table in ("idempotency", "outbox", "changes", "vectors", "crops", "attributes", "identities"):
        op.drop_table(table)
    for table in ("collections", "models", "meta"):
        op.drop_table(table)
