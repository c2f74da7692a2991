"""From settings to the parts of a running service: everything that can be wrong is checked, what moves is put together
and told to finish its work in the end, and the index is loaded beside the running server."""

import logging
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from datetime import UTC, datetime
from functools import partial
from importlib.metadata import version
from typing import TypedDict

from service.api import health
from service.api.access import Throttle
from service.config import Settings
from service.db.changes import ensure_meta, ensure_model, wait_for_commits
from service.db.copying import read_meta
from service.db.database import Database
from service.db.keys import keys_in_force
from service.db.people import find_collection
from service.db.schema import check_kept, check_revision
from service.db.sightings import shared_crops
from service.domain import ApiKey, Scope, Thresholds
from service.embedding.embedder import Embedder
from service.embedding.onnx_model import OnnxModel
from service.errors import DatabaseDamaged, DatabaseDown, KeysRefused, Stopping
from service.flows.admission import BULK_PLACES, Admission
from service.flows.audit import Audit
from service.flows.clock import Clock
from service.flows.courses import Courses
from service.flows.emptying import empty_at_start
from service.flows.keyring import KeyRing
from service.flows.loading import load_galleries
from service.flows.parts import Model, Parts
from service.flows.pictures import PictureReader
from service.flows.pulse import Pulse
from service.flows.readiness import Readiness
from service.flows.reconcile import check_vectors, erase_again, has_gone_back, settle_files, sweep, take_in_reads
from service.flows.remembered import Remembered
from service.flows.repeats import Repeats
from service.flows.rewriting import Rewriting
from service.flows.snapshots import Kind, Snapshots
from service.flows.watching import Watch
from service.flows.writer import Writer
from service.heaps import trim_heaps
from service.images.decode import PictureLimits
from service.images.quality import QualityGate
from service.index.faiss_setup import FAISS_VERSION, tune_faiss
from service.index.gallery import Galleries
from service.index.kinds import kind_of
from service.index.segmented import SegmentedIndex, give_way
from service.store.folder import FolderStore
from service.store.lock import FolderLock
from service.store.snapshots import SNAPSHOT_FOLDER, SnapshotFolder
from service.store.tombstones import TOMBSTONE_FILE, Tombstones
from service.store.unwritten import UNWRITTEN_FILE, UnwrittenReads
from service.telemetry import Telemetry, configure_logging

log = logging.getLogger(__name__)

MAX_WRITE_BATCH = 32
MOST_COURSE_THREADS = 4
BATCHES_AT_ONCE = 2  # of pictures to enrol
LONG_BATCH = 4  # of queries that take long
MAX_WAITING_WRITES = 1024
MAX_UNWRITTEN_READS = 300_000  # reads and the people in them together: about 30 MB
MIN_ADMIN_KEY_CHARS = 32
LOAD_AGAIN_S = 2
MOST_HOMES = 1000  # collections that are remembered
MOST_ALLOWED = 8  # filters that are: at twenty bytes a crop each, a small part of what a crop takes
LAST_SNAPSHOT_S = 8  # after `stop_timeout_s`, before compose loses its patience at 30 s


class State(TypedDict):
    """What requests see of the running service."""

    parts: Parts
    readiness: Readiness
    throttle: Throttle
    telemetry: Telemetry
    about: health.Version


def _admin_key(settings: Settings) -> str | None:
    """The first admin key. Raises KeysRefused."""
    if settings.admin_key_file is None:
        return None
    try:
        key = settings.admin_key_file.read_text().strip()
    except (OSError, UnicodeDecodeError) as error:
        raise KeysRefused(
            f"REAPPEAR_ADMIN_KEY_FILE cannot be read ({error}); this user must be able to read it"
        ) from error
    if len(key) < MIN_ADMIN_KEY_CHARS or not key.isascii() or not key.isprintable() or " " in key:
        raise KeysRefused(
            f"the key in REAPPEAR_ADMIN_KEY_FILE must have {MIN_ADMIN_KEY_CHARS} ASCII characters or more, without "
            "spaces; `openssl rand -hex 32` makes one"
        )
    return key


def _makes_keys(key: ApiKey) -> bool:
    return key.scope is Scope.ADMIN and key.collection is None


def _key_ring(settings: Settings, database: Database) -> KeyRing:
    """The keys in force. Raises KeysRefused where keys are asked for and there is none to make others with."""
    admin_key = _admin_key(settings)
    known = database.read_now(keys_in_force, datetime.now(UTC))
    if settings.keys_required and admin_key is None and not any(map(_makes_keys, known)):
        raise KeysRefused(
            "keys are asked for, and there is no admin key to make them with: set REAPPEAR_ADMIN_KEY_FILE to a file "
            "with one (`openssl rand -hex 32` makes it), or listen on 127.0.0.1"
        )
    ring = KeyRing(required=settings.keys_required, admin_key=admin_key)
    ring.load(known)
    return ring


