"""A worker whose batches are noted and can be held, and batchers to give it to."""

import asyncio
import threading
from collections.abc import Callable, Coroutine, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from service.embedding.batcher import Batcher

PATIENCE_S = 10.0


class Worker:
    """Doubles numbers. Batches are noted; while it is held, the one it is at does not end."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.started = threading.Event()
        self._free = threading.Event()
        self._free.set()

    def run(self, items: list[int]) -> Sequence[int | Exception]:
        self.batches.append(list(items))
        self.started.set()
        assert self._free.wait(PATIENCE_S)
        return [2 * item for item in items]

    def hold(self) -> None:
        self.started.clear()
        self._free.clear()

    def release(self) -> None:
        self._free.set()


Batching = Batcher[int, int]


@contextmanager
def batching(
    run: Callable[[list[int]], Sequence[int | Exception]], *, max_batch: int = 8, max_waiting: int = 100,
    observe: Callable[[int], None] = lambda size: None,
) -> Iterator[Batching]:  # fmt: skip
    batcher = Batching("test", run, max_batch=max_batch, max_waiting=max_waiting, observe=observe)
    try:
        yield batcher
    finally:
        batcher.close()


def play(scene: Coroutine[Any, Any, Any]) -> Any:
    """Run a scene; a caller who is never answered fails it."""
    return asyncio.run(asyncio.wait_for(scene, PATIENCE_S))


async def until(condition: Callable[[], bool]) -> None:
    while not condition():  # noqa: ASYNC110 - another thread makes it true
        await asyncio.sleep(0.001)


async def busy(batcher: Batching, worker: Worker) -> asyncio.Task[list[int]]:
    """Keep the worker busy with an item of its own, so that what comes next gathers."""
    worker.hold()
    task = asyncio.create_task(batcher.submit([0]))
    await until(worker.started.is_set)
    return task


async def queued(batcher: Batching, *requests: list[int]) -> list[asyncio.Task[list[int]]]:
    """Submit requests in this order."""
    tasks = []
    for items in requests:
        expected = batcher.waiting + len(items)
        tasks.append(asyncio.create_task(batcher.submit(items)))
        await until(lambda expected=expected: batcher.waiting == expected)
    return tasks
