"""/livez, /readyz, /metrics, /version: what the ones who keep it running ask."""

from fastapi import APIRouter, Depends, Request, Response
from prometheus_client import CONTENT_TYPE_LATEST
from pydantic import BaseModel, ConfigDict

from service.api.access import permitted
from service.api.openapi import PROBLEMS
from service.domain import Scope
from service.flows.parts import Parts
from service.flows.readiness import Readiness
from service.telemetry import Telemetry

open_router = APIRouter(tags=["health"], responses={503: PROBLEMS[503]})  # needs no key, and says nothing of people
router = APIRouter(tags=["health"], responses=PROBLEMS)
metrics_router = APIRouter(tags=["health"])

PATHS = ("/livez", "/readyz", "/metrics")  # asked by an address, or by a name of an inner network


class Alive(BaseModel):
    """The process answers."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"alive": True}]})
    alive: bool = True


class Ready(BaseModel):
    """The service can enrol and query."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"ready": True, "crops": 80, "generation": 1042}]})
    ready: bool = True
    crops: int
    generation: int


class Version(BaseModel):
    """What is running."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"version": "0.1.0", "model": "reid-default@sha256:3f1c9a2b7d04", "provider": "CPUExecutionProvider",
                 "faiss": "1.15.1", "database": "sqlite"}
            ]
        },
    )  # fmt: skip
    version: str
    model: str
    provider: str
    faiss: str
    database: str


@open_router.get("/livez", openapi_extra={"security": []})
async def live() -> Alive:
    """200 while the process answers."""
    return Alive()


@open_router.get("/readyz", openapi_extra={"security": []})
async def ready(request: Request) -> Ready:
    """200 once the index is loaded and while the database answers; 503 with the reason else."""
    readiness: Readiness = request.state.readiness
    readiness.check()
    parts: Parts = request.state.parts
    await parts.pulse.check()
    return Ready(crops=len(parts.galleries), generation=parts.galleries.generation)


@router.get("/version", dependencies=[Depends(permitted(Scope.READ))])
async def version(request: Request) -> Version:
    """Versions of the service, its model and the parts it rests on."""
    about: Version = request.state.about
    return about


@metrics_router.get(
    "/metrics",
    response_class=Response,
    responses={200: {"content": {"text/plain": {"example": 'reappear_stage_seconds_count{stage="embed"} 42.0'}}}},
)
async def metrics(request: Request) -> Response:
    """Prometheus metrics."""
    telemetry: Telemetry = request.state.telemetry
    return Response(await telemetry.show(), media_type=CONTENT_TYPE_LATEST)
