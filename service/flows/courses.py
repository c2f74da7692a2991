"""What a query asks for step by step, and threads that take the same step for many queries at once: from the picture
to the rows of the answer without going back to the event loop in between, whose turns cost more than most steps.

A course is a generator: it yields a step and is sent what came of it, or has its error raised. Each thread makes
vectors of as many pictures as come; only then do courses wait for each other, so that many share one pass over the
vectors (docs/decisions/0036-portions.md).
"""

from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from time import perf_counter
from typing import Any, ClassVar, Generic, TypeVar

import numpy as np

from service.db.database import Database
from service.db.sightings import Joined, join_crops
from service.domain import CropIds, ImageArray, VectorArray, VectorIndex
from service.embedding.batcher import LATER, Batcher, Later
from service.embedding.embedder import Embedder
from service.flows.pictures import Opened, PictureReader, Upload
from service.telemetry import Stopwatch

LARGE = 1000  # crops to find or to join, from which on others must not wait for it

Found = tuple[VectorArray, CropIds]  # similarities and crop ids, (n, k) each, best first
Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class Open:
    """Decode pictures that must all be good: a list of Opened. Raises the first one's BadPicture."""

    stage: ClassVar = "decode"
    uploads: Sequence[Upload]


@dataclass(frozen=True, slots=True)
class Embed:
    """The vectors, (n, dim), of prepared (height, width, 3) images."""

    stage: ClassVar = "embed"
    images: Sequence[ImageArray]


@dataclass(frozen=True, slots=True, eq=False)
class Search:
    """The k crops most similar to each of (n, dim) vectors, of all or of `allow`: Found, short rows ending in -inf and
    -1."""

    stage: ClassVar = "search"
    index: VectorIndex
    vectors: VectorArray
    k: int
    allow: CropIds | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Among:
    """How similar a (dim,) vector is to a few crops: similarities and ids, (w,) each, as a row of Found."""

    stage: ClassVar = "search"
    index: VectorIndex
    vector: VectorArray
    crops: CropIds


@dataclass(frozen=True, slots=True)
class Join:
    """Crops with their identities, by crop id, and maybe those of others; what is gone is missing. Raises DatabaseDown.
    The transaction begins after the step is asked for, so that nobody sees less than was acknowledged before."""

    stage: ClassVar = "join"
    crops: Sequence[int]


Step = Open | Embed | Search | Among | Join
PICTURES: tuple[type[Step], ...] = (Open, Embed)
ORDER: tuple[type[Step], ...] = (*PICTURES, Search, Among, Join)
Course = Generator[Step, Any, Result]


