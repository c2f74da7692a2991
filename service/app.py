"""The composition root: settings in, a running service out. Nothing else puts parts together."""

import asyncio
import logging
import threading
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, asynccontextmanager
from functools import partial
from importlib.metadata import version
from typing import TypedDict

from fastapi import Depends, FastAPI
from fastapi_offline import FastAPIOffline

from service.api import collections, crops, gallery, health, query
from service.api.dependencies import known_query
from service.api.errors import answer_errors
from service.api.guards import Guard
from service.api.openapi import describe
from service.config import LOOPBACK, Settings
from service.db.changes import database_uuid, ensure_meta, ensure_model, wait_for_commits
from service.db.engine import Database
from service.db.schema import check_revision
from service.domain import Thresholds
from service.embedding.embedder import Embedder
from service.embedding.onnx_model import OnnxModel
from service.errors import DatabaseDown, ReappearError
from service.flows.admission import BULK_PLACES, Admission
from service.flows.housekeeping import keep_house
from service.flows.parts import Model, Parts
from service.flows.pictures import PictureReader
from service.flows.readiness import Readiness
from service.flows.reconcile import check_vectors, load_galleries, settle_pictures
from service.flows.repeats import Repeats
from service.flows.searcher import Searcher
from service.flows.writer import Writer
from service.images.decode import PictureLimits
from service.images.quality import QualityGate
from service.index.exact import FAISS_VERSION, ExactIndex, tune_faiss
from service.index.gallery import Galleries
from service.store.folder import FolderStore
from service.store.lock import FolderLock
from service.telemetry import Telemetry, configure_logging

log = logging.getLogger(__name__)

MAX_SEARCH_BATCH = 64
MAX_WRITE_BATCH = 32
MAX_WAITING_WRITES = 1024
HOUSEKEEPING_S = 60
LOAD_AGAIN_S = 2


class State(TypedDict):
    """What requests see of the running service."""

    parts: Parts
    readiness: Readiness
    telemetry: Telemetry
    about: health.About


def create_app(settings: Settings, *, fail_point: Callable[[str], None] = lambda name: None) -> FastAPI:
    """The ASGI application. Raises StartRefused from its lifespan where it must not start."""
    telemetry = Telemetry()

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[State]:
        with ExitStack() as stack:
            try:
                state = _start(settings, telemetry, fail_point, stack)
            except ReappearError as error:
                log.critical("cannot start: %s", error.detail)
                raise
            house = asyncio.create_task(keep_house(state["parts"], state["readiness"].check, HOUSEKEEPING_S))
            stack.callback(house.cancel)
            yield state

    app = FastAPIOffline(
        title="Reappear", version=version("reappear"), lifespan=lifespan, redoc_url=None,
        summary="Who is this person, and where have we seen them before?",
    )  # fmt: skip
    for router in (gallery.router, query.router, crops.router, collections.router, health.router):
        app.include_router(router, dependencies=[Depends(known_query)])
    answer_errors(app)
    describe(app)
    named = {name.strip().lower() for name in settings.allowed_hosts.split(",")} - {""}
    app.add_middleware(
        Guard,
        telemetry=telemetry,
        allowed_hosts=named | {*LOOPBACK} if settings.on_loopback or named else None,
        max_body_bytes=settings.max_body_bytes,
        max_bodies_bytes=settings.max_bodies_bytes,
    )
    return app