def start(
    settings: Settings, telemetry: Telemetry, fail_point: Callable[[str], None], block_rows: int, stack: ExitStack
) -> State:
    """Check everything that can be wrong, then load the index beside the running server."""
    configure_logging(settings.log_level)
    lock = FolderLock(settings.data_dir)
    stack.callback(lock.release)
    network = OnnxModel(
        settings.model_dir, provider=settings.provider, threads=settings.cores, gpu_memory_mb=settings.gpu_memory_mb
    )
    most = settings.max_waiting * BULK_PLACES
    check_kept(settings.url, lock.owner)
    database = Database(
        settings.url, readers=settings.readers, max_waiting=most, others=2 * _course_threads(settings)
    )  # fmt: skip
    stack.callback(database.close)
    database.read_now(check_revision)
    manifest = network.manifest
    database.claim()
    with database.begin() as connection:
        ensure_meta(connection)
        wait_for_commits(connection)
        model_id = ensure_model(connection, manifest.name, manifest.sha256, manifest.output.dim)
        meta = read_meta(connection)
        assert meta is not None
    lock.claim_for(meta.uuid)
    unwritten = UnwrittenReads(settings.data_dir / UNWRITTEN_FILE)
    take_in_reads(database, unwritten)
    store = FolderStore(settings.data_dir / "pictures")
    stack.callback(store.close)
    thresholds = Thresholds(manifest.thresholds.match, manifest.thresholds.possible)
    model = Model(model_id, manifest.version, manifest.output.dim, thresholds)
    erased = erase_again(database, meta, Tombstones(settings.data_dir / TOMBSTONE_FILE))  # before keys are in force
    went_back = bool(erased) or has_gone_back(meta, SnapshotFolder(settings.data_dir / SNAPSHOT_FOLDER))
    ring = _key_ring(settings, database)
    galleries = _galleries(settings, fail_point, block_rows, stack, model)
    parts = _assemble(
        settings, telemetry, fail_point, stack, database, store, network, model, ring, unwritten, galleries,
        Clock(lock.last_used, lock.note_use),
    )  # fmt: skip
    readiness = _load(database, parts, stack, went_back=went_back)
    about = health.Version(
        version=version("reappear"), model=model.version, provider=network.provider, faiss=FAISS_VERSION,
        database=database.dialect,
    )  # fmt: skip
    stack.callback(Watch(telemetry, parts, readiness, settings.data_dir).end)
    telemetry.describe(**about.model_dump())
    throttle = Throttle(reads_per_minute=settings.reads_per_minute, writes_per_minute=settings.writes_per_minute)
    return State(parts=parts, readiness=readiness, throttle=throttle, telemetry=telemetry, about=about)


def _galleries(
    settings: Settings, fail_point: Callable[[str], None], block_rows: int, stack: ExitStack, model: Model
) -> Galleries:
    """Empty galleries of the kind that is asked for. Raises IndexRefused."""
    tune_faiss(model.dim)
    kind = kind_of(settings.index, model.dim)
    background = ThreadPoolExecutor(1, thread_name_prefix="index", initializer=give_way)
    stack.callback(background.shutdown, cancel_futures=True)
    galleries = Galleries(
        lambda: SegmentedIndex(
            model.dim, kind, threads=settings.cores, block_rows=block_rows, background=background.submit,
            fail_point=fail_point,
        )
    )  # fmt: skip
    stack.callback(galleries.close)
    return galleries


