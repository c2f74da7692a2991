"""Statements about crops and their vectors."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
from sqlalchemy import Connection, Row, delete, insert, or_, select

from service.db.changes import decode_vector, encode_vector
from service.db.filters import crop_clause
from service.db.tables import crops, identities, outbox, vectors
from service.domain import Condition, Crop, CropIds, Quality, Sighting, VectorArray
from service.errors import NotFound

IN_AT_ONCE = 10_000  # parameters of one IN list; PostgreSQL takes 65,535, SQLite 32,766


@dataclass(frozen=True, slots=True)
class NewCrop:
    """A crop as it goes into its row."""

    picture: str
    picture_sha256: str
    media_type: str
    sighting: Sighting
    quality: Quality
    vector: VectorArray


@dataclass(frozen=True, slots=True)
class Joined:
    """A crop with its identity, as an answer to a query shows them."""

    crop: int
    identity: int
    external_id: str
    name: str | None
    attributes: dict[str, Any]
    camera: str | None
    captured_at: datetime | None


def add_crops(connection: Connection, identity: int, model: int, new: Sequence[NewCrop], now: datetime) -> list[int]:
    """Write crops and their vectors; returns the ids in the same order."""
    rows = [
        {
            "identity_id": identity, "picture": crop.picture, "picture_sha256": crop.picture_sha256,
            "media_type": crop.media_type, "camera": crop.sighting.camera, "captured_at": crop.sighting.captured_at,
            "track": crop.sighting.track, "width": crop.quality.width, "height": crop.quality.height,
            "sharpness": crop.quality.sharpness, "created_at": now,
        }
        for crop in new
    ]  # fmt: skip
    inserted = connection.execute(insert(crops).returning(crops.c.id, sort_by_parameter_order=True), rows)
    ids = [int(number) for number in inserted.scalars()]
    blobs = [
        {"crop_id": number, "model_id": model, "vector": encode_vector(crop.vector)}
        for number, crop in zip(ids, new, strict=True)
    ]
    connection.execute(insert(vectors), blobs)
    return ids


def join_crops(connection: Connection, crop_ids: Sequence[int]) -> dict[int, Joined]:
    """Crops with their identities, by crop id; those that are gone are missing. One statement up to 10,000 crops."""
    columns = (
        crops.c.id, crops.c.identity_id, identities.c.external_id, identities.c.name, identities.c.attributes,
        crops.c.camera, crops.c.captured_at,
    )  # fmt: skip
    query = select(*columns).join_from(crops, identities)
    found: dict[int, Joined] = {}
    for start in range(0, len(crop_ids), IN_AT_ONCE):
        part = crop_ids[start : start + IN_AT_ONCE]
        found.update({row[0]: Joined(*row) for row in connection.execute(query.where(crops.c.id.in_(part)))})
    return found


def allowed_crops(
    connection: Connection, collection: int, conditions: Sequence[Condition], exclude_cameras: Sequence[str]
) -> tuple[CropIds, int]:
    """The ids of the crops of a collection that meet all conditions, and how many identities they belong to. A crop
    without a camera survives an exclusion."""
    query = (
        select(crops.c.id, crops.c.identity_id)
        .join_from(crops, identities)
        .where(identities.c.collection_id == collection)
    )
    for condition in conditions:
        query = query.where(crop_clause(condition))
    if exclude_cameras:
        query = query.where(or_(crops.c.camera.is_(None), crops.c.camera.not_in(exclude_cameras)))
    found = np.array([tuple(row) for row in connection.execute(query)], np.int64).reshape(-1, 2)
    return found[:, 0].copy(), len(np.unique(found[:, 1]))


def list_crops(connection: Connection, identity: int, *, after: int, limit: int) -> list[Crop]:
    """The crops of an identity, lowest id first, from the one after `after`."""
    query = (
        select(crops, identities.c.external_id)
        .join_from(crops, identities)
        .where(crops.c.identity_id == identity, crops.c.id > after)
        .order_by(crops.c.id)
        .limit(limit)
    )
    return [_as_crop(row) for row in connection.execute(query)]


def find_picture(connection: Connection, crop: int) -> tuple[str, str]:
    """Name in the store and media type of a crop's picture. Raises NotFound."""
    row = connection.execute(select(crops.c.picture, crops.c.media_type).where(crops.c.id == crop)).first()
    if row is None:
        raise NotFound(f"no crop {crop}", code="CROP_NOT_FOUND")
    return row.picture, row.media_type


def find_vector(connection: Connection, collection: int, crop: int, model: int) -> VectorArray:
    """The vector of a crop of a collection. Raises NotFound."""
    query = (
        select(vectors.c.vector)
        .join_from(vectors, crops)
        .join(identities)
        .where(vectors.c.crop_id == crop, vectors.c.model_id == model, identities.c.collection_id == collection)
    )
    blob = connection.execute(query).scalar()
    if blob is None:
        raise NotFound(f"no crop {crop} in this collection", code="CROP_NOT_FOUND")
    return decode_vector(blob)


def vectors_of(connection: Connection, identity: int, model: int) -> VectorArray:
    """All vectors of an identity, (n, dim), lowest crop first; (0, 0) where it has none."""
    query = (
        select(vectors.c.vector)
        .join_from(vectors, crops)
        .where(crops.c.identity_id == identity, vectors.c.model_id == model)
        .order_by(crops.c.id)
    )
    found = [decode_vector(blob) for blob in connection.execute(query).scalars()]
    return np.stack(found) if found else np.empty((0, 0), np.float32)


def take_crops_of(connection: Connection, identity: int) -> list[int]:
    """Ids of all crops of an identity; their pictures are put in the outbox. The rows go with the identity."""
    return _take(connection, crops.c.identity_id == identity)


def take_crops_in(connection: Connection, collection: int) -> list[int]:
    """Ids of all crops of a collection; their pictures are put in the outbox. The rows go with the collection."""
    members = select(identities.c.id).where(identities.c.collection_id == collection)
    return _take(connection, crops.c.identity_id.in_(members))


def take_crop(connection: Connection, identity: int, crop: int) -> None:
    """Remove one crop of an identity and put its picture in the outbox. Raises NotFound."""
    if not _take(connection, (crops.c.id == crop) & (crops.c.identity_id == identity)):
        raise NotFound(f"no crop {crop} of this identity", code="CROP_NOT_FOUND")
    connection.execute(delete(crops).where(crops.c.id == crop))


def _take(connection: Connection, where: Any) -> list[int]:
    rows = connection.execute(select(crops.c.id, crops.c.picture).where(where).order_by(crops.c.id)).all()
    if rows:
        connection.execute(insert(outbox), [{"picture": row.picture} for row in rows])
    return [int(row.id) for row in rows]


def _as_crop(row: Row[Any]) -> Crop:
    return Crop(
        row.id, row.external_id, row.camera, row.captured_at, row.track,
        Quality(row.width, row.height, row.sharpness), row.created_at,
    )  # fmt: skip