def _start(settings: Settings, telemetry: Telemetry, fail_point: Callable[[str], None], stack: ExitStack) -> State:
    """Check everything that can be wrong, then load the index beside the running server."""
    configure_logging(settings.log_level)
    if not settings.on_loopback:
        log.warning("listening beyond this machine: whoever reaches the port can read and change everything")
    lock = FolderLock(settings.data_dir)
    stack.callback(lock.release)
    network = OnnxModel(settings.model_dir, provider=settings.provider, threads=settings.cores)
    most = settings.max_waiting * BULK_PLACES
    database = Database(settings.url, readers=settings.readers, max_waiting=most)
    stack.callback(database.close)
    database.read_now(check_revision)
    manifest = network.manifest
    database.claim()
    with database.begin() as connection:
        ensure_meta(connection)
        wait_for_commits(connection)
        model_id = ensure_model(connection, manifest.name, manifest.sha256, manifest.output.dim)
        uuid = database_uuid(connection)
    lock.claim_for(uuid)
    store = FolderStore(settings.data_dir / "pictures")
    stack.callback(store.close)
    thresholds = Thresholds(manifest.thresholds.match, manifest.thresholds.possible)
    model = Model(model_id, manifest.version, manifest.output.dim, thresholds)
    parts = _assemble(settings, telemetry, fail_point, stack, database, store, network, model)
    readiness = _load(database, parts, stack)
    _watch(telemetry, parts)
    about = health.About(
        version=version("reappear"), model=model.version, provider=network.provider, faiss=FAISS_VERSION,
        database=database.dialect,
    )  # fmt: skip
    return State(parts=parts, readiness=readiness, telemetry=telemetry, about=about)


def _assemble(
    settings: Settings, telemetry: Telemetry, fail_point: Callable[[str], None], stack: ExitStack,
    database: Database, store: FolderStore, network: OnnxModel, model: Model,
) -> Parts:  # fmt: skip
    """Put the moving parts together; each is told to finish its work when the stack unwinds."""
    tune_faiss()
    galleries = Galleries(lambda: ExactIndex(model.dim, threads=settings.cores))

    def observe(name: str) -> Callable[[int], None]:
        return lambda size: telemetry.observe_batch(name, size)

    reader = PictureReader(
        PictureLimits(settings.max_picture_bytes, settings.max_picture_pixels), network.prepare, threads=settings.cores
    )
    embedder = Embedder(
        network, max_batch=settings.max_batch, max_waiting=settings.max_waiting * BULK_PLACES, observe=observe("embed")
    )
    searcher = Searcher(max_batch=MAX_SEARCH_BATCH, max_waiting=settings.max_waiting, observe=observe("search"))
    writer = Writer(
        database, galleries, model.id, max_batch=MAX_WRITE_BATCH, max_waiting=MAX_WAITING_WRITES,
        observe=observe("write"), fail_point=fail_point,
    )  # fmt: skip
    for close in (writer.batcher.close, searcher.batcher.close, embedder.batcher.close, reader.close):
        stack.callback(close)
    return Parts(
        database=database, writer=writer, galleries=galleries, embedder=embedder, searcher=searcher, reader=reader,
        store=store, admission=Admission(settings.max_waiting), repeats=Repeats(settings.idempotency_hours),
        gate=QualityGate(settings.min_width, settings.min_height, settings.min_sharpness), model=model,
        doubtful=set(), fail_point=fail_point,
    )  # fmt: skip


def _load(database: Database, parts: Parts, stack: ExitStack) -> Readiness:
    """Load the index in a thread of its own, so that /livez and /readyz answer meanwhile."""
    stopping = threading.Event()

    def load() -> None:
        while not stopping.is_set():
            try:
                settle_pictures(database, parts.store)
                database.read_now(check_vectors, parts.model.id, parts.model.version)
                database.read_now(load_galleries, parts.galleries, parts.model.id)
            except DatabaseDown:
                stopping.wait(LOAD_AGAIN_S)
            except Exception:
                log.exception("the index cannot be loaded")
                raise
            else:
                log.info("ready", extra={"crops": len(parts.galleries), "generation": parts.galleries.generation})
                return

    thread = ThreadPoolExecutor(1, thread_name_prefix="load")
    stack.callback(thread.shutdown)
    stack.callback(stopping.set)
    return Readiness(thread.submit(load))


def _watch(telemetry: Telemetry, parts: Parts) -> None:
    telemetry.index_crops.set_function(lambda: len(parts.galleries))
    telemetry.generation.set_function(lambda: parts.galleries.generation)
    for batcher in (parts.embedder.batcher, parts.searcher.batcher, parts.writer.batcher):
        telemetry.waiting.labels(batcher.name).set_function(partial(getattr, batcher, "waiting"))
