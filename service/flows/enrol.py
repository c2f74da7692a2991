"""Enrol pictures of one identity: judge, embed, store, commit, index."""

import asyncio
import logging
import secrets
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

import numpy as np
from sqlalchemy import Connection

from service.db.audit import add_entries
from service.db.changes import ChangeLog
from service.db.people import add_identity, change_identity, find_collection, look_up_identity, show_identity
from service.db.sightings import NewCrop, add_crops
from service.domain import Collection, Identity, Quality, Sighting, VectorArray
from service.errors import BadInput, BadPicture, Conflict, OutcomeUnknown
from service.flows.admission import Lane
from service.flows.audit import entry
from service.flows.merge import Patch
from service.flows.parts import Parts
from service.flows.pictures import Opened, Stored, Upload
from service.flows.repeats import Repeatable, fingerprint
from service.telemetry import Stopwatch

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class NewPicture:
    """One uploaded picture and where it was taken."""

    upload: Upload
    sighting: Sighting


@dataclass(frozen=True, slots=True)
class Enrolment:
    """What a client asks for. Without `identity` an id is generated."""

    collection: str
    identity: str | None
    patch: Patch
    pictures: Sequence[NewPicture]
    expires_at: datetime | None = None  # of the crops
    key: str | None = None
    holder: str = ""


@dataclass(frozen=True, slots=True)
class Enrolled:
    """The answer. `body` has identity (None where nothing was accepted), accepted and rejected, ready for JSON."""

    created: bool
    replayed: bool
    body: dict[str, Any]
    generation: int


@dataclass(frozen=True, slots=True)
class _Good:
    """A picture that will be a crop: its place in the request, its content, vector, and similarity to the identity."""

    index: int
    stored: Stored
    quality: Quality
    vector: VectorArray
    similarity: float | None


async def enrol(parts: Parts, request: Enrolment, watch: Stopwatch) -> Enrolled:
    """Take the good pictures of a request in one transaction. With none good nothing is stored.

    Raises NotFound for the collection, Conflict for a reused key, Overloaded, Stopping or DatabaseDown.
    """
    home = await parts.homes.find(request.collection)
    collection = home.id
    repeatable = await asyncio.to_thread(_repeatable, request, collection) if request.key else None
    with parts.repeats.hold(repeatable) if repeatable else nullcontext():
        kept = await parts.database.read(parts.repeats.answered, repeatable) if repeatable else None
        if kept is not None:
            await parts.writer.catch_up()  # what is acknowledged must be found, also where the first answer was lost
            parts.audit.saw("enrol.repeat", request.collection, [kept["body"]["identity"]["id"]])
            return Enrolled(kept["created"], True, kept["body"], parts.galleries.generation)
        if request.expires_at is not None and request.expires_at <= datetime.now(UTC):
            raise BadInput("expires_at is in the past; leave it out for crops that stay")
        with parts.admission.enter(len(request.pictures), Lane.BULK):
            with watch.stage("decode"):
                opened = await parts.reader.open_to_store([picture.upload for picture in request.pictures])
            taken, rejected = _judge(parts, request, opened)
            if not taken:
                body = {"identity": None, "accepted": [], "rejected": rejected}
                return Enrolled(False, False, body, parts.galleries.generation)
            with watch.stage("embed"):
                vectors = await parts.embedder.embed([one.prepared for _, one, _ in taken])
            similarities = await _similarities(parts, collection, request.identity, vectors)
            good = [
                _Good(index, stored, one.quality, vector, similarity)
                for (index, one, stored), vector, similarity in zip(taken, vectors, similarities, strict=True)
            ]
            return await _store(parts, request, home, good, rejected, repeatable, watch)


async def _store(
    parts: Parts, request: Enrolment, home: Collection, good: list[_Good], rejected: list[dict[str, Any]],
    repeatable: Repeatable | None, watch: Stopwatch,
) -> Enrolled:  # fmt: skip
    collection, names = home.id, []
    if home.keep_pictures:
        with watch.stage("store"):
            names = await asyncio.to_thread(parts.store.stage, [one.stored.picture for one in good])
    parts.fail_point("after-stage-before-commit")
    kept: Sequence[str | None] = [*names] or [None] * len(good)
    new = [_new_crop(name, one, request) for name, one in zip(kept, good, strict=True)]
    done = entry("enrol", request.collection)

    def job(connection: Connection, changes: ChangeLog) -> dict[str, Any]:
        now_home = find_collection(connection, request.collection)
        if (now_home.id, now_home.keep_pictures) != (home.id, home.keep_pictures):
            raise Conflict("the collection was changed or made anew meanwhile; send the request again")
        identity, created = _identity(connection, collection, request)
        crops = add_crops(connection, identity, parts.model.id, new, datetime.now(UTC))
        for crop, one in zip(crops, good, strict=True):
            changes.added(collection, crop, identity, one.vector)
        accepted = [_accepted(one, crop, request) for one, crop in zip(good, crops, strict=True)]
        shown = _shown(show_identity(connection, identity))
        add_entries(connection, [done.about([shown["id"]])])
        answer = {"created": created, "body": {"identity": shown, "accepted": accepted, "rejected": rejected}}
        if repeatable:
            parts.repeats.keep(connection, repeatable, identity, answer)
        return answer

    try:
        with watch.stage("commit"):
            written = await parts.writer.write(job)
    except OutcomeUnknown:
        parts.doubtful.update(names)  # housekeeping, or the next start, finds out what became of them
        raise
    except Exception:
        await asyncio.to_thread(parts.store.discard, names)
        raise
    parts.fail_point("after-commit-before-publish")
    try:
        await asyncio.to_thread(parts.store.publish, names)
    except OSError:
        log.exception("pictures stay where they were staged until housekeeping can move them")
        parts.doubtful.update(names)
    return Enrolled(written.value["created"], False, written.value["body"], written.generation)