def _assemble(
    settings: Settings, telemetry: Telemetry, fail_point: Callable[[str], None], stack: ExitStack,
    database: Database, store: FolderStore, network: OnnxModel, model: Model, ring: KeyRing,
    unwritten: UnwrittenReads, galleries: Galleries, clock: Clock,
) -> Parts:  # fmt: skip
    """Put the moving parts together; each is told to finish its work when the stack unwinds."""

    def observe(name: str) -> Callable[[int], None]:
        return lambda size: telemetry.observe_batch(name, size)

    limits = PictureLimits(settings.max_picture_bytes, settings.max_picture_pixels)
    taken = network.manifest.input
    reader = PictureReader(limits, (taken.height, taken.width), threads=settings.cores)
    embedder = Embedder(
        network, max_batch=settings.max_batch, max_waiting=settings.max_waiting * BULK_PLACES, observe=observe("embed"),
        at_once=1 if settings.provider == "cuda" else BATCHES_AT_ONCE,  # on a GPU halves are filled up to its sizes
    )  # fmt: skip

    courses = partial(
        Courses, reader=reader, embedder=embedder, database=database, threads=_course_threads(settings),
        cores=settings.cores,
    )  # fmt: skip
    long = courses(
        "long-query", max_batch=LONG_BATCH, max_waiting=settings.max_waiting * BULK_PLACES,
        observe=observe("long-query"),
    )  # fmt: skip
    short = courses(
        "query", max_batch=settings.max_batch, max_waiting=settings.max_waiting, observe=observe("query"), longer=long,
        portion=-(-settings.max_batch // 2),
    )  # fmt: skip
    snapshots = Snapshots(
        SnapshotFolder(settings.data_dir / SNAPSHOT_FOLDER, fail_point=fail_point), galleries,
        Kind(model.version, model.dim, settings.index), every_s=settings.snapshot_minutes * 60,
    )  # fmt: skip
    stack.callback(snapshots.write_last, database, LAST_SNAPSHOT_S)  # once the writer has ended
    rewriting = Rewriting(settings.rewrite_minutes * 60, snapshots.forget)
    writer = Writer(
        database, galleries, model.id, max_batch=MAX_WRITE_BATCH, max_waiting=MAX_WAITING_WRITES,
        observe=observe("write"), fail_point=fail_point, between=partial(rewriting.try_now, database),
    )  # fmt: skip
    for close in (writer.batcher.close, short.batcher.close, long.batcher.close, embedder.batcher.close, reader.close):
        stack.callback(close)
    pulse = Pulse(database, galleries)
    stack.callback(pulse.end)
    return Parts(
        database=database, pulse=pulse, writer=writer,
        homes=Remembered(find_collection, database, writer, most=MOST_HOMES),
        allowed=Remembered(shared_crops, database, writer, most=MOST_ALLOWED), galleries=galleries, embedder=embedder,
        courses=short, long_courses=long, reader=reader,
        store=store, admission=Admission(settings.max_waiting),
        repeats=Repeats(settings.idempotency_hours, clock), clock=clock,
        gate=QualityGate(settings.min_width, settings.min_height, settings.min_sharpness), model=model,
        audit=Audit(writer, unwritten, max_waiting=MAX_UNWRITTEN_READS), keys=ring,
        tombstones=Tombstones(settings.data_dir / TOMBSTONE_FILE), rewriting=rewriting, snapshots=snapshots,
        emptying=set(), doubtful=set(), stopping=threading.Event(), fail_point=fail_point,
    )  # fmt: skip


def _course_threads(settings: Settings) -> int:
    """Threads that take queries: each has a batch of its own, so many of them make small ones."""
    return min(settings.cores, MOST_COURSE_THREADS)


def _settle(database: Database, parts: Parts, *, went_back: bool) -> None:
    """Bring pictures in line with rows; also those that no row names, where the database `went_back` and lost theirs.
    What a disk that is full or read-only does not allow now, housekeeping does: the gallery can be searched."""
    try:
        settle_files(database, parts.store, parts.tombstones)
        if went_back:
            sweep(database, parts.store)
    except OSError:
        log.exception("pictures cannot be settled yet")
        parts.doubtful.update(parts.store.staged())


def _load(database: Database, parts: Parts, stack: ExitStack, *, went_back: bool) -> Readiness:
    """Load the index in a thread of its own, so that /livez and /readyz answer meanwhile."""
    stopping = threading.Event()

    def go_on() -> None:
        if stopping.is_set():
            raise Stopping("the service is shutting down; send the request again in a few seconds")

    def load() -> None:
        while True:
            go_on()
            try:
                empty_at_start(database)
                _settle(database, parts, went_back=went_back)
                database.read_now(check_vectors, parts.model.id, parts.model.version)
                load_galleries(database, parts.galleries, parts.model.id, parts.snapshots, parts.fail_point, go_on)
            except (DatabaseDamaged, Stopping):
                raise
            except DatabaseDown:
                stopping.wait(LOAD_AGAIN_S)
            except Exception:
                log.exception("the index cannot be loaded")
                raise
            else:
                trim_heaps()
                log.info("ready", extra={"crops": len(parts.galleries), "generation": parts.galleries.generation})
                return

    thread = ThreadPoolExecutor(1, thread_name_prefix="load")
    stack.callback(thread.shutdown)
    stack.callback(stopping.set)
    return Readiness(thread.submit(load), parts.galleries)
