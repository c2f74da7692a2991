"""Steps that many queries take together, and whose failure is whose."""

import asyncio
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, cast

import numpy as np
import pytest

from service.domain import CropIds, Quality, VectorArray
from service.embedding.embedder import Embedder
from service.errors import BadPicture, CorruptPicture, DatabaseDown
from service.flows.courses import Among, Course, Courses, Embed, Join, Open, Search
from service.flows.pictures import Opened, Upload
from service.telemetry import Stopwatch, Telemetry
from tests.embedding.batching import PATIENCE_S, play, until


class Reader:
    """Opens a picture of n bytes as an image of n; an empty one is bad."""

    def open_now(self, uploads: Sequence[Upload]) -> list[Opened]:
        if any(not one.picture for one in uploads):
            raise CorruptPicture("no picture")
        quality = Quality(1, 1, 0.5)
        return [Opened(np.full((1, 1, 3), len(one.picture), np.uint8), quality, None) for one in uploads]


class Network:
    """An image's vector is its number. Sizes of batches are noted; 13 breaks it, and it waits where it is held."""

    def __init__(self) -> None:
        self.batches: list[int] = []
        self.threads = set[int | None]()
        self.release = threading.Event()
        self.release.set()

    def run(self, images: np.ndarray, threads: int | None = None) -> VectorArray:
        self.batches.append(len(images))
        self.threads.add(threads)
        assert self.release.wait(PATIENCE_S)
        if (images == 13).any():
            raise ValueError("thirteen")
        return images[:, 0, 0, :1].astype(np.float32)


class Index:
    """Answers each query with the query itself. Searches are noted; the first waits where it is held."""

    dim = 1

    def __init__(self) -> None:
        self.searches: list[tuple[int, int]] = []
        self.started, self.release = threading.Event(), threading.Event()
        self.release.set()

    def search(self, queries: VectorArray, k: int, allow: CropIds | None = None) -> tuple[VectorArray, CropIds]:
        self.searches.append((len(queries), k))
        self.started.set()
        assert self.release.wait(PATIENCE_S)
        if k == 666:
            raise MemoryError("too many")
        return np.repeat(queries, k, axis=1), np.repeat(queries, k, axis=1).astype(np.int64)

    def among(self, queries: VectorArray, ids: CropIds) -> tuple[VectorArray, CropIds]:
        self.searches.append(ids.shape)
        return np.where(ids < 0, -np.inf, queries + ids).astype(np.float32), ids


class Rows:
    """A database that knows every crop but 404. Reads are noted."""

    def __init__(self) -> None:
        self.reads: list[list[int]] = []

    def read_now(self, query: object, crops: list[int]) -> dict[int, int]:
        self.reads.append(crops)
        if 404 in crops:
            raise DatabaseDown("gone")
        return {crop: -crop for crop in crops}


class Desk:
    """Courses and all that they ask."""

    def __init__(self, threads: int = 1, portion: int | None = None, cores: int = 1) -> None:
        self.network, self.rows, self.index, self.batches = Network(), Rows(), Index(), list[int]()
        self.embedder = Embedder(self.network, max_batch=4, max_waiting=99)
        self.courses = Courses(
            "test", reader=cast(Any, Reader()), embedder=self.embedder, database=cast(Any, self.rows), threads=threads,
            max_batch=99, max_waiting=99, portion=portion, observe=self.batches.append, cores=cores,
        )  # fmt: skip

    def whole(self, picture: bytes, k: int = 1) -> Course[dict[int, int]]:
        """From a picture to rows."""
        (opened,) = yield Open([Upload(picture)])
        vectors = yield Embed([opened.prepared])
        _, ((first, *_),) = yield Search(cast(Any, self.index), vectors, k)
        joined = yield Join([int(first)])
        return {int(first): joined[int(first)]}

    async def take_together(self, *courses: Course[Any]) -> list[Any]:
        """What comes of courses that all wait for the same thread."""
        self.index.release.clear()
        busy = asyncio.create_task(self.courses.take(self.only_search()))
        await asyncio.to_thread(self.index.started.wait, PATIENCE_S)
        all_of_them = asyncio.gather(*map(self.courses.take, courses), return_exceptions=True)
        await asyncio.sleep(0)
        self.index.searches.clear()
        self.index.release.set()
        await busy
        return await all_of_them

    def only_search(self) -> Course[Any]:
        """One step."""
        return (yield Search(cast(Any, self.index), np.zeros((1, 1), np.float32), 1))


@contextmanager
def desk(threads: int = 1, portion: int | None = None, cores: int = 1) -> Iterator[Desk]:
    made = Desk(threads, portion, cores)
    try:
        yield made
    finally:
        made.network.release.set()
        made.index.release.set()
        made.courses.batcher.close()
        made.embedder.batcher.close()


def test_courses_that_wait_together_share_every_step() -> None:
    with desk() as at:
        found = play(at.take_together(*(at.whole(b"x" * size) for size in (1, 2, 3, 4, 5))))
        assert found == [{size: -size} for size in (1, 2, 3, 4, 5)]
        assert at.network.batches == [4, 1], "in batches of what the network takes"
        assert at.index.searches == [(5, 1)]
        assert at.rows.reads == [[1, 2, 3, 4, 5]]
        assert at.batches == [1, 1, 5, 5], "once to be embedded, once to be searched for"


def test_who_comes_while_others_are_embedded_shares_their_search() -> None:
    async def scene() -> list[dict[int, int]]:
        at.network.release.clear()
        asked = [asyncio.create_task(at.courses.take(at.whole(b"x")))]
        await until(lambda: bool(at.network.batches))
        asked += [asyncio.create_task(at.courses.take(at.whole(b"x" * size))) for size in (2, 3, 4)]
        await until(lambda: at.courses.batcher.waiting == 3)
        at.network.release.set()
        return await asyncio.gather(*asked)

    with desk(portion=2) as at:
        assert play(scene()) == [{1: -1}, {2: -2}, {3: -3}, {4: -4}]
        assert at.network.batches == [1, 2, 1], "a portion at once"
        assert at.index.searches == [(3, 1), (1, 1)], "three are a portion and more: none waits for the fourth"


