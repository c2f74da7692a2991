"""/keys: who may use the service, for what and how long. For keys with the scope admin."""

from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Path, Request
from pydantic import BaseModel, ConfigDict, Field

from service.api.access import Administers
from service.api.bodies import parse, read_json
from service.api.fields import CollectionName, Label, Moment
from service.api.openapi import PROBLEMS, json_body
from service.domain import Scope
from service.flows import keys

router = APIRouter(prefix="/keys", tags=["keys"], responses=PROBLEMS)

MAX_SHARE = 1_000_000
Share = Annotated[
    int, Field(ge=0, le=MAX_SHARE, strict=True, description="Requests a minute; 0 is as many as they like.")
]
SHOWN: dict[str, Any] = {
    "id": "0f3c9a2b7d04", "name": "tracker, hall 3", "scope": "read", "collection": "warehouse",
    "reads_per_minute": None, "writes_per_minute": None, "created_at": "2026-05-01T12:00:00Z",
    "expires_at": "2027-05-01T12:00:00Z", "revoked_at": None,
}  # fmt: skip


class NewKey(BaseModel):
    """A key to make."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [{"name": "tracker, hall 3", "scope": "read", "expires_at": "2127-05-01T12:00:00Z"}]
        },
    )
    name: Label = Field(description="Who holds it: a program and its place, for those who must revoke it one day.")
    scope: Scope = Field(description="read: query and look. write: also enrol and remove. admin: everything.")
    collection: CollectionName | None = Field(None, description="The only collection it opens; left out: all of them.")
    expires_at: Moment | None = Field(None, description="From then on it opens nothing.")
    reads_per_minute: Share | None = Field(None, description="Its own share, instead of the service's.")
    writes_per_minute: Share | None = None


class Key(BaseModel):
    """A key as it may be shown."""

    model_config = ConfigDict(from_attributes=True, json_schema_extra={"examples": [SHOWN]})
    id: str
    name: str
    scope: Scope
    collection: str | None
    reads_per_minute: int | None
    writes_per_minute: int | None
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None


class MadeKey(Key):
    """A new key with its token, which is shown this once."""

    model_config = ConfigDict(
        from_attributes=True, json_schema_extra={"examples": [{**SHOWN, "token": "rk_0f3c9a2b7d04_…"}]}
    )
    token: str


class Keys(BaseModel):
    """All keys, oldest first, revoked and expired ones included."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"keys": [SHOWN]}]})
    keys: list[Key]


@router.get("")
async def list_keys(access: Administers) -> Keys:
    """All keys; secrets are not among what is kept."""
    return Keys(keys=[Key.model_validate(one) for one in await keys.show_keys(access.to_all())])


@router.post("", status_code=201, openapi_extra=json_body(NewKey))
async def make_key(request: Request, access: Administers) -> MadeKey:
    """Make a key. To rotate one make the next, hand it over, and revoke the old."""
    new = parse(NewKey, await read_json(request))
    made, token = await keys.make_key(access.to_all(), keys.NewKey(**dict(new)))
    return MadeKey(**Key.model_validate(made).model_dump(), token=token)


@router.delete("/{key}")
async def revoke_key(access: Administers, key: Annotated[Label, Path(examples=["0f3c9a2b7d04"])]) -> Key:
    """Revoke a key: from the answer on it opens nothing, in restored backups neither."""
    return Key.model_validate(await keys.revoke(access.to_all(), key))
