"""Who shares what with whom where a batcher has several threads."""

import asyncio
import threading
from collections.abc import Sequence

import pytest

from service.embedding.batcher import Lane
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


@pytest.mark.parametrize(("even", "next_batch"), [(False, [5]), (True, [5, 6, 7])])
def test_an_even_batcher_waits_for_as_many_as_the_busy_thread_has(even: bool, next_batch: list[int]) -> None:
    """One thread has three in hand, the other is idle, and three more come one by one."""
    batches: list[list[int]] = []
    gates = {first: threading.Event() for first in (0, 1, 2, 5)}

    def run(items: list[int]) -> Sequence[int | Exception]:
        batches.append(list(items))
        gates.get(items[0], gates[5]).wait(PATIENCE_S)
        return items

    async def scene() -> None:
        asked = [asyncio.create_task(batcher.submit([item])) for item in (0, 1)]
        await until(lambda: len(batches) == 2)
        asked += await queued(batcher, ([2, 3, 4], Lane.QUERY))
        gates[0].set()
        await until(lambda: len(batches) == 3)
        gates[1].set()
        await until(lambda: batcher.idle == 1)
        for number, item in enumerate((5, 6, 7), start=1):
            asked.append(asyncio.create_task(batcher.submit([item])))
            await until(lambda number=number: batcher.waiting == number or len(batches) > 3)
        await until(lambda: len(batches) > 3)
        for gate in gates.values():
            gate.set()
        await asyncio.gather(*asked)

    batcher = Batching("test", run, max_batch=8, max_waiting=100, threads=2, even=even)
    try:
        play(scene())
    finally:
        for gate in gates.values():
            gate.set()
        batcher.close()
    assert batches[2:4] == [[2, 3, 4], next_batch]


@pytest.mark.parametrize(("threads", "items", "sizes"), [(2, 3, [1, 2]), (2, 5, [2, 3]), (4, 10, [2, 2, 3, 3])])
def test_idle_threads_of_an_even_batcher_take_all_of_a_burst(threads: int, items: int, sizes: list[int]) -> None:
    """None of them leaves what is left over until another is done."""
    batches: list[int] = []
    all_at_once = threading.Barrier(threads)

    def run(items: list[int]) -> Sequence[int | Exception]:
        batches.append(len(items))
        all_at_once.wait(PATIENCE_S)
        return items

    batcher = Batching("test", run, max_batch=8, max_waiting=100, threads=threads, even=True)
    try:

        async def scene() -> list[int]:
            await until(lambda: batcher.idle == threads)
            return await batcher.submit(list(range(items)))

        assert play(scene()) == list(range(items))
    finally:
        batcher.close()
    assert sorted(batches) == sizes


def test_an_even_batcher_leaves_nobody_when_the_busy_thread_is_done() -> None:
    """Fewer wait than it had, nobody else comes, and all are answered."""

    async def scene() -> list[list[int]]:
        return await asyncio.gather(*(batcher.submit(list(range(size))) for size in (7, 1, 5, 2, 1)))

    batcher = Batching("test", lambda items: items, max_batch=4, max_waiting=100, threads=3, even=True)
    try:
        for _ in range(200):
            assert play(scene()) == [list(range(size)) for size in (7, 1, 5, 2, 1)]
    finally:
        batcher.close()
