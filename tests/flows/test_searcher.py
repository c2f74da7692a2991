"""Whose search waits for whose."""

import asyncio
import threading

import numpy as np

from service.domain import CropIds, VectorArray
from service.flows.searcher import Searcher

PATIENCE_S = 10.0
QUERY = np.array([1, 0], np.float32)


class SlowPass:
    """An index whose pass over all crops ends when it is let go; among a few crops it finds the first at once."""

    dim = 2

    def __init__(self) -> None:
        self.started, self.release = threading.Event(), threading.Event()

    def __len__(self) -> int:
        raise NotImplementedError

    def add(self, ids: CropIds, vectors: VectorArray) -> None:
        raise NotImplementedError

    def remove(self, ids: CropIds) -> int:
        raise NotImplementedError

    def search(self, queries: VectorArray, k: int, allow: CropIds | None = None) -> tuple[VectorArray, CropIds]:
        if allow is None:
            self.started.set()
            assert self.release.wait(PATIENCE_S)
        return np.ones((len(queries), k), np.float32), np.full((len(queries), k), 1 if allow is None else allow[0])


def test_a_search_among_a_few_crops_does_not_wait_for_a_pass_over_all() -> None:
    index = SlowPass()
    searcher = Searcher(max_batch=4, max_waiting=4)

    async def scene() -> None:
        whole = asyncio.create_task(searcher.search(index, QUERY, 1))
        await asyncio.to_thread(index.started.wait, PATIENCE_S)
        _, few = await searcher.search(index, QUERY, 1, np.array([7]))
        assert few.tolist() == [7]
        assert not whole.done()
        index.release.set()
        _, found = await whole
        assert found.tolist() == [1]

    try:
        asyncio.run(asyncio.wait_for(scene(), PATIENCE_S))
    finally:
        index.release.set()
        searcher.close()
