"""The application: settings in, a running service out. With `start` the composition root: nothing else puts parts
together."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import ExitStack, asynccontextmanager
from importlib.metadata import version
from typing import Any

from fastapi import Depends, FastAPI
from fastapi_offline import FastAPIOffline

from service.api import audit, collections, crops, gallery, health, keys, query, retention
from service.api.access import RATE_LIMIT_HEADERS, known_caller, permitted
from service.api.cross_origin import CrossOrigin, Preflights
from service.api.dependencies import known_query
from service.api.errors import answer_errors
from service.api.guards import Guard
from service.api.openapi import PROBLEMS, describe
from service.api.shortcut import Shortcut
from service.config import LOOPBACK, Settings
from service.db.failures import refused
from service.domain import Scope
from service.errors import ReappearError
from service.flows.housekeeping import keep_audit, keep_house
from service.index.segmented import BLOCK_ROWS
from service.start import State, start
from service.telemetry import Telemetry

log = logging.getLogger(__name__)

HOUSEKEEPING_S = 60


def create_app(
    settings: Settings, *, fail_point: Callable[[str], None] = lambda name: None, block_rows: int = BLOCK_ROWS
) -> FastAPI:
    """The ASGI application. Raises StartRefused from its lifespan where it must not start. Tests set how many rows are
    sealed and compacted together."""
    telemetry = Telemetry()

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[State]:
        with ExitStack() as stack:
            try:
                with refused():
                    state = start(settings, telemetry, fail_point, block_rows, stack)
            except ReappearError as error:
                log.critical("cannot start: %s", error.detail)
                raise
            parts = state["parts"]
            house = keep_house(parts, state["readiness"].check, HOUSEKEEPING_S)
            keeping = parts.snapshots.keep(parts.writer, state["readiness"].check)
            tasks = [asyncio.create_task(one) for one in (house, keep_audit(parts), keeping)]
            yield state
            for task in tasks:
                task.cancel()
            parts.stopping.set()
            parts.snapshots.stop()
            parts.galleries.close()
            await parts.audit.close()  # before a round of housekeeping has ended: a stop may not wait for that
            await asyncio.gather(*tasks, return_exceptions=True)
            telemetry.close()

    about: dict[str, Any] = {
        "title": "Reappear", "version": version("reappear"), "lifespan": lifespan, "redoc_url": None,
        "redirect_slashes": False,  # it would lead to http, behind a proxy that speaks TLS
        "summary": "Who is this person, and where have we seen them before?",
    }  # fmt: skip
    app = FastAPIOffline(**about) if settings.docs else FastAPI(**about, docs_url=None, openapi_url=None)
    _add_routes(app, settings)
    answer_errors(app)
    describe(app, asks_for_keys=settings.keys_required)
    _add_middleware(app, settings, telemetry)
    return app


def _add_middleware(app: FastAPI, settings: Settings, telemetry: Telemetry) -> None:
    """What was added last sees a request first."""
    named = _named(settings.allowed_hosts)
    pages: dict[str, Any] = {
        "allow_origins": sorted(_named(settings.cors_origins)), "allow_methods": ["*"],
        "allow_headers": ["authorization", "x-api-key", "content-type", "idempotency-key", "x-request-id"],
        "expose_headers": ["x-request-id", "retry-after", "idempotency-replayed", *RATE_LIMIT_HEADERS],
    }  # fmt: skip
    app.add_middleware(Shortcut, api=app, path="/query", endpoint=query.query_past_framework)
    if settings.cors_origins:
        app.add_middleware(Preflights, **pages)
    app.add_middleware(
        Guard,
        telemetry=telemetry,
        allowed_hosts=named | {*LOOPBACK} if settings.on_loopback or named else None,
        max_body_bytes=settings.max_body_bytes,
        max_bodies_bytes=settings.max_bodies_bytes,
        body_timeout_s=settings.body_timeout_s,
        paths_by_any_host=() if settings.on_loopback else health.PATHS,
        allowed_origins=_named(settings.cors_origins),
        asks_for_keys=settings.keys_required,
    )
    if settings.cors_origins:
        app.add_middleware(CrossOrigin, **pages)


def _add_routes(app: FastAPI, settings: Settings) -> None:
    """Every route asks for a key before it looks at anything else, but for the two that tell whether this is well."""
    behind_key = [Depends(known_caller)]  # who is permitted is counted first, and then asked for known parameters
    app.include_router(health.open_router, dependencies=[Depends(known_query)])
    if settings.metrics == "open":
        app.include_router(health.metrics_router, dependencies=[Depends(known_query)])
    elif settings.metrics == "key":
        permission = Depends(permitted(Scope.READ, everywhere=True))
        app.include_router(health.metrics_router, dependencies=[*behind_key, permission], responses=PROBLEMS)
    for routes in (gallery, query, crops, collections, keys, audit, retention, health):
        app.include_router(routes.router, dependencies=behind_key)


def _named(names: str) -> set[str]:
    return {name.strip().lower() for name in names.split(",")} - {""}
