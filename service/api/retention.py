"""/retention: what has had its time. For keys with the scope admin."""

from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Query
from pydantic import BaseModel, ConfigDict

from service.api.access import Administers
from service.api.fields import Moment
from service.api.openapi import PROBLEMS
from service.flows import retention

router = APIRouter(prefix="/retention", tags=["retention"], responses=PROBLEMS)

EXPIRED: dict[str, Any] = {"collection": "warehouse", "crops": 12, "identities": 3}


class ExpiredIn(BaseModel):
    """How many crops of a collection go, and how many identities with the last of theirs."""

    model_config = ConfigDict(from_attributes=True, json_schema_extra={"examples": [EXPIRED]})
    collection: str
    crops: int
    identities: int


class Expired(BaseModel):
    """What goes at a moment, or went."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"at": "2026-06-01T00:00:00Z", "collections": [EXPIRED]}]}
    )
    at: datetime
    collections: list[ExpiredIn]


@router.get("")
async def preview(
    access: Administers,
    at: Annotated[Moment | None, Query(description="ISO 8601 with a time zone; now where left out.")] = None,
) -> Expired:
    """A dry run: what retention and expiry will have removed at a moment, if nothing changes until then."""
    moment, found = await retention.preview(access.to_all(), at)
    return Expired(at=moment, collections=[ExpiredIn.model_validate(one) for one in found])


@router.post("")
async def apply(access: Administers) -> Expired:
    """Remove now what has had its time, instead of within the next minute."""
    moment, found = await retention.apply(access.to_all())
    return Expired(at=moment, collections=[ExpiredIn.model_validate(one) for one in found])
