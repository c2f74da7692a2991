"""Who is this? Decode, embed, search, group by identity and decide, join."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection

from service.db.people import find_identity
from service.db.sightings import Joined, allowed_crops, find_vector, vectors_of
from service.domain import Collection, Condition, Quality, Thresholds, VectorArray
from service.embedding.batcher import Lane
from service.errors import BadInput
from service.flows.candidates import Field, find_candidates
from service.flows.parts import Parts
from service.flows.pictures import Upload
from service.matching.decision import Decision, decide, thresholds_in_force
from service.matching.grouping import Group, Hit, order
from service.matching.pooling import pool, unit
from service.telemetry import Stopwatch

TRIES = 3  # searches again where a crop was removed between search and join


@dataclass(frozen=True, slots=True)
class Probe:
    """What is looked for: exactly one of pictures (of one person), a vector, a crop or an identity."""

    uploads: Sequence[Upload] = ()
    vector: NDArray[np.floating] | None = None  # (dim,), of any length
    model: str | None = None
    crop: int | None = None
    identity: str | None = None


@dataclass(frozen=True, slots=True)
class Query:
    """A probe and how to search for it."""

    probe: Probe
    collection: str
    k: int
    hits: int
    threshold: float | None
    conditions: Sequence[Condition]
    exclude_cameras: Sequence[str]


@dataclass(frozen=True, slots=True)
class Candidate:
    """An identity that matched, with its hits as rows and similarities."""

    similarity: float
    decision: Decision
    hits: list[tuple[Joined, float]]


@dataclass(frozen=True, slots=True)
class Answer:
    """What a query found."""

    decision: Decision
    thresholds: Thresholds
    candidates: list[Candidate]
    complete: bool
    qualities: list[Quality]
    generation: int


@dataclass(frozen=True, slots=True)
class Sought:
    """A probe as the search takes it: one (dim,) vector, and the crop or identity (ours) that must not answer."""

    vector: VectorArray | None
    without_crop: int | None = None
    without_identity: int | None = None
    subject: str | None = None  # the client's id of whom is looked for, where that is known
    qualities: tuple[Quality, ...] = ()


async def query(parts: Parts, request: Query, watch: Stopwatch) -> Answer:
    """Search a collection. Raises NotFound, BadInput, BadPicture, Overloaded, Stopping or DatabaseDown."""
    with parts.admission.enter(max(1, len(request.probe.uploads)), Lane.QUERY):
        collection = await parts.homes.find(request.collection)
        with parts.searcher.coming:
            sought = await see(parts, collection.id, request.probe, watch)
        generation = parts.galleries.generation
        groups, joined, complete = await _search(parts, collection, request, sought, watch)
    thresholds = thresholds_in_force(request.threshold, collection, parts.model.thresholds)
    candidates = [
        Candidate(
            one.similarity, decide(one.similarity, thresholds), [(joined[hit.crop], hit.similarity) for hit in one.hits]
        )
        for one in groups
    ]
    seen = [one.hits[0][0].external_id for one in candidates]
    parts.audit.saw("query", request.collection, seen if sought.subject is None else [sought.subject, *seen])
    decision = decide(candidates[0].similarity if candidates else None, thresholds)
    return Answer(decision, thresholds, candidates, complete, list(sought.qualities), generation)


async def see(parts: Parts, collection: int, probe: Probe, watch: Stopwatch) -> Sought:
    """Turn a probe into a vector; None only for an identity without crops."""
    if probe.vector is not None:
        return Sought(check_vector(parts, probe.vector, probe.model))
    if probe.crop is not None:
        vector, subject = await parts.database.read(find_vector, collection, probe.crop, parts.model.id)
        return Sought(vector, without_crop=probe.crop, subject=subject)
    if probe.identity is not None:
        identity = (await parts.database.read(find_identity, collection, probe.identity)).id
        vectors = await parts.database.read(vectors_of, identity, parts.model.id)
        return Sought(pool(vectors) if len(vectors) else None, without_identity=identity, subject=probe.identity)
    with watch.stage("decode"), parts.embedder.coming:
        opened = await parts.reader.open_to_query(probe.uploads)
    with watch.stage("embed"):
        vectors = await parts.embedder.embed([picture.prepared for picture in opened])
    return Sought(pool(vectors) if len(vectors) > 1 else vectors[0], qualities=tuple(one.quality for one in opened))


def check_vector(parts: Parts, vector: NDArray[np.floating], model: str | None) -> VectorArray:
    """A client's (dim,) vector at unit length. Raises BadInput where it is not of the model in use."""
    if model != parts.model.version:
        raise BadInput(
            f"the vector is of model {model!r}, this service runs {parts.model.version!r}; "
            "vectors of different models cannot be compared", code="MODEL_MISMATCH",
        )  # fmt: skip
    if len(vector) != parts.model.dim:
        raise BadInput(f"the vector has {len(vector)} numbers, this model makes {parts.model.dim}")
    return unit(vector)


async def _search(
    parts: Parts, collection: Collection, request: Query, sought: Sought, watch: Stopwatch
) -> tuple[list[Group], dict[int, Joined], bool]:
    if sought.vector is None:
        return [], {}, True
    allow, people = None, 0
    if request.conditions or request.exclude_cameras:
        with watch.stage("filter"):
            allow, people = await parts.database.read(
                allowed_crops, collection.id, request.conditions, request.exclude_cameras
            )  # fmt: skip
    gallery = parts.galleries.of(collection.id)
    field = Field(gallery, allow, people, sought.without_crop, sought.without_identity)
    for _ in range(TRIES):
        with watch.stage("search"):
            groups, complete = await find_candidates(
                parts.searcher, field, sought.vector, k=request.k, hits=request.hits
            )  # fmt: skip
        with watch.stage("join"):
            joined = await parts.joiner.join([hit.crop for one in groups for hit in one.hits])
        there = [_still_there(one, joined) for one in groups]
        if there == groups:
            return groups, joined, complete
    return order([one for one in there if one.hits]), joined, False


def _still_there(found: Group, joined: dict[int, Joined]) -> Group:
    """The group without hits whose crop is gone, or belongs to another identity by now."""
    kept: list[Hit] = [hit for hit in found.hits if hit.crop in joined and joined[hit.crop].identity == found.identity]
    return found if len(kept) == len(found.hits) else Group(found.identity, tuple(kept))


def identity_vectors(connection: Connection, collection: int, external_id: str, model: int) -> VectorArray:
    """All vectors of an identity by the client's id. Raises NotFound."""
    return vectors_of(connection, find_identity(connection, collection, external_id).id, model)
