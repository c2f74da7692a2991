"""Statements that read the whole gallery at start: who owns each crop, and vectors, a million rows in seconds."""

from collections.abc import Generator
from dataclasses import dataclass
from itertools import chain

import numpy as np
from sqlalchemy import Connection, Select, exists, func, select

from service.db.outbox import IN_AT_ONCE
from service.db.people import collection_ids
from service.db.tables import changes, crops, identities, models, vectors
from service.domain import CropIds, VectorArray

ROWS_AT_ONCE = 8_192

Portions = Generator[tuple[CropIds, VectorArray]]  # ids (n,) and vectors (n, dim); closed before the connection


@dataclass(frozen=True, slots=True)
class Owners:
    """Every crop (n,), lowest first, with its identity and its collection (both (n,))."""

    crops: CropIds
    identities: CropIds
    collections: CropIds

    def by_collection(self) -> dict[int, tuple[CropIds, CropIds]]:
        """Crops, lowest first, and identities of each collection that has any."""
        order = np.argsort(self.collections, kind="stable")
        homes, starts = np.unique(self.collections[order], return_index=True)
        parts = np.split(order, starts[1:])
        return {
            home: (self.crops[rows], self.identities[rows]) for home, rows in zip(homes.tolist(), parts, strict=False)
        }


def count_without_vector(connection: Connection, model: int) -> int:
    """How many crops have no vector of this model version. Each vector is of a crop, and of a model a crop has one."""
    all_crops = select(func.count()).select_from(crops).scalar_subquery()
    with_vector = select(func.count()).where(vectors.c.model_id == model).scalar_subquery()
    return int(connection.execute(select(all_crops - with_vector)).scalar_one())


def read_owners(connection: Connection) -> Owners:
    """All crops of collections that are not hidden."""
    people = _pairs(connection, select(identities.c.id, identities.c.collection_id))
    found = _pairs(connection, select(crops.c.id, crops.c.identity_id))
    if not len(found):
        return Owners(*np.empty((3, 0), np.int64))
    people = people[np.argsort(people[:, 0])]
    homes = people[np.searchsorted(people[:, 0], found[:, 1]), 1]
    order = np.argsort(found[:, 0])
    order = order[np.isin(homes[order], collection_ids(connection))]
    return Owners(found[order, 0], found[order, 1], homes[order])


def read_vectors(connection: Connection, model: int, wanted: CropIds) -> Portions:
    """The vectors of some crops, in portions: ids (n,) and vectors (n, dim), in no order."""
    query = select(vectors.c.crop_id, vectors.c.vector).where(vectors.c.model_id == model)
    for start in range(0, len(wanted), IN_AT_ONCE):
        yield from _portions(
            connection, query.where(vectors.c.crop_id.in_(wanted[start : start + IN_AT_ONCE].tolist()))
        )


def read_all_vectors(connection: Connection, model: int) -> Portions:
    """Every vector of a model version, like `read_vectors`, in the order in which the database finds them fastest."""
    yield from _portions(connection, select(vectors.c.crop_id, vectors.c.vector).where(vectors.c.model_id == model))


def vectors_in(connection: Connection, collection: int, name: str, sha256: str, dim: int) -> VectorArray:
    """Every vector of a collection by a model version, (n, dim), in no order; none where that version is not known."""
    known = (models.c.name == name) & (models.c.sha256 == sha256)
    query = (
        select(vectors.c.crop_id, vectors.c.vector)
        .join_from(vectors, crops)
        .join(identities)
        .where(vectors.c.model_id == select(models.c.id).where(known).scalar_subquery())
        .where(identities.c.collection_id == collection)
    )
    return np.concatenate([np.empty((0, dim), np.float32), *(part for _, part in _portions(connection, query))])


def removes_after(connection: Connection, generation: int) -> bool:
    """Whether a crop was removed after a generation."""
    since = (changes.c.generation > generation) & (changes.c.op == "remove")
    return bool(connection.execute(select(exists().where(since))).scalar_one())


def _pairs(connection: Connection, query: Select[tuple[int, int]]) -> CropIds:
    """The rows of a query for two numbers, (n, 2)."""
    rows = connection.execute(query.execution_options(yield_per=ROWS_AT_ONCE))
    return np.fromiter(chain.from_iterable(rows), np.int64).reshape(-1, 2)


def _portions(connection: Connection, query: Select[tuple[int, bytes]]) -> Portions:
    with connection.execute(query.execution_options(yield_per=ROWS_AT_ONCE)) as found:
        for rows in found.partitions():
            ids, blobs = zip(*rows, strict=True)
            yield np.array(ids, np.int64), np.frombuffer(b"".join(blobs), "<f4").reshape(len(blobs), -1)
