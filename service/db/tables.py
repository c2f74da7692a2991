"""The data model, all of it. SQL is the truth: vectors are rows here, and the index is only their reflection.
Migrations make these tables; a test holds the two together."""

from datetime import UTC, datetime

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    DateTime,
    Dialect,
    Double,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    TypeDecorator,
    UniqueConstraint,
    true,
)  # fmt: skip

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s_%(referred_table_name)s",
        "pk": "pk_%(table_name)s",
    }
)

BigId = BigInteger().with_variant(Integer, "sqlite")  # a BigInteger primary key does not autoincrement on SQLite
Bytewise = String().with_variant(String(collation="C"), "postgresql")  # ranges compare alike on both databases


class UtcDateTime(TypeDecorator[datetime]):
    """A moment: timezone-aware UTC on both sides; SQLite, which has no time zones, keeps it naive."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """On the way in."""
        if value is None:
            return None
        utc = value.astimezone(UTC)
        return utc.replace(tzinfo=None) if dialect.name == "sqlite" else utc

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002
        """On the way out."""
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


meta = Table(
    "meta", metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),  # one row, id 1
    Column("database_uuid", String(32), nullable=False),  # what carries another UUID or epoch is not ours
    Column("epoch", Integer, nullable=False),
    Column("generation", BigId, nullable=False),  # raised last in each writing transaction
)  # fmt: skip

models = Table(
    "models", metadata,
    Column("id", BigId, primary_key=True),
    Column("name", String(64), nullable=False),
    Column("sha256", String(64), nullable=False),
    Column("dim", Integer, nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    UniqueConstraint("name", "sha256"),
    sqlite_autoincrement=True,
)  # fmt: skip

collections = Table(
    "collections", metadata,
    Column("id", BigId, primary_key=True),
    Column("name", String(128), nullable=False, unique=True),
    Column("match_threshold", Double),
    Column("possible_threshold", Double),
    Column("created_at", UtcDateTime, nullable=False),
    Column("retention_days", Integer),  # null keeps crops until they are removed
    Column("keep_pictures", Boolean, nullable=False, server_default=true()),
    sqlite_autoincrement=True,
)  # fmt: skip

identities = Table(
    "identities", metadata,
    Column("id", BigId, primary_key=True),
    Column("collection_id", ForeignKey("collections.id"), nullable=False),
    Column("external_id", String(128), nullable=False),
    Column("name", Text),
    Column("name_folded", Text),  # for the search by name, alike on both databases
    Column("attributes", JSON, nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    Column("updated_at", UtcDateTime, nullable=False),
    UniqueConstraint("collection_id", "external_id"),
    sqlite_autoincrement=True,
)  # fmt: skip

attributes = Table(  # one row for each scalar of identities.attributes, so that filters need no dialect of JSON
    "attributes", metadata,
    Column("id", BigId, primary_key=True),
    Column("identity_id", ForeignKey("identities.id", ondelete="CASCADE"), nullable=False, index=True),
    Column("key", String(128), nullable=False),
    Column("kind", String(7), nullable=False),  # string, number, boolean
    Column("text", Bytewise),
    Column("number", Double),
    Index(None, "key", "text"),
    Index(None, "key", "number"),
)  # fmt: skip

crops = Table(
    "crops", metadata,
    Column("id", BigId, primary_key=True),  # never used again; also the id in the index
    Column("identity_id", ForeignKey("identities.id", ondelete="CASCADE"), nullable=False, index=True),
    Column("picture", String(64), unique=True),  # its name in the store; null where its collection keeps none
    Column("picture_sha256", String(64), nullable=False),
    Column("media_type", String(16), nullable=False),
    Column("camera", Bytewise),
    Column("captured_at", UtcDateTime),
    Column("track", Bytewise),
    Column("width", Integer, nullable=False),
    Column("height", Integer, nullable=False),
    Column("sharpness", Double, nullable=False),
    Column("created_at", UtcDateTime, nullable=False, index=True),
    Column("expires_at", UtcDateTime, index=True),
    sqlite_autoincrement=True,
)  # fmt: skip

vectors = Table(  # apart from crops, because changing the model needs two vectors of one crop at once
    "vectors", metadata,
    Column("crop_id", ForeignKey("crops.id", ondelete="CASCADE"), primary_key=True),
    Column("model_id", ForeignKey("models.id"), primary_key=True, index=True),
    Column("vector", LargeBinary, nullable=False),  # float32, little endian, unit length
)  # fmt: skip

changes = Table(  # the log the index is replayed from; no foreign keys, because it outlives what it speaks of
    "changes", metadata,
    Column("generation", BigId, primary_key=True, autoincrement=False),
    Column("epoch", Integer, nullable=False),
    Column("op", String(6), nullable=False),  # add, remove
    Column("collection_id", BigId, nullable=False),
    Column("crop_id", BigId, nullable=False),
)  # fmt: skip

outbox = Table(  # pictures whose rows are gone and whose files must follow
    "outbox", metadata,
    Column("picture", String(64), primary_key=True),
)  # fmt: skip

idempotency = Table(  # answers to enrolments that named a key; erased with the person they speak of
    "idempotency", metadata,
    Column("holder", String(64), primary_key=True),
    Column("collection_id", ForeignKey("collections.id", ondelete="CASCADE"), primary_key=True),
    Column("key", String(255), primary_key=True),
    Column("fingerprint", String(64), nullable=False),
    Column("identity_id", ForeignKey("identities.id", ondelete="CASCADE"), nullable=False, index=True),
    Column("answer", JSON, nullable=False),
    Column("created_at", UtcDateTime, nullable=False, index=True),
)  # fmt: skip

api_keys = Table(
    "api_keys", metadata,
    Column("id", String(12), primary_key=True),  # the part of a key that may be shown
    Column("name", String(128), nullable=False),
    Column("secret_sha256", String(64), nullable=False),
    Column("scope", String(5), nullable=False),  # read, write, admin
    Column("collection_id", ForeignKey("collections.id", ondelete="CASCADE")),  # null for all
    Column("reads_per_minute", Integer),  # null for the service's own
    Column("writes_per_minute", Integer),
    Column("created_at", UtcDateTime, nullable=False),
    Column("expires_at", UtcDateTime),
    Column("revoked_at", UtcDateTime),
)  # fmt: skip

audit = Table(  # append-only: triggers refuse the rest, but for what is sealed
    "audit", metadata,
    Column("id", BigId, primary_key=True),
    Column("at", UtcDateTime, nullable=False),
    Column("request_id", String(64)),
    Column("caller", String(64), nullable=False),  # a key's id, or which part of the service it was
    Column("action", String(32), nullable=False),
    Column("collection", String(128)),
    Column("subjects", JSON, nullable=False),  # the clients' ids of the people concerned
    sqlite_autoincrement=True,
)  # fmt: skip

audit_seals = Table(  # how far the audit log was exported for good: triggers let entries up to there be removed
    "audit_seals", metadata,
    Column("through", BigId, primary_key=True, autoincrement=False),
    Column("entry", BigId, nullable=False),  # of the log itself, which says who did it
)  # fmt: skip

erasures = Table(  # rows that are gone for good and still have to be told to the file that outlives the database
    "erasures", metadata,
    Column("id", BigId, primary_key=True),
    Column("kind", String(10), nullable=False),  # crop, identity, collection, key
    Column("row_id", String(20), nullable=False),
    Column("row_created_at", UtcDateTime, nullable=False),  # with it a row is known also where its id is used again
    sqlite_autoincrement=True,
)  # fmt: skip