@pytest.mark.parametrize(("threads", "cores", "free"), [(1, 1, 1), (3, 3, 3), (4, 6, 8), (4, 16, 16)])
def test_a_picture_is_shared_out_among_the_cores_of_the_threads_that_are_idle(
    threads: int, cores: int, free: int
) -> None:
    with desk(threads, cores=cores) as at:
        play(until(lambda: at.courses.batcher.idle == threads))
        assert play(at.courses.take(at.whole(b"x"))) == {1: -1}
        assert at.network.threads == {free}


def test_an_error_is_only_theirs_who_caused_it() -> None:
    with desk() as at:
        bad, thirteen, heavy, gone, good = play(
            at.take_together(at.whole(b""), at.whole(b"x" * 13), at.whole(b"xx", k=666), _join(404), at.whole(b"xxx"))
        )
        assert isinstance(bad, BadPicture)
        assert isinstance(thirteen, ValueError)
        assert isinstance(heavy, MemoryError)
        assert isinstance(gone, DatabaseDown)
        assert isinstance(good, DatabaseDown), "who shared the statement has its error, and may ask again"
        assert play(at.courses.take(at.whole(b"xxx"))) == {3: -3}


def _join(*crops: int) -> Course[dict[int, int]]:
    return (yield Join(crops))


def test_an_error_is_raised_where_the_step_was_asked_for() -> None:
    def careful() -> Course[str]:
        try:
            yield Open([Upload(b"")])
        except BadPicture:
            return "sent on"
        return "not noticed"

    with desk() as at:
        assert play(at.courses.take(careful())) == "sent on"


def test_many_rows_are_read_apart_from_those_of_others() -> None:
    """By threads that those are handed over to whom others must not wait for."""
    with desk() as slow, desk() as at:
        at.courses._longer = slow.courses
        many, few = play(at.take_together(_join(*range(1000, 2001)), _join(7)))
        assert (len(many), few) == (1001, {7: -7})
        assert (list(map(len, at.rows.reads)), list(map(len, slow.rows.reads))) == ([1], [1001])


def test_a_course_that_comes_to_a_long_step_goes_on_elsewhere() -> None:
    watch = Stopwatch(Telemetry())

    def growing() -> Course[int]:
        yield Search(cast(Any, at.index), np.zeros((1, 1), np.float32), 1)
        yield Search(cast(Any, at.index), np.zeros((1, 1), np.float32), 5000)
        return len((yield Join([1, 2])))

    with desk() as slow, desk() as at:
        at.courses._longer = slow.courses
        assert play(at.courses.take(growing(), watch)) == 2
        assert (at.batches, slow.batches) == ([1, 1], [1])
        assert (at.rows.reads, slow.rows.reads) == ([], [[1, 2]])
    assert set(watch.timings_ms) == {"search", "join"}


@pytest.mark.parametrize(("threads", "stays"), [(2, True), (1, False)])
def test_a_lone_search_with_an_allow_list_stays_where_others_have_a_thread(threads: int, stays: bool) -> None:
    with desk() as slow, desk(threads) as at:
        at.courses._longer = slow.courses
        play(until(lambda: at.courses.batcher.idle == threads))
        assert play(at.courses.take(_among_some(at))) == 2
        assert slow.batches == ([] if stays else [1])


def test_a_search_with_an_allow_list_goes_on_elsewhere_where_others_are_in_its_batch() -> None:
    with desk() as slow, desk() as at:
        at.courses._longer = slow.courses
        at.courses.batcher._idle = 1  # as if another thread were there
        assert play(at.take_together(_among_some(at), _join(7))) == [2, {7: -7}]
        assert slow.batches == [1]
        assert at.rows.reads == [[7]]


def _among_some(at: Desk) -> Course[int]:
    yield Search(cast(Any, at.index), np.zeros((1, 1), np.float32), 1, np.array([3]))
    return len((yield Join([1, 2])))


def test_a_few_crops_each_are_scored_in_one_call_and_nobody_sees_those_of_others() -> None:
    def among(vector: float, *crops: int) -> Course[Any]:
        return (yield Among(cast(Any, at.index), np.array([vector], np.float32), np.array(crops, np.int64)))

    with desk() as at:
        (first, first_ids), (second, second_ids) = play(at.take_together(among(0.5, 1), among(0.25, 2, 3)))
        assert at.index.searches == [(2, 2)]
        assert (first.tolist(), first_ids.tolist()) == ([1.5, -np.inf], [1, -1])
        assert (second.tolist(), second_ids.tolist()) == ([2.25, 3.25], [2, 3])


def test_every_stage_is_timed_for_all_who_shared_it() -> None:
    watch = Stopwatch(Telemetry())
    with desk() as at:
        play(at.courses.take(at.whole(b"x"), watch))
    assert set(watch.timings_ms) == {"decode", "embed", "search", "join"}


@pytest.mark.parametrize("threads", [2, 3])
def test_another_thread_goes_on_while_one_is_busy(threads: int) -> None:
    async def scene() -> None:
        at.index.release.clear()
        busy = asyncio.create_task(at.courses.take(at.only_search()))
        await asyncio.to_thread(at.index.started.wait, PATIENCE_S)
        assert await at.courses.take(_join(7)) == {7: -7}
        assert not busy.done()
        at.index.release.set()
        await busy

    with desk(threads) as at:
        play(scene())
