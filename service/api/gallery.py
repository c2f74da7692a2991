"""/gallery: enrol people, list them, change and remove them."""

from collections.abc import Sequence
from typing import Annotated, Any

from fastapi import APIRouter, Header, Path, Query, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from service.api.access import Reads, Writes
from service.api.bodies import Body, parse, printable, read_body, read_json
from service.api.crops import picture_path
from service.api.dependencies import After, InCollection, Limit, Watch, cursor_after
from service.api.fields import (
    MAX_ROW_ID,
    Attributes,
    Base64,
    BoxField,
    CollectionName,
    IdentityId,
    JsonObject,
    Label,
    Moment,
    Text,
)
from service.api.filters import parse_filter
from service.api.openapi import PROBLEMS, json_body, picture_body
from service.api.schemas import (
    Crop,
    Crops,
    Enrolment,
    Identities,
    Identity,
    Problem,
    Quality,
    RefusedEnrolment,
    Removed,
)
from service.domain import DEFAULT_COLLECTION, Sighting
from service.domain import Crop as CropRow
from service.domain import Identity as IdentityRow
from service.errors import BadInput
from service.flows import edit, enrol, lookup, remove
from service.flows.merge import Patch
from service.flows.pictures import Upload

router = APIRouter(prefix="/gallery", tags=["gallery"], responses=PROBLEMS)

MAX_PICTURES = 32
IdentityPath = Annotated[IdentityId, Path(examples=["p-0042"])]
IdempotencyKey = Annotated[
    str | None, Header(min_length=1, max_length=255, description="A request with the same key gets the first answer.")
]
_strict = ConfigDict(extra="forbid")


class EnrolFields(BaseModel):
    """What is said of the person and of all pictures of a request."""

    model_config = _strict
    identity: IdentityId | None = None
    name: Text | None = Field(None, description="Shown in answers; any text.")
    attributes: Attributes | None = Field(None, description="A JSON object, merged into what is known; filters use it.")
    camera: Label | None = Field(None, description="Which camera took the pictures.")
    captured_at: Moment | None = Field(None, description="When, ISO 8601 with a time zone.")
    track: Label | None = Field(None, description="The tracker's id of the track the pictures come from.")
    box: BoxField | None = Field(
        None,
        description="x,y,width,height in pixels: the part of each picture to enrol.",
    )
    expires_at: Moment | None = Field(None, description="When the crops are to be removed, ISO 8601 with a time zone.")
    collection: CollectionName = DEFAULT_COLLECTION


class SentImage(BaseModel):
    """One base64 picture with its own place and time; what it leaves out is taken from the request."""

    model_config = _strict
    image: Base64
    filename: Annotated[str, Field(max_length=1024)] | None = None
    camera: Label | None = None
    captured_at: Moment | None = None
    track: Label | None = None
    box: BoxField | None = Field(None)


class EnrolJson(EnrolFields):
    """An enrolment as JSON."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {
                    "identity": "p-0042", "name": "Person 42", "attributes": {"jacket": "red"},
                    "images": [{"image": "/9j/4AAQ…", "camera": "c3", "captured_at": "2026-05-01T12:29:58Z"}],
                }
            ]
        },
    )  # fmt: skip
    images: list[SentImage] = Field(max_length=MAX_PICTURES)


class PatchIdentity(BaseModel):
    """A JSON merge patch (RFC 7396): what is left out stays, null removes."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={"examples": [{"name": "Person 42", "attributes": {"jacket": None, "bag": "blue"}}]},
    )
    name: Text | None = None
    attributes: Attributes | None = None


@router.post(
    "",
    openapi_extra=picture_body(parameters=EnrolFields, json=EnrolJson, files={"images": True}),
    response_model=Enrolment,
    responses={201: {"model": Enrolment, "description": "A new identity."}, 422: {"model": RefusedEnrolment | Problem}},
)
async def enrol_pictures(
    request: Request, response: Response, access: Writes, watch: Watch,
    idempotency_key: IdempotencyKey = None,
) -> Enrolment | Response:  # fmt: skip
    """Enrol 1–32 pictures of one person: 201 for a new identity, 200 where crops were added.

    Pictures that cannot be decoded, are too small or too blurred are rejected one by one, with reasons; the others are
    enrolled together. Where all are rejected the answer is 422 and nothing is stored.
    """
    body = await read_body(request)
    wanted = _enrolment(body, idempotency_key, access.caller.id)
    parts = access.to(wanted.collection)
    outcome = await enrol.enrol(parts, wanted, watch)
    content: dict[str, Any] = {**outcome.body, "model": parts.model.version, "generation": outcome.generation}
    if outcome.replayed:
        response.headers["Idempotency-Replayed"] = "true"
    if content["identity"] is None:
        details = "; ".join(f"picture {one['index']}: {one['detail']}" for one in content["rejected"])
        refused = RefusedEnrolment(**content, error="ALL_REJECTED", detail=f"no picture was accepted: {details}")
        return Response(refused.model_dump_json(), status_code=422, media_type="application/json")
    response.status_code = 201 if outcome.created else 200
    return Enrolment(**content)


def _following(found: Sequence[IdentityRow] | Sequence[CropRow], limit: int) -> str | None:
    """Where the next page begins, if one more was found than this one shows."""
    return cursor_after(found[limit - 1].id) if len(found) > limit else None


