"""Who shares what with whom where a batcher has several threads."""

import asyncio
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import chain
from typing import Any

import pytest

from service.embedding.batcher import LATER, Later
from tests.embedding.batching import PATIENCE_S, Batching, play, queued, until


def test_idle_threads_share_what_waits() -> None:
    """One is busy when four come, so the two who are idle have two each."""
    batches: list[list[int]] = []
    first, both = threading.Event(), threading.Barrier(3)

    def run(items: list[int]) -> Sequence[int | Exception]:
        batches.append(list(items))
        if items == [0]:
            first.set()
        both.wait(PATIENCE_S)
        return items

    async def scene() -> list[list[int]]:
        early = asyncio.create_task(batcher.submit([0]))
        await asyncio.to_thread(first.wait, PATIENCE_S)
        return [await batcher.submit([1, 2, 3, 4]), await early]

    batcher = Batching("test", run, max_batch=8, max_waiting=100, threads=3)
    try:
        assert play(scene()) == [[1, 2, 3, 4], [0]]
    finally:
        batcher.close()
    assert sorted(batches) == [[0], [1, 2], [3, 4]]


class Twice:
    """Runs every item twice: the first time it says LATER. Batches are noted; an item's first run waits at its gate."""

    def __init__(self, *gated: int) -> None:
        self.first: list[list[int]] = []
        self.second: list[list[int]] = []
        self._known: set[int] = set()
        self.gates = {item: threading.Event() for item in gated}

    def run(self, items: list[int]) -> Sequence[int | Exception | Later]:
        if items[0] in self._known:
            self.second.append(list(items))
            if 13 in items:
                raise ValueError("thirteen")
            return [2 * item for item in items]
        self._known.update(items)
        self.first.append(list(items))
        if items[0] in self.gates:
            self.gates[items[0]].wait(PATIENCE_S)
        return [LATER] * len(items)


@contextmanager
def twice(worker: Twice, *, threads: int = 1, portion: int = 4) -> Iterator[Batching]:
    batcher = Batching("test", worker.run, max_batch=8, max_waiting=100, threads=threads, portion=portion)
    try:
        yield batcher
    finally:
        for gate in worker.gates.values():
            gate.set()
        batcher.close()


def test_items_for_later_gather_while_new_ones_wait_and_are_run_again_together() -> None:
    """0 is alone in its first run; 1 to 6 come meanwhile, and are taken in portions of at most four."""
    worker = Twice(0)

    async def scene() -> list[list[int]]:
        asked = [asyncio.create_task(batcher.submit([0]))]
        await until(lambda: worker.first == [[0]])
        asked += await queued(batcher, [1, 2, 3, 4, 5, 6])
        worker.gates[0].set()
        return await asyncio.gather(*asked)

    with twice(worker) as batcher:
        assert play(scene()) == [[0], [2, 4, 6, 8, 10, 12]]
    assert worker.first == [[0], [1, 2, 3, 4], [5, 6]]
    assert worker.second == [[0, 1, 2, 3, 4], [5, 6]], "five are a portion and more, so 5 and 6 did not hold them up"


def test_an_item_for_later_waits_for_nobody_where_nobody_is_new() -> None:
    worker = Twice()
    with twice(worker, threads=2) as batcher:
        assert play(batcher.submit([7])) == [14]
    assert (worker.first, worker.second) == ([[7]], [[7]])


def test_one_thread_runs_again_what_others_have_run_first() -> None:
    """Two threads have an item each, and the one who is done first is given another. Its own waits for that one."""
    worker = Twice(0, 1, 2)

    async def scene() -> list[list[int]]:
        asked = [asyncio.create_task(batcher.submit([item])) for item in (0, 1)]
        await until(lambda: len(worker.first) == 2)
        asked += await queued(batcher, [2])
        worker.gates[0].set()
        await until(lambda: len(worker.first) == 3)
        worker.gates[1].set()
        await until(lambda: len(worker.second) == 1)
        worker.gates[2].set()
        return await asyncio.gather(*asked)

    with twice(worker, threads=2) as batcher:
        assert play(scene()) == [[0], [2], [4]]
    assert worker.second == [[0, 1], [2]]


def test_an_error_of_the_second_run_is_that_of_its_batch_and_who_has_left_is_not_run_again() -> None:
    worker = Twice(0)

    async def scene() -> list[Any]:
        held = asyncio.create_task(batcher.submit([0]))
        await until(lambda: worker.first == [[0]])
        held.cancel()
        rest = await queued(batcher, [13], [1])
        worker.gates[0].set()
        return await asyncio.gather(*rest, return_exceptions=True)

    with twice(worker) as batcher:
        thirteen, one = play(scene())
    assert (str(thirteen), str(one)) == ("thirteen", "thirteen")
    assert worker.second == [[13, 1]]


