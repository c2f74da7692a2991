"""/collections: separate galleries with their own people and thresholds."""

from typing import Annotated

from fastapi import APIRouter, Path, Query, Request
from pydantic import BaseModel, ConfigDict, Field

from service.api.access import Administers, Reads
from service.api.bodies import parse, read_json
from service.api.fields import CollectionName, Similarity
from service.api.gallery import show_removed
from service.api.openapi import PROBLEMS, json_body
from service.api.schemas import Collection, Collections, Removed
from service.flows import edit, lookup, remove

router = APIRouter(prefix="/collections", tags=["collections"], responses=PROBLEMS)

NamePath = Annotated[CollectionName, Path(examples=["warehouse"])]


class CollectionRules(BaseModel):
    """Thresholds and what is kept. Null thresholds are the model's own, null days are for ever."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"match_threshold": 0.66, "retention_days": 30}]}
    )
    match_threshold: Similarity | None = None
    possible_threshold: Similarity | None = None
    retention_days: int | None = Field(
        None, ge=1, le=36_500, strict=True, description="Crops are removed this long after they came."
    )
    keep_pictures: bool = Field(
        True, strict=True, description="False keeps vectors only, and removes the pictures there are."
    )


class NewCollection(CollectionRules):
    """A collection to make."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"name": "warehouse", "match_threshold": 0.66}]}
    )
    name: CollectionName


@router.get("")
async def list_collections(access: Reads) -> Collections:
    """All collections by name, as far as the key is for them."""
    found = await lookup.show_collections(access.parts)
    return Collections(collections=[Collection.model_validate(one) for one in found if access.sees(one.name)])


@router.post("", status_code=201, openapi_extra=json_body(NewCollection))
async def make_collection(request: Request, access: Administers) -> Collection:
    """Make a collection; 409 where the name is taken."""
    new = parse(NewCollection, await read_json(request))
    rules = new.model_dump(exclude={"name"}, exclude_unset=True)
    return Collection.model_validate(await edit.make_collection(access.to_all(), new.name, rules))


@router.get("/{name}")
async def get_collection(access: Reads, name: NamePath) -> Collection:
    """One collection with its counts."""
    return Collection.model_validate(await lookup.show_collection(access.to(name), name))


@router.patch("/{name}", openapi_extra=json_body(CollectionRules))
async def patch_collection(request: Request, access: Administers, name: NamePath) -> Collection:
    """Change thresholds and rules; null gives thresholds back to the model. A shorter retention removes crops within a
    minute, and keep_pictures: false removes the pictures before the answer."""
    change = parse(CollectionRules, await read_json(request)).model_dump(exclude_unset=True)
    return Collection.model_validate(await edit.patch_collection(access.to(name), name, change))


@router.delete("/{name}")
async def delete_collection(
    access: Administers, name: NamePath,
    with_identities: Annotated[bool, Query(description="Remove its people too.")] = False,
) -> Removed:  # fmt: skip
    """Remove a collection; 409 for `default`, and for one with people in it unless asked for."""
    return show_removed(await remove.remove_collection(access.to(name), name, with_identities=with_identities))
