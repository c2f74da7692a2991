"""/livez, /readyz, /metrics, /version: what the ones who keep it running ask."""

from dataclasses import dataclass

from fastapi import APIRouter, Request, Response
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from service.api import schemas
from service.api.dependencies import Ready
from service.api.openapi import PROBLEMS
from service.telemetry import Telemetry

router = APIRouter(tags=["health"])


@dataclass(frozen=True, slots=True)
class About:
    """What is running."""

    version: str
    model: str
    provider: str
    faiss: str
    database: str


@router.get("/livez")
async def live() -> schemas.Alive:
    """200 while the process answers."""
    return schemas.Alive()


@router.get("/readyz", responses=PROBLEMS)
async def ready(parts: Ready) -> schemas.Ready:
    """200 once the index is loaded; 503 with the reason before, and where it must not be used."""
    return schemas.Ready(crops=len(parts.galleries), generation=parts.galleries.generation)


@router.get("/version")
async def version(request: Request) -> schemas.About:
    """Versions of the service, its model and the parts it rests on."""
    return schemas.About.model_validate(request.state.about, from_attributes=True)


@router.get(
    "/metrics",
    response_class=Response,
    responses={200: {"content": {"text/plain": {"example": 'reappear_stage_seconds_count{stage="embed"} 42.0'}}}},
)
async def metrics(request: Request) -> Response:
    """Prometheus metrics."""
    telemetry: Telemetry = request.state.telemetry
    return Response(generate_latest(telemetry.registry), media_type=CONTENT_TYPE_LATEST)
