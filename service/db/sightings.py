"""Statements about crops and their vectors."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

import numpy as np
import orjson
from sqlalchemy import Connection, Row, Select, Text, bindparam, cast, delete, func, insert, or_, select, update

from service.db.changes import decode_vector, encode_vector
from service.db.erasures import erase_rows
from service.db.filters import clauses
from service.db.outbox import IN_AT_ONCE, await_unlinking
from service.db.people import GOING
from service.db.tables import collections, crops, identities, outbox, vectors
from service.domain import Condition, Crop, CropIds, Quality, Sighting, VectorArray
from service.errors import NotFound

JSON_AT_ONCE = 1000  # crops of one row of JSON, each with all attributes of its identity; SQLite takes 10⁹ bytes


@dataclass(frozen=True, slots=True)
class NewCrop:
    """A crop as it goes into its row."""

    picture: str | None  # None where the collection keeps none
    picture_sha256: str
    media_type: str
    sighting: Sighting
    quality: Quality
    vector: VectorArray
    expires_at: datetime | None = None


class Joined(NamedTuple):  # thirty a query: a tuple is made in a third of the time of a frozen dataclass
    """A crop with its identity, as an answer to a query shows them."""

    crop: int
    identity: int
    external_id: str
    name: str | None
    attributes: dict[str, Any]
    camera: str | None
    captured_at: datetime | None
    has_picture: bool


def add_crops(connection: Connection, identity: int, model: int, new: Sequence[NewCrop], now: datetime) -> list[int]:
    """Write crops and their vectors; returns the ids in the same order."""
    rows = [
        {
            "identity_id": identity, "picture": crop.picture, "picture_sha256": crop.picture_sha256,
            "media_type": crop.media_type, "camera": crop.sighting.camera, "captured_at": crop.sighting.captured_at,
            "track": crop.sighting.track, "width": crop.quality.width, "height": crop.quality.height,
            "sharpness": crop.quality.sharpness, "created_at": now, "expires_at": crop.expires_at,
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


_SHOWN = (
    crops.c.id, crops.c.identity_id, identities.c.external_id, identities.c.name, identities.c.attributes,
    crops.c.camera, crops.c.captured_at, crops.c.picture.is_not(None),
)  # fmt: skip
_JOINED = (
    select(*_SHOWN).join_from(crops, identities).where(crops.c.id.in_(bindparam("ids", expanding=True)))
)  # fmt: skip
# one row, and the same statement for any number of crops: SQLite's driver lets other threads run after each row
_JOINED_AS_JSON = (
    select(
        func.json_group_array(
            func.json_array(*(func.json(one) if one is identities.c.attributes else one for one in _SHOWN))
        )
    )
    .join_from(crops, identities)
    .where(crops.c.id.in_(select(func.json_each(bindparam("ids")).table_valued("value").c.value)))
)


def join_crops(connection: Connection, crop_ids: Sequence[int]) -> dict[int, Joined]:
    """Crops with their identities, by crop id; those that are gone are missing. One statement up to 1,000 crops."""
    joined: dict[int, Joined] = {}
    as_json = connection.dialect.name == "sqlite"
    at_once = JSON_AT_ONCE if as_json else IN_AT_ONCE
    for start in range(0, len(crop_ids), at_once):
        part = crop_ids[start : start + at_once]
        if as_json:
            found = connection.execute(_JOINED_AS_JSON, {"ids": orjson.dumps(part).decode()}).scalar_one()
            joined.update({row[0]: _joined(*row) for row in orjson.loads(found)})
        else:
            joined.update({row[0]: Joined(*row) for row in connection.execute(_JOINED, {"ids": part})})
    return joined


def _joined(
    crop: int, identity: int, external_id: str, name: str | None, attributes: dict[str, Any], camera: str | None,
    captured_at: str | None, has_picture: int,
) -> Joined:  # fmt: skip
    """A row as SQLite's JSON has it: moments in UTC without saying so, and whole numbers for yes and no."""
    moment = None if captured_at is None else datetime.fromisoformat(f"{captured_at}+00:00")
    return Joined(crop, identity, external_id, name, attributes, camera, moment, bool(has_picture))


def allowed_crops(
    connection: Connection, collection: int, conditions: Sequence[Condition], exclude_cameras: Sequence[str]
) -> CropIds:
    """The ids of the crops of a collection that meet all conditions, in order. A crop without a camera survives an
    exclusion."""
    # one row of text: a hundred thousand rows of one number each take twice as long
    query = (
        select(func.aggregate_strings(cast(crops.c.id, Text), ","))
        .join_from(crops, identities)
        .where(identities.c.collection_id == collection, *clauses(conditions))
    )
    if exclude_cameras:
        query = query.where(or_(crops.c.camera.is_(None), crops.c.camera.not_in(exclude_cameras)))
    found = connection.execute(query).scalar_one() or ""
    return np.sort(np.fromstring(found, np.int64, sep=","))


def shared_crops(
    connection: Connection, collection: int, conditions: Sequence[Condition], exclude_cameras: Sequence[str]
) -> CropIds:
    """`allowed_crops` for several queries, none of which can write to them."""
    shared = allowed_crops(connection, collection, conditions, exclude_cameras)
    shared.setflags(write=False)
    return shared


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


@dataclass(frozen=True, slots=True)
class Kept:
    """Where the picture of a crop is (None where its collection keeps none), what it is, and whom it shows."""

    picture: str | None
    media_type: str
    collection: str
    identity: str


