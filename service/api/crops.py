"""/crops: the pictures behind the hits."""

from typing import Annotated

from fastapi import APIRouter, Path, Response

from service.api.access import Reads
from service.api.fields import MAX_ROW_ID
from service.api.openapi import PROBLEMS
from service.flows import lookup

router = APIRouter(prefix="/crops", tags=["gallery"], responses=PROBLEMS)


def picture_path(crop: int) -> str:
    """Where the picture of a crop is served."""
    return f"/crops/{crop}/picture"


@router.get(
    "/{crop}/picture",
    response_class=Response,
    responses={
        200: {"content": {"image/jpeg": {"example": "(the bytes of the picture)"}, "image/png": {}, "image/webp": {}}}
    },
)
async def get_picture(access: Reads, crop: Annotated[int, Path(ge=1, le=MAX_ROW_ID, examples=[17])]) -> Response:
    """The picture of a crop, as it was enrolled; 404 where its collection keeps none."""
    picture, media_type = await lookup.show_picture(access.parts, crop, access.sees)
    return Response(picture, media_type=media_type, headers={"Cache-Control": "private, no-store"})