@router.get("")
async def list_identities(
    access: Reads, after: After, collection: InCollection = DEFAULT_COLLECTION, limit: Limit = 50,
    name: Annotated[str | None, Query(max_length=1024, description="Part of the name, in any case.")] = None,
    filter: Annotated[str | None, Query(max_length=32_768, description='{"attributes.jacket": "red"}')] = None,
) -> Identities:  # fmt: skip
    """List identities in the order they were enrolled, page by page."""
    wanted = parse(_Filter, {"filter": filter}).filter
    found = await lookup.page_identities(
        access.to(collection), collection, after=after, limit=limit, name=parse(_Name, {"name": name}).name,
        conditions=parse_filter(wanted, on_crops=False),
    )  # fmt: skip
    return Identities(identities=[show_identity(one) for one in found[:limit]], next=_following(found, limit))


@router.get("/{identity}")
async def get_identity(
    access: Reads, identity: IdentityPath, collection: InCollection = DEFAULT_COLLECTION
) -> Identity:
    """One identity."""
    return show_identity(await lookup.show_identity(access.to(collection), collection, identity))


@router.patch("/{identity}", openapi_extra=json_body(PatchIdentity))
async def patch_identity(
    request: Request, access: Writes, identity: IdentityPath, collection: InCollection = DEFAULT_COLLECTION
) -> Identity:
    """Change name and attributes by a JSON merge patch."""
    change = parse(PatchIdentity, await read_json(request))
    return show_identity(await edit.patch_identity(access.to(collection), collection, identity, _patch(change)))


@router.delete("/{identity}")
async def delete_identity(
    access: Writes, identity: IdentityPath, collection: InCollection = DEFAULT_COLLECTION
) -> Removed:
    """Remove a person: rows, vectors, pictures and index entries. The receipt says when the last trace of them in free
    pages and logs is overwritten."""
    return show_removed(await remove.remove_identity(access.to(collection), collection, identity))


@router.get("/{identity}/crops")
async def list_crops(
    access: Reads,
    identity: IdentityPath,
    after: After,
    collection: InCollection = DEFAULT_COLLECTION,
    limit: Limit = 50,
) -> Crops:
    """List the crops of an identity, page by page."""
    found = await lookup.page_crops(access.to(collection), collection, identity, after=after, limit=limit)
    return Crops(crops=[_show_crop(one) for one in found[:limit]], next=_following(found, limit))


@router.delete("/{identity}/crops/{crop}")
async def delete_crop(
    access: Writes, identity: IdentityPath, crop: Annotated[int, Path(ge=1, le=MAX_ROW_ID, examples=[17])],
    collection: InCollection = DEFAULT_COLLECTION,
) -> Removed:  # fmt: skip
    """Remove one crop; the identity stays, even without crops."""
    return show_removed(await remove.remove_crop(access.to(collection), collection, identity, crop))


class _Filter(BaseModel):
    filter: JsonObject | None


class _Name(BaseModel):
    name: Text | None


def _enrolment(body: Body, key: str | None, holder: str) -> enrol.Enrolment:
    if body.is_json:
        fields: EnrolFields = parse(EnrolJson, body.fields)
        images = fields.images if isinstance(fields, EnrolJson) else []
    else:
        fields = parse(EnrolFields, body.fields)
        for one in body.pictures:
            if one.field not in ("images", "image"):
                raise BadInput(f"pictures come in the form field `images`, not {printable(one.field)!r}")
        images = [SentImage.model_construct(image=one.picture, filename=one.filename) for one in body.pictures]
    if not 1 <= len(images) <= MAX_PICTURES:
        raise BadInput(f"a request has 1–{MAX_PICTURES} pictures, this one {len(images)}")
    pictures = [_new_picture(one, fields) for one in images]
    return enrol.Enrolment(
        fields.collection, fields.identity, _patch(fields), pictures, fields.expires_at, key, holder
    )  # fmt: skip


def _patch(sent: EnrolFields | PatchIdentity) -> Patch:
    attributes = sent.attributes if "attributes" in sent.model_fields_set else {}
    return Patch("name" in sent.model_fields_set, sent.name, attributes)


def _new_picture(one: SentImage, fields: EnrolFields) -> enrol.NewPicture:
    sighting = Sighting(one.camera or fields.camera, one.captured_at or fields.captured_at, one.track or fields.track)
    return enrol.NewPicture(Upload(one.image, printable(one.filename), one.box or fields.box), sighting)


def show_identity(identity: IdentityRow) -> Identity:
    """An identity as answers show it: under the client's id."""
    return Identity(
        id=identity.external_id, name=identity.name, attributes=identity.attributes, crops=identity.crops,
        created_at=identity.created_at, updated_at=identity.updated_at,
    )  # fmt: skip


def show_removed(removed: remove.Removed) -> Removed:
    """The receipt of a removal."""
    return Removed.model_validate(removed)


def _show_crop(crop: CropRow) -> Crop:
    return Crop(
        crop=crop.id, camera=crop.camera, captured_at=crop.captured_at, track=crop.track,
        quality=Quality.model_validate(crop.quality), created_at=crop.created_at, expires_at=crop.expires_at,
        picture=picture_path(crop.id) if crop.has_picture else None,
    )  # fmt: skip
