"""A card that is none: what FAISS's GPU build offers of flat indexes, with its restrictions enforced instead of
ignored, on top of an index in host memory."""

import threading
from typing import Any

import faiss
import numpy as np

CLASSIC_LIMIT = 2048


class StandIn:
    """In place of the module `faiss`. `room_bytes` is the card's memory."""

    def __init__(self, *, cuvs: bool = False, cards: int = 1, room_bytes: int = 1 << 30) -> None:
        self.cuvs = cuvs
        self.cards = cards
        self.room_bytes = room_bytes
        self.used_bytes = 0
        self.owner: int | None = None
        self.searches = 0
        self.freed_by: set[int] = set()
        self.added: list[int] = []
        self.fails = False  # each search

    def get_compile_options(self) -> str:
        return "OPTIMIZE GPU NVIDIA_CUVS " if self.cuvs else "OPTIMIZE GPU "

    def get_num_gpus(self) -> int:
        return self.cards

    def StandardGpuResources(self) -> "_Resources":  # noqa: N802 – as FAISS names it
        return _Resources(self)

    def GpuIndexFlatConfig(self) -> "_Config":  # noqa: N802
        return _Config()

    def GpuIndexFlatIP(self, resources: "_Resources", dim: int, config: "_Config") -> "_Flat":  # noqa: N802
        return _Flat(self, resources, dim, config)

    def enter(self) -> None:
        """Every use must come from the thread that came first."""
        self.owner = self.owner or threading.get_ident()
        assert self.owner == threading.get_ident(), "a GPU index is not safe to use from two threads"


class _Resources:
    def __init__(self, card: StandIn) -> None:
        self.card = card
        self.temporary_bytes = 1536 << 20
        card.enter()

    def setTempMemory(self, size: int) -> None:  # noqa: N802
        self.card.enter()
        self.temporary_bytes = size


class _Config:
    device = 0
    useFloat16 = False  # noqa: N815
    use_cuvs = False


class _Flat:
    def __init__(self, card: StandIn, resources: _Resources, dim: int, config: _Config) -> None:
        card.enter()
        assert config.useFloat16, "float32 takes twice the memory"
        assert config.use_cuvs == card.cuvs
        assert resources.temporary_bytes < 1 << 30, "1.5 GB of the card are for nothing"
        self.card = card
        self.rows = np.empty((0, dim), np.float16)
        self.size = 0
        self.limit = 16_384 if card.cuvs else CLASSIC_LIMIT

    def add(self, rows: Any) -> None:
        """Old rows and new ones lie on the card side by side until the old are freed."""
        self.card.enter()
        assert rows.dtype == np.float32
        assert np.isfinite(rows).all(), "what was removed must not be copied"
        size = self.size + rows.size * 2
        if self.card.used_bytes + size > self.card.room_bytes:
            raise RuntimeError("Error in void* allocMemory: Error: 'err == cudaSuccess' failed: out of memory")
        self.card.used_bytes += rows.size * 2
        self.card.added.append(len(rows))
        self.rows, self.size = np.concatenate([self.rows, rows.astype(np.float16)]), size

    def search(self, queries: Any, k: int, **more: Any) -> tuple[Any, Any]:
        self.card.enter()
        assert not more, "a selector is ignored by classic GPU indexes"
        assert 0 < k <= self.limit, f"a card selects at most {self.limit}, not {k}"
        if self.card.fails:
            raise RuntimeError("Error in search: no temporary memory")
        self.card.searches += 1
        halves = queries.astype(np.float16).astype(np.float32)
        return faiss.knn(halves, self.rows.astype(np.float32), k, faiss.METRIC_INNER_PRODUCT)

    def __del__(self) -> None:
        self.card.freed_by.add(threading.get_ident())
        self.card.used_bytes -= self.size
