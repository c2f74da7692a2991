"""Answers, as the OpenAPI document shows them. Each has a worked example."""

from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from service.matching.decision import Decision

MODEL = "reid-default@sha256:3f1c9a2b7d04"
IDENTITY = {
    "id": "p-0042", "name": "Person 42", "attributes": {"jacket": "red"}, "crops": 3,
    "created_at": "2026-05-01T12:30:00Z", "updated_at": "2026-05-01T12:30:00Z",
}  # fmt: skip
QUALITY = {"width": 88, "height": 212, "sharpness": 0.83}
CROP = {
    "crop": 17, "camera": "c3", "captured_at": "2026-05-01T12:29:58Z", "track": "t-9", "quality": QUALITY,
    "created_at": "2026-05-01T12:30:00Z", "expires_at": None, "picture": "/crops/17/picture",
}  # fmt: skip
COLLECTION = {
    "name": "warehouse", "match_threshold": 0.66, "possible_threshold": None, "retention_days": 30,
    "keep_pictures": True, "identities": 12, "crops": 80, "created_at": "2026-05-01T12:00:00Z",
}  # fmt: skip


def _example(example: dict[str, Any]) -> ConfigDict:
    return ConfigDict(from_attributes=True, json_schema_extra={"examples": [example]})


class Problem(BaseModel):
    """Every answer that is not a success."""

    model_config = _example(
        {"error": "IDENTITY_NOT_FOUND", "detail": "no identity 'p-7' in this collection; GET /gallery lists them"}
    )
    error: str
    detail: str


class Quality(BaseModel):
    """Width and height in pixels, sharpness in 0–1."""

    model_config = _example(QUALITY)
    width: int
    height: int
    sharpness: float


class Identity(BaseModel):
    """A person (or vehicle, product, animal …) in a collection."""

    model_config = _example(IDENTITY)
    id: str
    name: str | None
    attributes: dict[str, Any]
    crops: int
    created_at: datetime
    updated_at: datetime


class Identities(BaseModel):
    """A page of identities; `next` is the cursor of the following one, null on the last."""

    model_config = _example({"identities": [IDENTITY], "next": "MTc"})
    identities: list[Identity]
    next: str | None


class Crop(BaseModel):
    """One enrolled picture of one identity; `picture` is null where its collection keeps none."""

    model_config = _example(CROP)
    crop: int
    camera: str | None
    captured_at: datetime | None
    track: str | None
    quality: Quality
    created_at: datetime
    expires_at: datetime | None
    picture: str | None


class Crops(BaseModel):
    """A page of crops; `next` is the cursor of the following one, null on the last."""

    model_config = _example({"crops": [CROP], "next": None})
    crops: list[Crop]
    next: str | None


class Accepted(BaseModel):
    """A picture that became a crop."""

    index: int
    filename: str | None
    crop: int
    quality: Quality
    similarity_to_identity: float | None


class Rejected(BaseModel):
    """A picture that was not taken, and why."""

    index: int
    filename: str | None
    reasons: list[str]
    detail: str


class Enrolment(BaseModel):
    """What became of each picture. Where none was accepted, `identity` is null."""

    model_config = _example(
        {
            "identity": IDENTITY,
            "accepted": [
                {"index": 0, "filename": "a.jpg", "crop": 17, "quality": QUALITY, "similarity_to_identity": 0.81}
            ],
            "rejected": [
                {
                    "index": 1,
                    "filename": "b.jpg",
                    "reasons": ["TOO_SMALL"],
                    "detail": "24×48 px; at least 32×64 is needed",
                }
            ],
            "model": MODEL,
            "generation": 1042,
        }
    )
    identity: Identity | None
    accepted: list[Accepted]
    rejected: list[Rejected]
    model: str
    generation: int


class RefusedEnrolment(Enrolment):
    """No picture was accepted, and nothing was stored."""

    error: str
    detail: str


class Hit(BaseModel):
    """A crop that matched; similarity is the raw cosine. `picture` is null where its collection keeps none."""

    crop: int
    similarity: float
    camera: str | None
    captured_at: datetime | None
    picture: str | None


