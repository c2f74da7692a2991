"""/query, /compare, /embed: who is this, are these the same, what is its vector."""

from typing import Annotated, Any

import numpy as np
import orjson
from fastapi import APIRouter, Request
from pydantic import BaseModel, ConfigDict, Field, model_validator
from starlette.responses import Response

from service.api.access import Reads, let_in
from service.api.bodies import Body, parse, read_body, unless_left
from service.api.crops import picture_path
from service.api.dependencies import Watch, stopwatch
from service.api.fields import (
    Base64,
    BoxField,
    CollectionName,
    Count,
    IdentityId,
    JsonObject,
    Labels,
    RowId,
    Similarity,
)
from service.api.filters import parse_filter
from service.api.gallery import MAX_PICTURES
from service.api.openapi import PROBLEMS, picture_body
from service.api.schemas import Answer, Comparison, Embedding, Quality
from service.domain import DEFAULT_COLLECTION, Scope
from service.errors import BadInput
from service.flows import compare as comparing
from service.flows import query as querying
from service.flows.pictures import Upload
from service.flows.query import Probe

router = APIRouter(tags=["query"], responses=PROBLEMS)

MAX_K = 1000
MAX_HITS = 100
MAX_DIM = 8192
_strict = ConfigDict(extra="forbid")
Numbers = Annotated[list[float], Field(min_length=1, max_length=MAX_DIM)]


class ProbeJson(BaseModel):
    """Exactly one of image, vector, crop and identity; a vector names the model that made it."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"identity": "p-0042"}]})
    image: Base64 | None = None
    box: BoxField | None = Field(None)
    vector: Numbers | None = None
    model: str | None = None
    crop: RowId | None = None
    identity: IdentityId | None = None

    @model_validator(mode="after")
    def _one(self) -> "ProbeJson":
        given = [name for name in ("image", "vector", "crop", "identity") if getattr(self, name) is not None]
        if len(given) != 1:
            raise ValueError(
                f"give exactly one of image, vector, crop and identity; given: {', '.join(given) or 'none'}"
            )
        if self.box is not None and self.image is None:
            raise ValueError("box is a part of an image; without one leave it out")
        if self.model is not None and self.vector is None:
            raise ValueError("model goes with a vector; without one leave it out")
        return self

    def probe(self) -> Probe:
        """As a flow takes it."""
        uploads = [] if self.image is None else [Upload(self.image, box=self.box)]
        vector = None if self.vector is None else np.asarray(self.vector, np.float64)
        return Probe(uploads, vector, self.model, self.crop, self.identity)


class QueryFields(BaseModel):
    """How to search."""

    model_config = _strict
    k: Count = Field(10, ge=1, le=MAX_K, description="How many identities.")
    hits: Count = Field(3, ge=1, le=MAX_HITS, description="How many crops of each at most.")
    threshold: Similarity | None = Field(None, description="Cosine at or above which it is a match, for this request.")
    collection: CollectionName = DEFAULT_COLLECTION
    filter: JsonObject | None = Field(None, description='JSON: {"camera": "c1", "attributes.age": {"gte": 18}}.')
    exclude_camera: Labels = Field([], max_length=1000, description="Crops of these cameras are left out.")
    box: BoxField | None = Field(None, description="x,y,width,height in pixels: the part that counts.")


class QueryJson(QueryFields, ProbeJson):
    """A query as JSON."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"image": "/9j/4AAQ…", "k": 5, "hits": 3}]}
    )


class CompareFields(BaseModel):
    """How to compare."""

    model_config = _strict
    threshold: Similarity | None = None
    collection: CollectionName = DEFAULT_COLLECTION


class CompareJson(CompareFields):
    """Two probes."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"a": {"image": "/9j/4AAQ…"}, "b": {"identity": "p-0042"}}]}
    )
    a: ProbeJson
    b: ProbeJson


class EmbedFields(BaseModel):
    """What part of the picture to embed."""

    model_config = _strict
    box: BoxField | None = Field(None)


class EmbedJson(EmbedFields):
    """One base64 picture."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"image": "/9j/4AAQ…"}]})
    image: Base64


@router.post(
    "/query", response_model=Answer,
    openapi_extra=picture_body(parameters=QueryFields, json=QueryJson, files={"image": True}),
)  # fmt: skip
async def query(request: Request, access: Reads, watch: Watch) -> Response:
    """Who is this? A raw picture (the fast path), a form with pictures of one person, or JSON.

    An empty gallery, or nobody above the threshold, is 200 with decision `unknown`. `complete` is false only where the
    search gave up before k identities were found. A query by crop or identity leaves itself out of the answer.
    """
    body = await read_body(request)
    wanted = _query(body)
    parts = access.to(wanted.collection)
    found = await unless_left(request, querying.query(parts, wanted, watch))
    return Response(written(found, parts.model.version, watch.timings_ms), media_type="application/json")


