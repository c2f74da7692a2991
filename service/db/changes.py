"""The generation counter and the change log: what the index is rebuilt from and catches up by."""

import uuid
from dataclasses import dataclass, field
from datetime import UTC, datetime

import numpy as np
from sqlalchemy import Connection, and_, func, insert, select, update

from service.db.tables import changes, crops, meta, models, vectors
from service.domain import Change, VectorArray


@dataclass(slots=True)
class ChangeLog:
    """What one write does to the index, noted while its transaction runs; generations come when it ends."""

    noted: list[Change] = field(default_factory=list)

    def added(self, collection: int, crop: int, identity: int, vector: VectorArray) -> None:
        """A crop came with its vector."""
        self.noted.append(Change(0, collection, crop, identity, vector))

    def removed(self, collection: int, crop_ids: list[int]) -> None:
        """Crops went."""
        self.noted.extend(Change(0, collection, crop) for crop in crop_ids)


def record(connection: Connection, noted: list[Change]) -> list[Change]:
    """Raise the generation by one for each change and write the log: the last statements of a transaction, because
    the row of the counter stays locked until it ends. Returns the changes with their generations."""
    if not noted:
        return []
    raised = update(meta).values(generation=meta.c.generation + len(noted)).returning(meta.c.generation, meta.c.epoch)
    last, epoch = connection.execute(raised).one()
    first = last - len(noted) + 1
    numbered = [
        Change(first + place, change.collection, change.crop, change.identity, change.vector)
        for place, change in enumerate(noted)
    ]
    rows = [
        {
            "generation": change.generation,
            "epoch": epoch,
            "op": "remove" if change.vector is None else "add",
            "collection_id": change.collection,
            "crop_id": change.crop,
        }
        for change in numbered
    ]
    connection.execute(insert(changes), rows)
    return numbered


def current_generation(connection: Connection) -> int:
    """The number of the last committed change."""
    return int(connection.execute(select(meta.c.generation)).scalar_one())


def ensure_meta(connection: Connection) -> None:
    """Write the one row of meta where it is missing."""
    if connection.execute(select(meta.c.id)).first() is None:
        connection.execute(insert(meta).values(id=1, database_uuid=uuid.uuid4().hex, epoch=1, generation=0))


def wait_for_commits(connection: Connection) -> None:
    """Wait for a commit that PostgreSQL may still be busy with although its connection is gone, or its service dead: it
    holds the counter's row to its end. Before that what it wrote looks as if it were never committed."""
    connection.execute(select(meta.c.id).with_for_update())


def ensure_model(connection: Connection, name: str, sha256: str, dim: int) -> int:
    """The id of a model version, written where it is new."""
    known = select(models.c.id).where(models.c.name == name, models.c.sha256 == sha256)
    found = connection.execute(known).scalar()
    if found is not None:
        return int(found)
    row = {"name": name, "sha256": sha256, "dim": dim, "created_at": datetime.now(UTC)}
    return int(connection.execute(insert(models).values(row).returning(models.c.id)).scalar_one())


def models_in_use(connection: Connection) -> list[tuple[str, str, int]]:
    """Name, sha256 and number of vectors of every model version that has any."""
    query = (
        select(models.c.name, models.c.sha256, func.count())
        .join_from(models, vectors)
        .group_by(models.c.id, models.c.name, models.c.sha256)
    )
    return [(name, sha256, count) for name, sha256, count in connection.execute(query)]


def changes_after(connection: Connection, generation: int, model: int) -> list[Change]:
    """The log from a generation on. A crop added and removed since has no vector and counts as removed."""
    query = (
        select(changes.c.generation, changes.c.op, changes.c.collection_id, changes.c.crop_id, crops.c.identity_id,
               vectors.c.vector)
        .outerjoin_from(changes, crops, crops.c.id == changes.c.crop_id)
        .outerjoin(vectors, and_(vectors.c.crop_id == changes.c.crop_id, vectors.c.model_id == model))
        .where(changes.c.generation > generation)
        .order_by(changes.c.generation)
    )  # fmt: skip
    return [
        Change(number, collection, crop, owner or 0, decode_vector(blob) if op == "add" and blob is not None else None)
        for number, op, collection, crop, owner, blob in connection.execute(query)
    ]


def encode_vector(vector: VectorArray) -> bytes:
    """A (dim,) vector as the bytes of its row."""
    return vector.astype("<f4").tobytes()


def decode_vector(blob: bytes) -> VectorArray:
    """The (dim,) vector of a row."""
    return np.frombuffer(blob, dtype="<f4")
