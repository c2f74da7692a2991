"""A graphics card, and flat float16 indexes on it. What FAISS's GPU indexes cannot do is never asked of them: they are
not safe to use from two threads, so one thread of ours owns the card; they hold no more than 2,048 candidates (16,384
with cuVS); they ignore selectors, and cannot remove."""

import itertools
import logging
import time
import weakref
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import faiss
import numpy as np

from service.domain import VectorArray
from service.errors import IndexRefused
from service.index.accelerators import Source, last_line
from service.index.blocks import GONE
from service.index.scan import Found

log = logging.getLogger(__name__)

CLASSIC_LIMIT = 2048
CUVS_LIMIT = 16_384
TEMPORARY_BYTES = 256 << 20  # FAISS takes 1.5 GB unless told
LARGEST_SCAN = 1024  # queries of one search, so that scores of all fit into temporary memory
ADDED_AT_ONCE = 65_536  # rows that are copied while searches wait: 128 MB at 512 dimensions
TRIED, TRIED_DIM = 1024, 64
TELL_EVERY_S = 60

Value = TypeVar("Value")


def find_card(library: Any = faiss) -> list[str]:
    """What FAISS was built with. Uses nothing of the card. Raises IndexRefused where this build, or this machine, has
    none."""
    options: list[str] = library.get_compile_options().split()
    if "GPU" not in options:
        raise IndexRefused(
            "REAPPEAR_INDEX=gpu needs a GPU build of FAISS, and this one has none "
            f"({' '.join(options)}); install the extra gpu or gpu-cuda12 in place of cpu"
        )
    if not library.get_num_gpus():
        raise IndexRefused("REAPPEAR_INDEX=gpu: FAISS sees no card; is the driver there, and the card visible?")
    return options


class Card:
    """The first card that FAISS sees, and the thread that owns it."""

    def __init__(self, library: Any = faiss) -> None:
        """Raises IndexRefused where this build of FAISS, or this machine, has no card, or none that works."""
        options = find_card(library)
        self.cuvs = "NVIDIA_CUVS" in options
        self.limit = CUVS_LIMIT if self.cuvs else CLASSIC_LIMIT
        self._library = library
        self._indexes: dict[int, Any] = {}
        self._dropped: deque[int] = deque()
        self._keys = itertools.count()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="card")
        self._told_at = float("-inf")
        try:
            self._resources = self.call(self._make_resources)
            self._try()
        except (RuntimeError, MemoryError) as error:
            raise IndexRefused(
                f"REAPPEAR_INDEX=gpu: the card cannot be used: {last_line(error)[:200]}; see what else runs on it, and "
                "that the driver fits this build's CUDA"
            ) from error

    def call(self, act: Callable[..., Value], *arguments: Any) -> Value:
        """Do something in the thread that owns the card, and wait for it."""
        return self._thread.submit(self._act, act, *arguments).result()

    def sweep(self) -> None:
        """Free the room of indexes that nobody holds any more. Each use of the card does so too."""
        self.call(lambda: None)

    def build(self, source: Source) -> "CardAccelerator":
        """Copy rows to the card, some at a time, so that searches come in between. Raises IndexRefused where they do
        not fit."""
        key = next(self._keys)
        try:
            self.call(self._begin, key, source.dim)
            for rows in gathered(source.parts(), source.dim):
                self.call(self._add, key, rows)
        except (RuntimeError, MemoryError) as error:
            self._dropped.append(key)
            raise IndexRefused(
                f"the card has no room for {source.count} × {source.dim} float16 "
                f"({source.count * source.dim * 2 / 1e9:.1f} GB): {last_line(error)[:200]}"
            ) from error
        except BaseException:
            self._dropped.append(key)
            raise
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
            self._indexes.pop(self._dropped.popleft(), None)
        return act(*arguments)

    def _make_resources(self) -> Any:
        resources = self._library.StandardGpuResources()
        resources.setTempMemory(TEMPORARY_BYTES)
        return resources

    def _begin(self, key: int, dim: int) -> None:
        config = self._library.GpuIndexFlatConfig()
        config.device, config.useFloat16 = 0, True
        if hasattr(config, "use_cuvs"):
            config.use_cuvs = self.cuvs
        self._indexes[key] = self._library.GpuIndexFlatIP(self._resources, dim, config)

    def _add(self, key: int, rows: VectorArray) -> None:
        """The card needs room for both the rows before and those after it, for a moment."""
        self._indexes[key].add(rows)

    def _try(self) -> None:
        """A small index, so that a card that cannot be used is met here and not beside searches."""
        rows = np.zeros((TRIED, TRIED_DIM), np.float32)
        rows[7, 7] = 1
        try:
            tried = self.build(Source(TRIED, TRIED_DIM, lambda: iter([rows])))
        except IndexRefused as error:
            raise RuntimeError(error.detail) from error
        _, found = self.call(self.search, tried._key, rows[7:8], 1)
        if found.tolist() != [[7]]:
            raise RuntimeError(f"it finds row {found.tolist()} instead of 7")

    def tell(self, error: Exception) -> None:
        """Log what a search met, now and then."""
        if time.monotonic() - self._told_at >= TELL_EVERY_S:
            self._told_at = time.monotonic()
            log.error("a search on the card failed, and is answered from memory: %s", last_line(error)[:200])


def gathered(parts: Iterable[VectorArray], dim: int) -> Iterator[VectorArray]:
    """(n, dim) parts as fewer and larger ones, all in the same memory."""
    held, count = np.empty((ADDED_AT_ONCE, dim), np.float32), 0
    for part in parts:
        for start in range(0, len(part), ADDED_AT_ONCE):
            piece = part[start : start + ADDED_AT_ONCE]
            if count + len(piece) > ADDED_AT_ONCE:
                yield held[:count]
                count = 0
            held[count : count + len(piece)] = piece
            count += len(piece)
    yield held[:count]


class CardAccelerator:
    """Rows on a card as float16. When nobody holds it any more, the owning thread frees them with its next use."""

    def __init__(self, card: Card, key: int, source: Source) -> None:
        self._card = card
        self._key = key
        self.limit = min(card.limit, source.count)
        self.bytes = 0  # of host memory

    def search(self, queries: VectorArray, wanted: int) -> Found:
        """See Accelerator. Waits its turn at the card; where that fails it gives none, and rows are compared."""
        try:
            return self._card.call(self._card.search, self._key, queries, wanted)
        except (RuntimeError, MemoryError) as error:
            self._card.tell(error)
            nothing = len(queries), wanted
            return np.full(nothing, -np.inf, np.float32), np.full(nothing, GONE, np.int64)
