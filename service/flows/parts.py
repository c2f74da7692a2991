"""The parts a flow works with, put together once by `start.py`."""

from collections.abc import Callable
from dataclasses import dataclass
from threading import Event

from service.db.database import Database
from service.domain import Collection, CropIds, PictureStore, Thresholds
from service.embedding.embedder import Embedder
from service.flows.admission import Admission
from service.flows.audit import Audit
from service.flows.clock import Clock
from service.flows.courses import Courses
from service.flows.keyring import KeyRing
from service.flows.pictures import PictureReader
from service.flows.pulse import Pulse
from service.flows.remembered import Remembered
from service.flows.repeats import Repeats
from service.flows.rewriting import Rewriting
from service.flows.snapshots import Snapshots
from service.flows.writer import Writer
from service.images.quality import QualityGate
from service.index.gallery import Galleries
from service.store.tombstones import Tombstones


@dataclass(frozen=True, slots=True)
class Model:
    """The model version in use: its row, its name in answers, what its vectors and thresholds are."""

    id: int
    version: str
    dim: int
    thresholds: Thresholds


@dataclass(frozen=True, slots=True)
class Parts:
    """Everything a flow may need."""

    database: Database
    pulse: Pulse
    writer: Writer
    homes: Remembered[Collection]  # by name, without their counts
    allowed: Remembered[CropIds]  # by collection, conditions and excluded cameras
    galleries: Galleries
    embedder: Embedder
    courses: Courses
    long_courses: Courses  # which those are handed over to that others must not wait for
    reader: PictureReader
    store: PictureStore
    admission: Admission
    repeats: Repeats
    gate: QualityGate
    model: Model
    audit: Audit
    clock: Clock
    keys: KeyRing
    tombstones: Tombstones
    rewriting: Rewriting
    snapshots: Snapshots
    emptying: set[int]  # hidden collections (ours) that a request is removing
    doubtful: set[str]  # staged pictures of enrolments whose outcome is unknown
    stopping: Event  # set at the end: work that comes in portions stops between two
    fail_point: Callable[[str], None]  # told the name of each place where a crash must not lose anything