def find_picture(connection: Connection, crop: int) -> Kept:
    """The picture of a crop. Raises NotFound where there is no such crop."""
    columns = (crops.c.picture, crops.c.media_type, collections.c.name, identities.c.external_id)
    home = select(*columns).join_from(crops, identities).join(collections)
    query = home.where(crops.c.id == crop, collections.c.name.not_like(f"{GOING}%"))
    row = connection.execute(query).first()
    if row is None:
        raise no_crop(crop)
    return Kept(*row)


def no_crop(crop: int) -> NotFound:
    """Also what somebody is told who must not know that there is one."""
    return NotFound(f"no crop {crop}", code="CROP_NOT_FOUND")


def find_vector(connection: Connection, collection: int, crop: int, model: int) -> tuple[VectorArray, str]:
    """The vector of a crop of a collection, and the client's id of whom it shows. Raises NotFound."""
    query = (
        select(vectors.c.vector, identities.c.external_id)
        .join_from(vectors, crops)
        .join(identities)
        .where(vectors.c.crop_id == crop, vectors.c.model_id == model, identities.c.collection_id == collection)
    )
    row = connection.execute(query).first()
    if row is None:
        raise NotFound(f"no crop {crop} in this collection", code="CROP_NOT_FOUND")
    return decode_vector(row.vector), row.external_id


def vectors_of(connection: Connection, identity: int, model: int) -> VectorArray:
    """All vectors of an identity, (n, dim), lowest crop first; (0, 0) where it has none."""
    query = (
        select(vectors.c.vector)
        .join_from(vectors, crops)
        .where(crops.c.identity_id == identity, vectors.c.model_id == model)
        .order_by(crops.c.id)
    )
    return _stacked(connection, query)


def vectors_of_crops(connection: Connection, crop_ids: Sequence[int], model: int) -> VectorArray:
    """The vectors of crops, (n, dim), lowest crop first; (0, 0) where there are none."""
    query = select(vectors.c.vector).where(vectors.c.crop_id.in_(crop_ids), vectors.c.model_id == model)
    return _stacked(connection, query.order_by(vectors.c.crop_id))


def _stacked(connection: Connection, query: Select[Any]) -> VectorArray:
    found = [decode_vector(blob) for blob in connection.execute(query).scalars()]
    return np.stack(found) if found else np.empty((0, 0), np.float32)


@dataclass(frozen=True, slots=True)
class Taken:
    """Crops that are about to go: their ids, lowest first, how many vectors go with them, and how many pictures were
    put in the outbox."""

    crops: list[int]
    vectors: int
    pictures: int


def take_crops_of(connection: Connection, identity: int) -> Taken:
    """All crops of an identity; their pictures are put in the outbox. The rows go with the identity."""
    return _take(connection, crops.c.identity_id == identity)


def take_crop(connection: Connection, identity: int, crop: int) -> Taken:
    """Remove one crop of an identity and put its picture in the outbox. Raises NotFound."""
    taken = _take(connection, (crops.c.id == crop) & (crops.c.identity_id == identity))
    if not taken.crops:
        raise NotFound(f"no crop {crop} of this identity", code="CROP_NOT_FOUND")
    connection.execute(delete(crops).where(crops.c.id == crop))
    return taken


def take_crops(connection: Connection, crop_ids: Sequence[int]) -> Taken:
    """Remove crops of any identities and put their pictures in the outbox; at most 10,000 at once."""
    taken = _take(connection, crops.c.id.in_(crop_ids))
    connection.execute(delete(crops).where(crops.c.id.in_(crop_ids)))
    return taken


def drop_pictures_in(connection: Connection, collection: int) -> None:
    """Put the pictures of a collection that shall keep none in the outbox; crops and vectors stay."""
    kept = (crops.c.identity_id.in_(_members(collection))) & crops.c.picture.is_not(None)
    connection.execute(insert(outbox).from_select(["picture"], select(crops.c.picture).where(kept)))
    connection.execute(update(crops).where(kept).values(picture=None))


def rows_of(connection: Connection, crop_ids: Sequence[int]) -> int:
    """How many of these crops still have a row or a vector."""
    found = 0
    for start in range(0, len(crop_ids), IN_AT_ONCE):
        part = crop_ids[start : start + IN_AT_ONCE]
        for column in (crops.c.id, vectors.c.crop_id):
            found += connection.execute(select(func.count()).where(column.in_(part))).scalar_one()
    return found


def _members(collection: int) -> Select[Any]:
    return select(identities.c.id).where(identities.c.collection_id == collection)


def _take(connection: Connection, where: Any) -> Taken:
    rows = connection.execute(select(crops.c.id, crops.c.picture).where(where).order_by(crops.c.id)).all()
    pictures = [row.picture for row in rows if row.picture is not None]
    await_unlinking(connection, pictures)
    erase_rows(connection, "crop", crops, where)
    found = select(func.count()).select_from(vectors.join(crops)).where(where)
    return Taken([int(row.id) for row in rows], connection.execute(found).scalar_one(), len(pictures))


def _as_crop(row: Row[Any]) -> Crop:
    return Crop(
        row.id, row.external_id, row.camera, row.captured_at, row.track,
        Quality(row.width, row.height, row.sharpness), row.created_at, row.expires_at, row.picture is not None,
    )  # fmt: skip
