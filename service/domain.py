"""The words of the service as types. Knows numpy and the standard library only."""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

DEFAULT_COLLECTION = "default"  # always exists
MAX_FILTERED_CHARS = 500  # longer texts are kept and shown; an index of either database could not hold them

ImageArray = NDArray[np.uint8]  # (h, w, 3) RGB, or (n, h, w, 3)
VectorArray = NDArray[np.float32]  # (dim,) or (n, dim), unit length
CropIds = NDArray[np.int64]  # (n,)


@dataclass(frozen=True, slots=True)
class Box:
    """A rectangle in a frame, in pixels."""

    x: int
    y: int
    width: int
    height: int


@dataclass(frozen=True, slots=True)
class Quality:
    """What was measured of a crop: size in pixels, sharpness in 0–1."""

    width: int
    height: int
    sharpness: float


@dataclass(frozen=True, slots=True)
class Thresholds:
    """Cosine similarities at or above which a candidate is a match, or possible."""

    match: float
    possible: float


@dataclass(frozen=True, slots=True)
class Sighting:
    """Where and when a picture was taken, as far as its sender knows."""

    camera: str | None = None
    captured_at: datetime | None = None
    track: str | None = None


@dataclass(frozen=True, slots=True)
class Collection:
    """A separate gallery with its own people, thresholds and rules for what is kept."""

    id: int
    name: str
    match_threshold: float | None
    possible_threshold: float | None
    retention_days: int | None  # None keeps crops until they are removed
    keep_pictures: bool
    created_at: datetime
    identities: int = 0
    crops: int = 0


@dataclass(frozen=True, slots=True)
class Identity:
    """A person (or vehicle, product, animal …) in a collection. `id` is ours, `external_id` the client's."""

    id: int
    external_id: str
    name: str | None
    attributes: dict[str, Any]
    crops: int
    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True, slots=True)
class Crop:
    """One enrolled picture of one identity."""

    id: int
    identity: str  # the client's id
    camera: str | None
    captured_at: datetime | None
    track: str | None
    quality: Quality
    created_at: datetime
    expires_at: datetime | None
    has_picture: bool


class Scope(StrEnum):
    """What a key may do; each includes the one before."""

    READ = "read"
    WRITE = "write"
    ADMIN = "admin"

    def covers(self, other: "Scope") -> bool:
        """Whether this scope is enough where the other is needed."""
        order = list(Scope)
        return order.index(self) >= order.index(other)


@dataclass(frozen=True, slots=True)
class ApiKey:
    """A key as it is kept: its secret only as a digest."""

    id: str
    name: str
    secret_sha256: str
    scope: Scope
    collection: str | None  # None for all
    reads_per_minute: int | None
    writes_per_minute: int | None
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None


@dataclass(frozen=True, slots=True)
class Caller:
    """Who sends a request: a key, or the service itself."""

    id: str
    scope: Scope
    collection: str | None = None
    reads_per_minute: int | None = None
    writes_per_minute: int | None = None


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """Who did what to whom and when; `subjects` are clients' ids of people, never pictures."""

    at: datetime
    request_id: str | None
    caller: str
    action: str
    collection: str | None
    subjects: tuple[str, ...] = ()

    def about(self, subjects: Iterable[str]) -> "AuditEntry":
        """The same entry about these people."""
        return replace(self, subjects=tuple(subjects))


@dataclass(frozen=True, slots=True)
class Tombstone:
    """A row that is erased for good: a crop, identity, collection or key. With the moment it was made it is known also
    where its id is used again after a restore."""

    database: str  # its UUID
    epoch: int
    kind: str
    row: str
    created_at: datetime


Scalar = str | int | float | bool | datetime


@dataclass(frozen=True, slots=True)
class Condition:
    """One demand: `field` is camera, track, captured_at or attributes.KEY; `op` is in, gt, gte, lt or lte."""

    field: str
    op: str
    values: tuple[Scalar, ...]

    @property
    def attribute(self) -> str | None:
        """The key, where the field is an attribute."""
        prefix, _, key = self.field.partition(".")
        return key if prefix == "attributes" else None


@dataclass(frozen=True, slots=True)
class Change:
    """One line of the change log, as the index takes it: a crop was added (with its vector) or removed (without)."""

    generation: int
    collection: int
    crop: int
    identity: int = 0
    vector: VectorArray | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class Piece:
    """A part of an index as it was at one moment. Rows that are removed later become NaN in `vectors` and stay in
    `ids`: who keeps pieces must know what was removed since."""

    key: str  # of the same index, equal keys have equal rows
    ids: CropIds  # (n,), -1 where a row was removed before that moment
    vectors: "NDArray[np.floating[Any]]"  # (n, dim), float32 or float16


class VectorIndex(Protocol):
    """Exact or approximate nearest neighbours by inner product. Knows ids and vectors and nothing else.

    Searches may run beside one writer: each sees every change finished before it began.
    """

    dim: int

    def __len__(self) -> int:
        """How many vectors there are."""
        ...

    @property
    def bytes(self) -> int:
        """Memory that the vectors take, places kept free for more included."""
        ...

    @property
    def accelerated(self) -> int:
        """How many vectors something was built from that finds candidates faster than comparing each; 0 where there is
        no such thing."""
        ...

    def add(self, ids: CropIds, vectors: VectorArray) -> None:
        """Add (n, dim) vectors under n ids that are not in the index."""
        ...

    def remove(self, ids: CropIds) -> int:
        """Remove ids, unknown ones ignored; returns how many were there."""
        ...

    def search(self, queries: VectorArray, k: int, allow: CropIds | None = None) -> tuple[VectorArray, CropIds]:
        """The k most similar of all, or of `allow`, for each of (n, dim) queries.

        Returns similarities and ids, both (n, k), best first, ties by lower id; short rows end in -inf and -1. What is
        found out about an allow-list whose flags say that it cannot be written to may be kept for its next search, so
        nobody may change it in another way.
        """
        ...

    def among(self, queries: VectorArray, ids: CropIds) -> tuple[VectorArray, CropIds]:
        """The few ids of each query's own row, (n, w) with -1 for none, as `search` would give them: (n, w) each."""
        ...

    def cut(self) -> list[Piece]:
        """Everything in it, as pieces that share its memory. Cheap; by the one writer, between two changes."""
        ...

    def restore(self, pieces: Iterable[Piece]) -> None:
        """Take the pieces of an index like this one, and their memory, instead of adding row by row. Into an empty
        index."""
        ...

    @property
    def holds_removed(self) -> bool:
        """Whether a removed vector is still in memory; `purge` sees to it."""
        ...

    def purge(self) -> None:
        """See to it that no removed vector is left in memory; returns when none is."""
        ...

    def close(self) -> None:
        """Let what is under way in the background end soon."""
        ...


class PictureStore(Protocol):
    """Pictures by a name the store chooses."""

    def stage(self, pictures: list[bytes]) -> list[str]:
        """Write pictures durably where only `publish` finds them; returns their names."""
        ...

    def publish(self, names: list[str]) -> None:
        """Put staged pictures in their place, once the rows that name them are committed."""
        ...

    def discard(self, names: list[str]) -> None:
        """Drop staged pictures whose rows were never committed."""
        ...

    def read(self, name: str) -> bytes:
        """The bytes of a picture. Raises NotFound."""
        ...

    def unlink(self, names: list[str]) -> None:
        """Remove pictures durably; names that are gone already are ignored."""
        ...

    def staged(self) -> list[str]:
        """Names that were staged and neither published nor discarded: what a crash left behind."""
        ...

    def names(self) -> Iterable[str]:
        """All published pictures; takes long."""
        ...