@pytest.mark.parametrize("portion", [1, 4])
@pytest.mark.parametrize("closes", [False, True])
def test_new_items_are_taken_where_all_who_were_kept_for_later_have_left(portion: int, closes: bool) -> None:
    worker = Twice(0)

    async def scene() -> list[int]:
        held = asyncio.create_task(batcher.submit(list(range(portion))))
        await until(lambda: len(worker.first) == 1)
        (last,) = await queued(batcher, [20])
        held.cancel()
        await asyncio.gather(held, return_exceptions=True)
        closing = asyncio.create_task(asyncio.to_thread(batcher.close)) if closes else None
        worker.gates[0].set()
        found = await last
        if closing is not None:
            await closing
        return found

    with twice(worker, portion=portion) as batcher:
        assert play(scene()) == [40]
    assert worker.second == [[20]]


@pytest.mark.parametrize("threads", [1, 2])
def test_an_item_for_later_is_not_passed_over_for_ever(threads: int) -> None:
    """New ones that end in their first run come without end."""

    def run(items: list[int]) -> Sequence[int | Exception | Later]:
        passed.append(len(items))
        time.sleep(0.001)
        first = 0 in items and not asked_twice
        asked_twice.extend(items if first else [])
        return [LATER if first and item == 0 else item for item in items]

    async def scene() -> int:
        async def crowd() -> None:
            while True:
                await batcher.submit([1])

        others = [asyncio.create_task(crowd()) for _ in range(20)]
        await until(lambda: len(passed) > 5)
        begun = sum(passed)
        await batcher.submit([0])
        for one in others:
            one.cancel()
        return sum(passed) - begun

    asked_twice: list[int] = []
    passed: list[int] = []
    batcher = Batching("test", run, max_batch=8, max_waiting=100, threads=threads, portion=4)
    try:
        assert play(scene()) < 100
    finally:
        batcher.close()


def test_what_is_kept_for_later_is_finished_before_the_end() -> None:
    worker = Twice(0, 1)

    async def scene() -> list[list[int]]:
        asked = [asyncio.create_task(batcher.submit([item])) for item in (0, 1)]
        await until(lambda: len(worker.first) == 2)
        closing = asyncio.create_task(asyncio.to_thread(batcher.close))
        await asyncio.sleep(0.02)
        for gate in worker.gates.values():
            gate.set()
        await closing
        return await asyncio.gather(*asked)

    with twice(worker, threads=2) as batcher:
        assert play(scene()) == [[0], [2]]


@pytest.mark.parametrize(("threads", "items", "sizes"), [(2, 3, [1, 2]), (2, 5, [2, 3]), (4, 10, [2, 2, 3, 3])])
def test_idle_threads_take_all_of_a_burst(threads: int, items: int, sizes: list[int]) -> None:
    """None of them leaves what is left over until another is done."""
    batches: list[int] = []
    all_at_once = threading.Barrier(threads)

    def run(items: list[int]) -> Sequence[int | Exception]:
        batches.append(len(items))
        all_at_once.wait(PATIENCE_S)
        return items

    batcher = Batching("test", run, max_batch=8, max_waiting=100, threads=threads)
    try:

        async def scene() -> list[int]:
            await until(lambda: batcher.idle == threads)
            return await batcher.submit(list(range(items)))

        assert play(scene()) == list(range(items))
    finally:
        batcher.close()
    assert sorted(batches) == sizes


def test_everybody_is_answered_however_portions_fall() -> None:
    """Many threads, in which items come and go on in no order."""

    def run(items: list[int]) -> Sequence[int | Exception | Later]:
        with lock:
            again = [item in begun for item in items]
            begun.symmetric_difference_update(items)
        return [item if known else LATER for item, known in zip(items, again, strict=True)]

    async def scene(first: int) -> list[list[int]]:
        starts = range(first, first + 90, 9)
        return await asyncio.gather(*(batcher.submit(list(range(start, start + 9))) for start in starts))

    lock, begun = threading.Lock(), set[int]()
    batcher = Batching("test", run, max_batch=4, max_waiting=100, threads=3, portion=3)
    try:
        for first in range(0, 10_000, 100):
            assert list(chain(*play(scene(first)))) == list(range(first, first + 90))
    finally:
        batcher.close()
