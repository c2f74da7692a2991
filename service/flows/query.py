"""Who is this? Decode, embed, search, group by identity and decide, join."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection

from service.db.people import find_identity
from service.db.sightings import Joined, allowed_crops, find_vector, vectors_of
from service.domain import Collection, Condition, Quality, Thresholds, VectorArray
from service.errors import BadInput
from service.flows.admission import Lane
from service.flows.candidates import Field, find_candidates
from service.flows.courses import Course, Embed, Join, Open
from service.flows.parts import Parts
from service.flows.pictures import Opened, Upload, opens_soon
from service.matching.decision import Decision, decide, thresholds_in_force
from service.matching.grouping import Group, Hit, order
from service.matching.pooling import pool, unit
from service.telemetry import Stopwatch

MOST_VALUES = 64  # of a filter that is remembered; the text of a larger one would take memory and time
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
    """A probe as the search takes it: one (dim,) vector, or pictures, opened or not (none of them only for an identity
    without crops), and the crop or identity (ours) that must not answer."""

    vector: VectorArray | None = None
    uploads: Sequence[Upload] = ()
    opened: Sequence[Opened] = ()
    without_crop: int | None = None
    without_identity: int | None = None
    subject: str | None = None  # the client's id of whom is looked for, where that is known

    @property
    def of_pictures(self) -> bool:
        """Whether its vector is still to be made."""
        return bool(self.uploads or self.opened)


@dataclass(frozen=True, slots=True)
class _Found:
    """What the search gave, and the generation of the index before it."""

    groups: list[Group]
    joined: dict[int, Joined]
    complete: bool
    qualities: list[Quality]
    generation: int


async def query(parts: Parts, request: Query, watch: Stopwatch) -> Answer:
    """Search a collection. Raises NotFound, BadInput, BadPicture, Overloaded, Stopping or DatabaseDown."""
    with parts.admission.enter(max(1, len(request.probe.uploads)), Lane.QUERY):
        collection = await parts.homes.find(request.collection)
        sought = await see(parts, collection.id, request.probe, watch)
        field = await _field(parts, collection, request, sought, watch)
        found = await parts.courses.take(_search(parts, request, sought, field), watch)
    thresholds = thresholds_in_force(request.threshold, collection, parts.model.thresholds)
    candidates = [
        Candidate(
            one.similarity,
            decide(one.similarity, thresholds),
            [(found.joined[hit.crop], hit.similarity) for hit in one.hits],
        )
        for one in found.groups
    ]
    seen = [one.hits[0][0].external_id for one in candidates]
    parts.audit.saw("query", request.collection, seen if sought.subject is None else [sought.subject, *seen])
    decision = decide(candidates[0].similarity if candidates else None, thresholds)
    return Answer(decision, thresholds, candidates, found.complete, found.qualities, found.generation)


async def see(parts: Parts, collection: int, probe: Probe, watch: Stopwatch) -> Sought:
    """What a probe stands for, as far as the database or threads that open large pictures must be asked."""
    if probe.vector is not None:
        return Sought(check_vector(parts, probe.vector, probe.model))
    if probe.crop is not None:
        vector, subject = await parts.database.read(find_vector, collection, probe.crop, parts.model.id)
        return Sought(vector, without_crop=probe.crop, subject=subject)
    if probe.identity is not None:
        identity = (await parts.database.read(find_identity, collection, probe.identity)).id
        vectors = await parts.database.read(vectors_of, identity, parts.model.id)
        return Sought(pool(vectors) if len(vectors) else None, without_identity=identity, subject=probe.identity)
    if all(map(opens_soon, probe.uploads)):
        return Sought(uploads=probe.uploads)
    with watch.stage("decode"):
        return Sought(opened=await parts.reader.open_to_query(probe.uploads))


def embedded(sought: Sought) -> Course[tuple[VectorArray, list[Quality]]]:
    """The (dim,) vector of pictures of one person, and the quality of each. Raises BadPicture."""
    opened: Sequence[Opened] = sought.opened or (yield Open(sought.uploads))
    vectors = yield Embed([picture.prepared for picture in opened])
    return pool(vectors) if len(vectors) > 1 else vectors[0], [picture.quality for picture in opened]


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


async def _field(parts: Parts, collection: Collection, request: Query, sought: Sought, watch: Stopwatch) -> Field:
    """Who may answer."""
    allow = None
    if request.conditions or request.exclude_cameras:
        with watch.stage("filter"):
            wanted = collection.id, tuple(request.conditions), tuple(request.exclude_cameras)
            values = sum(len(one.values) for one in request.conditions) + len(request.exclude_cameras)
            small = values <= MOST_VALUES
            allow = await (parts.allowed.find(*wanted) if small else parts.database.read(allowed_crops, *wanted))
    gallery = parts.galleries.of(collection.id)
    return Field(gallery, allow, sought.without_crop, sought.without_identity)


def _search(parts: Parts, request: Query, sought: Sought, field: Field) -> Course[_Found]:
    vector, qualities = sought.vector, list[Quality]()
    if sought.of_pictures:
        vector, qualities = yield from embedded(sought)
    generation = parts.galleries.generation
    if vector is None:
        return _Found([], {}, True, qualities, generation)
    for _ in range(TRIES):
        groups, complete = yield from find_candidates(field, vector, k=request.k, hits=request.hits)
        joined = yield Join([hit.crop for one in groups for hit in one.hits])
        there = [_still_there(one, joined) for one in groups]
        if there == groups:
            return _Found(groups, joined, complete, qualities, generation)
    return _Found(order([one for one in there if one.hits]), joined, False, qualities, generation)


def _still_there(found: Group, joined: dict[int, Joined]) -> Group:
    """The group without hits whose crop is gone, or belongs to another identity by now."""
    kept: list[Hit] = [hit for hit in found.hits if hit.crop in joined and joined[hit.crop].identity == found.identity]
    return found if len(kept) == len(found.hits) else Group(found.identity, tuple(kept))


def identity_vectors(connection: Connection, collection: int, external_id: str, model: int) -> VectorArray:
    """All vectors of an identity by the client's id. Raises NotFound."""
    return vectors_of(connection, find_identity(connection, collection, external_id).id, model)