class Courses:
    """Takes courses on threads of its own. `longer` takes over those that ask for a step which others must not wait
    for."""

    def __init__(
        self, name: str, *, reader: PictureReader, embedder: Embedder, database: Database, threads: int, max_batch: int,
        max_waiting: int, portion: int | None = None, observe: Callable[[int], None] = lambda size: None,
        longer: "Courses | None" = None, cores: int = 1,
    ) -> None:  # fmt: skip
        """Each of the `threads` has its part of so many `cores` for the network, and that of those who are idle."""
        self._longer = longer
        self._cores_each = -(-cores // threads)
        self._reader = reader
        self._embedder = embedder
        self._database = database
        self.batcher: Batcher[_Walk[Any], Any] = Batcher(
            name, self._take, max_batch=max_batch, max_waiting=max_waiting, observe=observe, threads=threads,
            portion=portion,
        )  # fmt: skip

    async def take(self, course: Course[Result], watch: Stopwatch | None = None) -> Result:
        """Wait for what comes of a course. `watch` is told how long each stage took, with all who shared it. Raises
        Overloaded, Stopping, and what the course raises."""
        walk = _Walk(course)
        try:
            (result,) = await self.batcher.submit([walk])
            if walk.step is not None and self._longer is not None:
                (result,) = await self._longer.batcher.submit([walk])
        finally:
            if watch is not None:
                spent = walk.spent.copy()  # where the caller has left, a thread may still add to it
                for stage, seconds in spent.items():
                    watch.add(stage, seconds)
        return result  # type: ignore[no-any-return]

    def _take(self, walks: "list[_Walk[Any]]") -> "list[Any | Exception | Later]":
        """New courses as far as their vectors, then all to the end."""
        fresh = [walk for walk in walks if walk.step is None]
        for walk in fresh:
            walk.go(None)
        steps = PICTURES if fresh else ORDER
        while True:
            going = [walk for walk in walks if isinstance(walk.step, steps) and self._stays(walk.step, len(walks))]
            kind = next((kind for kind in steps if any(type(walk.step) is kind for walk in going)), None)
            if kind is None:
                return [LATER if fresh and self._stays(walk.step, len(walks)) else walk.end for walk in walks]
            together = [walk for walk in going if type(walk.step) is kind]
            started = perf_counter()
            try:
                came = self._do(kind, [walk.step for walk in together])
            except Exception as error:  # whoever shared the step has its error
                came = [error] * len(together)
            seconds = perf_counter() - started
            for walk, one in zip(together, came, strict=True):
                walk.spent[kind.stage] = walk.spent.get(kind.stage, 0.0) + seconds
                walk.go(one)

    def _stays(self, step: Step | None, together: int) -> bool:
        """Whether a step is taken here: there is one, and others need not wait for it. An allow-list makes a pass of
        its own: who has one stays only where nobody else is in the batch and another thread is there for who comes
        next."""
        if self._longer is None or not isinstance(step, Search | Join):
            return step is not None
        if isinstance(step, Join):
            return len(step.crops) <= LARGE
        return step.k <= LARGE and (step.allow is None or (together == 1 and self.batcher.idle > 0))

    def _do(self, kind: type[Step], steps: list[Any]) -> Sequence[Any]:
        if kind is Open:
            return [self._open(step) for step in steps]
        if kind is Embed:
            return self._embed(steps)
        return self._join(steps) if kind is Join else _by_index(_search if kind is Search else _among, steps)

    def _open(self, step: Open) -> list[Opened] | Exception:
        try:
            return self._reader.open_now(step.uploads)
        except Exception as error:
            return error

    def _embed(self, steps: list[Embed]) -> list[VectorArray | Exception]:
        images = [image for step in steps for image in step.images]
        vectors = iter(self._embedder.embed_now(images, self._cores_each * (1 + self.batcher.idle)))
        came: list[VectorArray | Exception] = []
        for step in steps:
            theirs = [next(vectors) for _ in step.images]
            broken = next((one for one in theirs if isinstance(one, Exception)), None)
            came.append(np.stack(theirs) if broken is None else broken)  # type: ignore[arg-type]
        return came

    def _join(self, steps: list[Join]) -> list[dict[int, Joined]]:
        crops = list(dict.fromkeys(crop for step in steps for crop in step.crops))
        found = self._database.read_now(join_crops, crops) if crops else {}
        return [found] * len(steps)


class _Walk(Generic[Result]):
    """How far a course has come: the step that it asks for, or how it ended."""

    __slots__ = ("_course", "end", "spent", "step")

    def __init__(self, course: Course[Result]) -> None:
        self._course = course
        self.spent: dict[str, float] = {}  # seconds by stage
        self.step: Step | None = None
        self.end: Result | Exception | None = None

    def go(self, came: Any) -> None:
        """On to the next step, with what came of the last one."""
        try:
            self.step = self._course.throw(came) if isinstance(came, Exception) else self._course.send(came)
        except StopIteration as stop:
            self.step, self.end = None, stop.value
        except Exception as error:
            self.step, self.end = None, error


def _by_index(do: Callable[[list[Any]], list[Found]], steps: list[Any]) -> list[Found | Exception]:
    """Steps that can share a pass do: those of one index, for the same k and allow-list where they have any."""
    shared: dict[Any, list[int]] = {}
    for place, step in enumerate(steps):
        alike = (step.k, id(step.allow)) if isinstance(step, Search) else None
        shared.setdefault((id(step.index), alike), []).append(place)
    found: dict[int, Found | Exception] = {}
    for places in shared.values():
        try:
            found.update(zip(places, do([steps[place] for place in places]), strict=True))
        except Exception as error:  # the other groups must still get their answers
            found.update(dict.fromkeys(places, error))
    return [found[place] for place in range(len(steps))]


def _search(steps: list[Search]) -> list[Found]:
    vectors = np.concatenate([step.vectors for step in steps])
    similarities, ids = steps[0].index.search(vectors, steps[0].k, steps[0].allow)
    ends = np.cumsum([len(step.vectors) for step in steps])[:-1]
    return list(zip(np.split(similarities, ends), np.split(ids, ends), strict=True))


def _among(steps: list[Among]) -> list[Found]:
    crops = np.full((len(steps), max(len(step.crops) for step in steps)), -1, np.int64)
    for row, step in zip(crops, steps, strict=True):
        row[: len(step.crops)] = step.crops
    similarities, ids = steps[0].index.among(np.stack([step.vector for step in steps]), crops)
    return list(zip(similarities, ids, strict=True))