async def query_past_framework(request: Request) -> Response:
    """`query`, called without the framework around it."""
    return await query(request, await let_in(request, Scope.READ), await stopwatch(request))


def written(found: querying.Answer, model: str, timings_ms: dict[str, float]) -> bytes:
    """An answer as JSON, as the schema `Answer` would write it, without making one."""
    qualities = found.qualities
    answer = {
        "decision": found.decision,
        "threshold": found.thresholds.match,
        "possible_threshold": found.thresholds.possible,
        "metric": "cosine",
        "candidates": [_candidate(rank, one) for rank, one in enumerate(found.candidates, start=1)],
        "complete": found.complete,
        "query": {"quality": qualities[0] if len(qualities) == 1 else qualities or None},
        "model": model,
        "generation": found.generation,
        "timings_ms": timings_ms,
    }
    return orjson.dumps(answer, option=orjson.OPT_UTC_Z)


@router.post(
    "/compare",
    openapi_extra=picture_body(parameters=CompareFields, json=CompareJson, files={"a": False, "b": False}, raw=False),
)
async def compare(request: Request, access: Reads, watch: Watch) -> Comparison:
    """Are these two the same? Each of `a` and `b` is a picture, a vector, a crop or an identity."""
    body = await read_body(request)
    fields, a, b = _pair(body)
    parts = access.to(fields.collection)
    found = await unless_left(request, comparing.compare(parts, fields.collection, a, b, fields.threshold, watch))
    return Comparison(
        similarity=found.similarity, decision=found.decision, threshold=found.thresholds.match,
        possible_threshold=found.thresholds.possible, model=parts.model.version,
    )  # fmt: skip


@router.post("/embed", openapi_extra=picture_body(parameters=EmbedFields, json=EmbedJson, files={"image": False}))
async def embed(request: Request, access: Reads, watch: Watch) -> Embedding:
    """The vector of exactly one picture."""
    body = await read_body(request)
    if body.is_json:
        sent = parse(EmbedJson, body.fields)
        upload = Upload(sent.image, box=sent.box)
    else:
        box = parse(EmbedFields, body.fields).box
        if len(body.pictures) != 1 or body.pictures[0].field != "image":
            raise BadInput(f"send exactly one picture, in the form field `image`; this form has {len(body.pictures)}")
        upload = Upload(body.pictures[0].picture, box=box)
    parts = access.parts
    vector, quality = await unless_left(request, comparing.embed(parts, upload, watch))
    return Embedding(
        vector=vector.tolist(), dim=len(vector), model=parts.model.version, quality=Quality.model_validate(quality)
    )


def _query(body: Body) -> querying.Query:
    if body.is_json:
        sent = parse(QueryJson, body.fields)
        fields: QueryFields = sent
        probe = sent.probe()
    else:
        fields = parse(QueryFields, body.fields)
        if any(one.field not in ("image", "images") for one in body.pictures):
            raise BadInput("pictures come in the form field `image`")
        if not 1 <= len(body.pictures) <= MAX_PICTURES:
            raise BadInput(f"a query has 1–{MAX_PICTURES} pictures of one person, this one {len(body.pictures)}")
        probe = Probe([Upload(one.picture, one.filename, fields.box) for one in body.pictures])
    return querying.Query(
        probe=probe, collection=fields.collection, k=fields.k, hits=fields.hits, threshold=fields.threshold,
        conditions=parse_filter(fields.filter, on_crops=True), exclude_cameras=fields.exclude_camera,
    )  # fmt: skip


def _pair(body: Body) -> tuple[CompareFields, Probe, Probe]:
    if body.is_json:
        sent = parse(CompareJson, body.fields)
        return sent, sent.a.probe(), sent.b.probe()
    fields = parse(CompareFields, body.fields)
    pictures = {one.field: one.picture for one in body.pictures}
    if set(pictures) != {"a", "b"} or len(body.pictures) != 2:
        raise BadInput("send one picture in the form field `a` and one in `b`")
    return fields, Probe([Upload(pictures["a"])]), Probe([Upload(pictures["b"])])


def _candidate(rank: int, found: querying.Candidate) -> dict[str, Any]:
    best = found.hits[0][0]
    hits = [
        {"crop": row.crop, "similarity": similarity, "camera": row.camera, "captured_at": row.captured_at,
         "picture": picture_path(row.crop) if row.has_picture else None}
        for row, similarity in found.hits
    ]  # fmt: skip
    return {
        "rank": rank, "identity": best.external_id, "name": best.name, "attributes": best.attributes,
        "similarity": found.similarity, "decision": found.decision, "hits": hits,
    }  # fmt: skip
