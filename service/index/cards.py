"""A graphics card, and flat float16 indexes on it. What FAISS's GPU indexes cannot do is never asked of them: they are
not safe to use from two threads, so one thread of ours owns the card; they hold no more than 2,048 candidates (16,384
with cuVS); they ignore selectors, cannot remove, and copy themselves with each addition."""

import itertools
import weakref
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import faiss
import numpy as np

from service.domain import VectorArray
from service.errors import IndexRefused
from service.index.accelerators import Source
from service.index.blocks import GONE
from service.index.scan import Found

CLASSIC_LIMIT = 2048
CUVS_LIMIT = 16_384
TEMPORARY_BYTES = 256 << 20  # FAISS takes 1.5 GB unless told
LARGEST_SCAN = 1024  # queries of one search, so that scores of all fit into temporary memory

Value = TypeVar("Value")


class Card:
    """The first card that FAISS sees, and the thread that owns it."""

    def __init__(self, library: Any = faiss) -> None:
        """Raises IndexRefused where this build of FAISS, or this machine, has no card."""
        options = library.get_compile_options().split()
        if "GPU" not in options:
            raise IndexRefused(
                "REAPPEAR_INDEX=gpu needs a GPU build of FAISS, and this one has none "
                f"({' '.join(options)}); install the extra gpu or gpu-cuda12 in place of cpu"
            )
        if not library.get_num_gpus():
            raise IndexRefused("REAPPEAR_INDEX=gpu: FAISS sees no card; is the driver there, and the card visible?")
        self.cuvs = "NVIDIA_CUVS" in options
        self.limit = CUVS_LIMIT if self.cuvs else CLASSIC_LIMIT
        self._library = library
        self._indexes: dict[int, Any] = {}
        self._dropped: deque[int] = deque()
        self._keys = itertools.count()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="card")
        self._resources = self.call(self._make_resources)

    def call(self, act: Callable[..., Value], *arguments: Any) -> Value:
        """Do something in the thread that owns the card, and wait for it."""
        return self._thread.submit(self._act, act, *arguments).result()

    def sweep(self) -> None:
        """Free the room of indexes that nobody holds any more. Each use of the card does so too."""
        self.call(lambda: None)

    def build(self, source: Source) -> "CardAccelerator":
        """Copy rows to the card, all at once. Raises IndexRefused where they do not fit."""
        host = faiss.IndexFlatIP(source.dim)
        host.codes.resize(source.count * source.dim * 4)
        rows = faiss.rev_swig_ptr(host.get_xb(), source.count * source.dim).reshape(source.count, source.dim)
        start = 0
        for part in source.parts():
            rows[start : start + len(part)] = part
            start += len(part)
        host.ntotal = source.count
        key = next(self._keys)
        try:
            self.call(self._copy, key, host)
        except (RuntimeError, MemoryError) as error:
            raise IndexRefused(
                f"the card has no room for {source.count} × {source.dim} float16 "
                f"({source.count * source.dim * 2 / 1e9:.1f} GB): {str(error).strip().splitlines()[-1][:200]}"
            ) from error
        accelerator = CardAccelerator(self, key, source)
        weakref.finalize(accelerator, self._dropped.append, key)  # in any thread, at any moment: it must not wait
        return accelerator

    def search(self, key: int, queries: VectorArray, wanted: int) -> Found:
        """In the owning thread: what an index on the card finds."""
        found = [
            self._indexes[key].search(queries[start : start + LARGEST_SCAN], wanted)
            for start in range(0, len(queries), LARGEST_SCAN)
        ]
        scores, rows = (np.concatenate(parts) for parts in zip(*found, strict=True))
        return np.where(rows < 0, -np.inf, scores), np.where(rows < 0, GONE, rows)

    def _act(self, act: Callable[..., Value], *arguments: Any) -> Value:
        while self._dropped:
            del self._indexes[self._dropped.popleft()]
        return act(*arguments)

    def _make_resources(self) -> Any:
        resources = self._library.StandardGpuResources()
        resources.setTempMemory(TEMPORARY_BYTES)
        return resources

    def _copy(self, key: int, host: Any) -> None:
        config = self._library.GpuIndexFlatConfig()
        config.device, config.useFloat16 = 0, True
        if hasattr(config, "use_cuvs"):
            config.use_cuvs = self.cuvs
        self._indexes[key] = self._library.GpuIndexFlatIP(self._resources, host, config)


class CardAccelerator:
    """Rows on a card as float16. When nobody holds it any more, the owning thread frees them with its next use."""

    def __init__(self, card: Card, key: int, source: Source) -> None:
        self._card = card
        self._key = key
        self.limit = min(card.limit, source.count)
        self.bytes = 0  # of host memory

    def search(self, queries: VectorArray, wanted: int) -> Found:
        """See Accelerator. Waits its turn at the card."""
        return self._card.call(self._card.search, self._key, queries, wanted)
