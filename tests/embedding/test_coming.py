"""A batch waits for those who are about to come, and for nobody for ever."""

import asyncio
import time
from collections.abc import Sequence

import pytest

from service.embedding.batcher import Batcher, Coming

PATIENCE_S = 10.0
SLOW_S = 1.0  # far longer than the others take to come


class Worker:
    """Doubles numbers; batches are noted. The first one takes its time."""

    def __init__(self, first_s: float) -> None:
        self.batches: list[list[int]] = []
        self._first_s = first_s

    def run(self, items: list[int]) -> Sequence[int | Exception]:
        self.batches.append(list(items))
        if len(self.batches) == 1:
            time.sleep(self._first_s)
        return [2 * item for item in items]


def test_a_batch_waits_for_those_who_are_known_to_come_and_is_full_with_them() -> None:
    worker, coming = Worker(SLOW_S), Coming()
    batcher = Batcher[int, int]("test", worker.run, max_batch=3, max_waiting=100, coming=coming)

    async def scene() -> None:
        await batcher.submit([0])
        with coming, coming:
            early = asyncio.create_task(batcher.submit([1]))
            await asyncio.sleep(0.05)
            late = asyncio.create_task(batcher.submit([2]))
            await asyncio.sleep(0.05)
            assert not early.done()
            assert not late.done()
            last = asyncio.create_task(batcher.submit([3]))
            assert [await early, await late, await last] == [[2], [4], [6]]
        assert await batcher.submit([4]) == [8]

    try:
        asyncio.run(asyncio.wait_for(scene(), PATIENCE_S))
    finally:
        batcher.close()
    assert worker.batches == [[0], [1, 2, 3], [4]]


def test_a_batch_does_not_wait_longer_than_the_one_before_took() -> None:
    worker, coming = Worker(0.0), Coming()
    batcher = Batcher[int, int]("test", worker.run, max_batch=3, max_waiting=100, coming=coming)

    async def scene() -> None:
        with coming:  # somebody who never comes
            for number in range(5):
                assert await batcher.submit([number]) == [2 * number]

    try:
        asyncio.run(asyncio.wait_for(scene(), PATIENCE_S))
    finally:
        batcher.close()


def test_who_gave_up_is_not_waited_for() -> None:
    coming = Coming()
    assert not coming
    with pytest.raises(ZeroDivisionError), coming:
        _ = 1 / (not coming)
    assert not coming
