"""/collections: separate galleries with their own people and thresholds."""

from typing import Annotated

from fastapi import APIRouter, Path, Query, Request
from pydantic import BaseModel, ConfigDict

from service.api.bodies import parse, read_json
from service.api.dependencies import Ready
from service.api.fields import CollectionName, Similarity
from service.api.gallery import show_removed
from service.api.openapi import PROBLEMS, json_body
from service.api.schemas import Collection, Collections, Removed
from service.flows import edit, lookup, remove

router = APIRouter(prefix="/collections", tags=["collections"], responses=PROBLEMS)

NamePath = Annotated[CollectionName, Path(examples=["warehouse"])]


class CollectionThresholds(BaseModel):
    """Cosine similarities; null is the model's own."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"match_threshold": 0.66}]})
    match_threshold: Similarity | None = None
    possible_threshold: Similarity | None = None


class NewCollection(CollectionThresholds):
    """A collection to make."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"name": "warehouse", "match_threshold": 0.66}]}
    )
    name: CollectionName


@router.get("")
async def list_collections(parts: Ready) -> Collections:
    """All collections by name."""
    found = await lookup.show_collections(parts)
    return Collections(collections=[Collection.model_validate(one) for one in found])


@router.post("", status_code=201, openapi_extra=json_body(NewCollection))
async def make_collection(request: Request, parts: Ready) -> Collection:
    """Make a collection; 409 where the name is taken."""
    new = parse(NewCollection, await read_json(request))
    return Collection.model_validate(
        await edit.make_collection(parts, new.name, new.match_threshold, new.possible_threshold)
    )


@router.get("/{name}")
async def get_collection(parts: Ready, name: NamePath) -> Collection:
    """One collection with its counts."""
    return Collection.model_validate(await lookup.show_collection(parts, name))


@router.patch("/{name}", openapi_extra=json_body(CollectionThresholds))
async def patch_collection(request: Request, parts: Ready, name: NamePath) -> Collection:
    """Change thresholds; null gives them back to the model."""
    change = parse(CollectionThresholds, await read_json(request))
    return Collection.model_validate(await edit.patch_collection(parts, name, change.model_dump(exclude_unset=True)))


@router.delete("/{name}")
async def delete_collection(
    parts: Ready, name: NamePath, with_identities: Annotated[bool, Query(description="Remove its people too.")] = False
) -> Removed:
    """Remove a collection; 409 for `default`, and for one with people in it unless asked for."""
    return show_removed(await remove.remove_collection(parts, name, with_identities=with_identities))