class Candidate(BaseModel):
    """An identity that matched, with its best hits; its similarity is that of the best."""

    rank: int
    identity: str
    name: str | None
    attributes: dict[str, Any]
    similarity: float
    decision: Decision
    hits: list[Hit]


class QueryQuality(BaseModel):
    """What was measured of the query's picture; null for a query without one, a list for several."""

    quality: Quality | list[Quality] | None


class Answer(BaseModel):
    """Candidates, best first, each identity once, and a decision on the best of them."""

    model_config = _example(
        {
            "decision": "match", "threshold": 0.62, "possible_threshold": 0.48, "metric": "cosine",
            "candidates": [
                {
                    "rank": 1, "identity": "p-0042", "name": "Person 42", "attributes": {"jacket": "red"},
                    "similarity": 0.81, "decision": "match",
                    "hits": [
                        {"crop": 17, "similarity": 0.81, "camera": "c3", "captured_at": "2026-05-01T12:29:58Z",
                         "picture": "/crops/17/picture"}
                    ],
                }
            ],
            "complete": True, "query": {"quality": QUALITY}, "model": MODEL, "generation": 1042,
            "timings_ms": {"decode": 0.3, "embed": 2.1, "search": 0.9, "join": 0.6},
        }
    )  # fmt: skip
    decision: Decision
    threshold: float
    possible_threshold: float
    metric: Literal["cosine"] = "cosine"
    candidates: list[Candidate]
    complete: bool
    query: QueryQuality
    model: str
    generation: int
    timings_ms: dict[str, float]


class Embedding(BaseModel):
    """The unit-length vector of one picture, and the model version that made it."""

    model_config = _example({"vector": [0.0123, -0.0456], "dim": 512, "model": MODEL, "quality": QUALITY})
    vector: list[float]
    dim: int
    model: str
    quality: Quality


class Comparison(BaseModel):
    """How similar two are, and what that means under the thresholds in force."""

    model_config = _example(
        {"similarity": 0.77, "decision": "match", "threshold": 0.62, "possible_threshold": 0.48, "metric": "cosine",
         "model": MODEL}
    )  # fmt: skip
    similarity: float
    decision: Decision
    threshold: float
    possible_threshold: float
    metric: Literal["cosine"] = "cosine"
    model: str


class SelfQuery(BaseModel):
    """What was removed, looked for again: how many crops, and how many of them rows and index still have."""

    model_config = _example({"crops": 3, "found": 0})
    crops: int
    found: int


class RemovedCounts(BaseModel):
    """How much is gone from rows, vectors, pictures and index."""

    model_config = _example({"identities": 1, "crops": 3, "vectors": 3, "pictures": 3})
    identities: int
    crops: int
    vectors: int
    pictures: int


class Removed(BaseModel):
    """The receipt of a removal. What is removed is out of rows, vectors, pictures and index, as of `generation`.
    `rewritten` is true where free pages and logs of the database are overwritten too, and no snapshot of the index
    has the vectors any more; else that is done by `rewritten_by`."""

    model_config = _example(
        {
            "removed": {"identities": 1, "crops": 3, "vectors": 3, "pictures": 3}, "generation": 1043,
            "self_query": {"crops": 3, "found": 0}, "rewritten": True, "rewritten_by": "2026-05-01T13:30:00Z",
        }
    )  # fmt: skip
    removed: RemovedCounts
    generation: int
    self_query: SelfQuery
    rewritten: bool
    rewritten_by: datetime


class Collection(BaseModel):
    """A separate gallery. Null thresholds are the model's; crops are removed after `retention_days`, null is never."""

    model_config = _example(COLLECTION)
    name: str
    match_threshold: float | None
    possible_threshold: float | None
    retention_days: int | None
    keep_pictures: bool
    identities: int
    crops: int
    created_at: datetime


class Collections(BaseModel):
    """All collections by name."""

    model_config = _example({"collections": [COLLECTION]})
    collections: list[Collection]