def _judge(
    parts: Parts, request: Enrolment, opened: Sequence[Opened | BadPicture]
) -> tuple[list[tuple[int, Opened, Stored]], list[dict[str, Any]]]:
    taken: list[tuple[int, Opened, Stored]] = []
    rejected: list[dict[str, Any]] = []
    for index, one in enumerate(opened):
        if isinstance(one, BadPicture):
            reasons = [(one.error_code, one.detail)]
        else:
            reasons = parts.gate.reasons(one.quality)
        if isinstance(one, Opened) and one.stored is not None and not reasons:
            taken.append((index, one, one.stored))
            continue
        filename = request.pictures[index].upload.filename
        codes, details = [code for code, _ in reasons], "; ".join(detail for _, detail in reasons)
        rejected.append({"index": index, "filename": filename, "reasons": codes, "detail": details})
    return taken, rejected


async def _similarities(
    parts: Parts, collection: int, identity: str | None, vectors: VectorArray
) -> list[float | None]:
    """For each new vector its best similarity to the identity's crops, those of this request included."""
    each = np.einsum("id,jd->ij", vectors, vectors)  # by BLAS its threads would spin beside the network's
    np.fill_diagonal(each, -np.inf)
    among = each.max(axis=1)
    known = await parts.database.read(look_up_identity, collection, identity) if identity else None
    gallery = parts.galleries.of(collection)
    crops = np.array(gallery.crops(known.id) if known else (), np.int64)
    if len(crops):
        best, _ = await asyncio.to_thread(gallery.vectors.search, vectors, 1, crops)
        among = np.maximum(among, best[:, 0])
    return [min(float(best), 1.0) if np.isfinite(best) else None for best in among]


def _identity(connection: Connection, collection: int, request: Enrolment) -> tuple[int, bool]:
    """Our id of the identity, made or changed as the request says, and whether it is new."""
    now = datetime.now(UTC)
    patch, external_id = request.patch, request.identity or f"p-{secrets.token_hex(8)}"
    known = look_up_identity(connection, collection, external_id)
    if known is None:
        name, attributes = patch.merged_name(None), patch.merged_attributes({})
        return add_identity(connection, collection, external_id, name, attributes, now), True
    if patch != Patch():
        name, attributes = patch.merged_name(known.name), patch.merged_attributes(known.attributes)
        change_identity(connection, known.id, name, attributes, now)
    return known.id, False


def _shown(identity: Identity) -> dict[str, Any]:
    return {
        "id": identity.external_id, "name": identity.name, "attributes": identity.attributes, "crops": identity.crops,
        "created_at": identity.created_at.isoformat(), "updated_at": identity.updated_at.isoformat(),
    }  # fmt: skip


def _new_crop(name: str | None, one: _Good, request: Enrolment) -> NewCrop:
    sighting = request.pictures[one.index].sighting
    return NewCrop(
        name, one.stored.sha256, one.stored.media_type, sighting, one.quality, one.vector, request.expires_at
    )  # fmt: skip


def _accepted(one: _Good, crop: int, request: Enrolment) -> dict[str, Any]:
    filename = request.pictures[one.index].upload.filename
    return {
        "index": one.index, "filename": filename, "crop": crop, "quality": asdict(one.quality),
        "similarity_to_identity": one.similarity,
    }  # fmt: skip


def _repeatable(request: Enrolment, collection: int) -> Repeatable | None:
    if request.key is None:
        return None
    fields: dict[str, Any] = {
        "identity": request.identity, "patch": asdict(request.patch),
        "pictures": [(asdict(one.sighting), one.upload.box and asdict(one.upload.box)) for one in request.pictures],
    }  # fmt: skip
    if request.expires_at is not None:
        fields["expires_at"] = request.expires_at
    meant = fingerprint(fields, [picture.upload.picture for picture in request.pictures])
    return Repeatable(request.holder, collection, request.key, meant)
