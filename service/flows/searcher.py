"""Searches of many callers, batched: those without an allow-list share one pass over the vectors."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from service.domain import CropIds, VectorArray, VectorIndex
from service.embedding.batcher import Batcher, Coming, Lane


@dataclass(frozen=True, slots=True)
class Search:
    """One (dim,) query, its k, and the crops it may find (all where None)."""

    index: VectorIndex
    vector: VectorArray
    k: int
    allow: CropIds | None


Found = tuple[VectorArray, CropIds]  # similarities and crop ids, (k,) each, best first


class Searcher:
    """Gives each caller its own row of a shared search."""

    def __init__(self, *, max_batch: int, max_waiting: int, observe: Callable[[int], None] = lambda size: None) -> None:
        self.coming = Coming()  # who will search for one vector of all crops; a pass costs nearly the same for many
        self.batcher: Batcher[Search, Found] = Batcher(
            "search", _run, max_batch=max_batch, max_waiting=max_waiting, observe=observe, coming=self.coming
        )
        self.among: Batcher[Search, Found] = Batcher(  # so that a few crops need not wait for a pass over all
            "search-among", _run, max_batch=max_batch, max_waiting=max_waiting, observe=observe
        )

    def close(self) -> None:
        """Refuse new searches, finish what was accepted."""
        self.batcher.close()
        self.among.close()

    async def search(self, index: VectorIndex, vector: VectorArray, k: int, allow: CropIds | None = None) -> Found:
        """The k best crops, short rows ending in -inf and -1. Raises Overloaded or Stopping."""
        batcher = self.batcher if allow is None else self.among
        (found,) = await batcher.submit([Search(index, vector, k, allow)])
        return found

    async def search_each(
        self, index: VectorIndex, vectors: VectorArray, k: int, allow: CropIds | None = None
    ) -> list[Found]:
        """`search` for each of (n, dim) vectors, all taken or none, behind those who search for one."""
        return await self.batcher.submit([Search(index, vector, k, allow) for vector in vectors], Lane.BULK)


def _run(searches: list[Search]) -> list[Found | Exception]:
    """Searches of one index for the same k and allow-list share a pass; another's large k costs nobody anything."""
    shared: dict[tuple[int, int, int], list[int]] = {}
    for place, search in enumerate(searches):
        shared.setdefault((id(search.index), search.k, id(search.allow)), []).append(place)
    found: dict[int, Found | Exception] = {}
    for places in shared.values():
        found.update(zip(places, _run_shared([searches[place] for place in places]), strict=True))
    return [found[place] for place in range(len(searches))]


def _run_shared(searches: list[Search]) -> Sequence[Found | Exception]:
    first = searches[0]
    try:
        rows, ids = first.index.search(np.stack([search.vector for search in searches]), first.k, first.allow)
    except Exception as error:  # the other groups of this batch must still get their answers
        return [error] * len(searches)
    return list(zip(rows, ids, strict=True))
