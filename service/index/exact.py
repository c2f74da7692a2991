"""Exact nearest neighbours by inner product, on FAISS's brute-force kernels. Vectors live in blocks that are allocated
once, so that adding never copies what is there, and searches run beside one writer without a lock held.

A removed row is overwritten with NaN: no comparison ever selects it, and its vector leaves memory at once. Candidates
are scored again in float64, so that a similarity does not depend on the batch or block it was computed in, and equal
vectors tie exactly.
"""

import itertools
import os
import threading
from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from service.domain import CropIds, Piece, VectorArray

# read once, when FAISS brings OpenMP in: threads that spin while they wait for each other turn a search of 0.1 ms into
# one of 8 ms as soon as the network wants the same cores
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
import faiss

FAISS_VERSION: str = faiss.__version__
FAISS_BUILD = f"{FAISS_VERSION}, {faiss.get_compile_options().strip()}"

KIND = "exact float32"  # whose pieces it takes
BLOCK_ROWS = 65_536
SPARE = 16  # candidates beyond k, so that ties at the edge are usually settled in one round
MARGIN = 1e-5  # bound on float32 rounding of an inner product of unit vectors (512-d: about 2e-6 seen)
GONE = -1


def tune_faiss() -> None:
    """Set FAISS's process-wide knobs, once, before the first search.

    Small batches otherwise re-read the whole matrix for each query, and blocks of 1,024 rows starve the BLAS
    (26-42 against 110-130 GFLOP/s on two cores, 500k × 512).
    """
    faiss.cvar.distance_compute_blas_threshold = 4
    faiss.cvar.distance_compute_blas_database_bs = 16_384


@dataclass(slots=True)
class _Block:
    """Rows up to `count` are readable; one writer fills the next."""

    vectors: VectorArray  # (rows, dim)
    ids: CropIds  # (rows,), GONE where removed
    count: int = 0
    live: int = 0
    serial: int = field(default_factory=itertools.count().__next__)
    changed: int = 0  # how often
    _order: tuple[int, CropIds, CropIds] | None = field(default=None)

    def find(self, ids: CropIds) -> CropIds:
        """The rows of those of the ids that are in this block."""
        count, order, ordered = self._sorted()
        if count == 0:
            return np.empty(0, np.int64)
        places = np.searchsorted(ordered, ids).clip(max=count - 1)
        rows = order[places[ordered[places] == ids]]
        there: CropIds = rows[self.ids[rows] != GONE]
        return there

    def _sorted(self) -> tuple[int, CropIds, CropIds]:
        """Rows by id. Removals since leave stale places, which `find` drops; only additions sort again."""
        count, cached = self.count, self._order
        if cached is None or cached[0] != count:
            ids = self.ids[:count].copy()
            order = np.argsort(ids, kind="stable")
            cached = self._order = (count, order, ids[order])
        return cached


class ExactIndex:
    """A VectorIndex that compares each query with every vector."""

    def __init__(self, dim: int, *, threads: int = 1, block_rows: int = BLOCK_ROWS) -> None:
        self.dim = dim
        self._threads = threads
        self._block_rows = block_rows
        self._blocks: list[_Block] = []
        self._writing = threading.Lock()

    def __len__(self) -> int:
        """How many vectors there are."""
        return sum(block.live for block in self._blocks)

    @property
    def bytes(self) -> int:
        """Memory that the vectors take, places kept free for more included."""
        return sum(block.vectors.nbytes for block in self._blocks)

    def add(self, ids: CropIds, vectors: VectorArray) -> None:
        """Add (n, dim) float32 vectors under n ids that are not in the index."""
        with self._writing:
            done = 0
            while done < len(ids):
                if not self._blocks or self._blocks[-1].count == self._block_rows:
                    self._blocks = [*self._blocks, self._new_block()]
                block = self._blocks[-1]
                taken = min(len(ids) - done, self._block_rows - block.count)
                rows = slice(block.count, block.count + taken)
                block.vectors[rows] = vectors[done : done + taken]
                block.ids[rows] = ids[done : done + taken]
                block.live += taken
                block.changed += 1
                block.count += taken  # last: from here on searches see the rows
                done += taken

    def remove(self, ids: CropIds) -> int:
        """Remove ids, unknown ones ignored; returns how many were there. Their vectors are overwritten at once."""
        removed, ids = 0, np.unique(ids)  # named twice, an id would be counted as two
        with self._writing:
            blocks = list(self._blocks)
            for place, block in enumerate(blocks):
                rows = block.find(ids)
                block.ids[rows] = GONE
                block.vectors[rows] = np.nan
                block.live -= len(rows)
                block.changed += len(rows)
                removed += len(rows)
                if len(rows) and block.live * 2 < block.count:
                    blocks[place] = self._compacted(block)
            self._blocks = [block for block in blocks if block.live]
        return removed

    def search(self, queries: VectorArray, k: int, allow: CropIds | None = None) -> tuple[VectorArray, CropIds]:
        """The k most similar of all, or of `allow`, for each of (n, dim) queries.

        Returns similarities and ids, both (n, k), best first, ties by lower id; short rows end in -inf and -1.
        """
        faiss.omp_set_num_threads(self._threads)  # FAISS counts its threads for each calling thread apart
        blocks = [(block.vectors, block.ids, block.count) for block in self._blocks]
        if allow is not None:
            blocks = [self._gathered(allow)]
        total = sum(count for _, _, count in blocks)
        similarities = np.full((len(queries), k), -np.inf, np.float32)
        ids = np.full((len(queries), k), GONE, np.int64)
        pending, wanted = np.arange(len(queries)), min(k + SPARE, total)
        while len(pending) and wanted:
            scores, places = _candidates(queries[pending], blocks, wanted)
            for place, query in enumerate(pending):
                best, best_ids = (part[:k] for part in _rescored(queries[query], blocks, places[place]))
                similarities[query], ids[query] = -np.inf, GONE
                similarities[query, : len(best)], ids[query, : len(best)] = best, best_ids
            settled = (similarities[pending, -1] > scores.min(axis=1) + MARGIN) | (wanted >= total)
            pending, wanted = pending[~settled], min(wanted * 4, total)
        return similarities, ids

    def cut(self) -> list[Piece]:
        """Everything in it, as pieces that share its memory. Cheap; by the one writer, between two changes."""
        return [
            Piece(f"{block.serial}-{block.changed}", block.ids[: block.count].copy(), block.vectors[: block.count])
            for block in self._blocks
        ]

    def restore(self, pieces: Iterable[Piece]) -> None:
        """Take the pieces of an index like this one, instead of adding row by row. Into an empty index."""
        with self._writing:
            for piece in pieces:
                block, count = self._new_block(), len(piece.ids)
                block.vectors[:count], block.ids[:count] = piece.vectors, piece.ids
                block.count, block.live = count, int((piece.ids != GONE).sum())
                self._blocks = [*self._blocks, block]

    def _gathered(self, allow: CropIds) -> tuple[VectorArray, CropIds, int]:
        allow = np.unique(allow)
        parts = [(block, block.find(allow)) for block in self._blocks]
        vectors = np.concatenate(
            [block.vectors[rows] for block, rows in parts] or [np.empty((0, self.dim), np.float32)]
        )
        ids = np.concatenate([block.ids[rows] for block, rows in parts] or [np.empty(0, np.int64)])
        return vectors, ids, len(ids)

    def _new_block(self) -> _Block:
        return _Block(np.empty((self._block_rows, self.dim), np.float32), np.empty(self._block_rows, np.int64))

    def _compacted(self, block: _Block) -> _Block:
        rows = np.flatnonzero(block.ids[: block.count] != GONE)
        fresh = self._new_block()
        fresh.vectors[: len(rows)], fresh.ids[: len(rows)] = block.vectors[rows], block.ids[rows]
        fresh.count = fresh.live = len(rows)
        return fresh


Rows = list[tuple[VectorArray, CropIds, int]]  # of each block its vectors, ids and how many of them count


def _candidates(queries: VectorArray, blocks: Rows, wanted: int) -> tuple[VectorArray, NDArray[np.int64]]:
    """Scores and places of the `wanted` best rows of all blocks, (n, wanted) each, in no order. A place is a block's
    number and a row (32 bits each), GONE where there are not so many."""
    scores, places = [], []
    for number, (vectors, _, count) in enumerate(blocks):
        if count == 0:
            continue
        block_scores, rows = faiss.knn(queries, vectors[:count], min(wanted, count), faiss.METRIC_INNER_PRODUCT)
        scores.append(np.where(rows < 0, -np.inf, block_scores))
        places.append(np.where(rows < 0, GONE, rows + (number << 32)))
    score, place = np.concatenate(scores, axis=1), np.concatenate(places, axis=1)
    keep = np.argpartition(-score, wanted - 1, axis=1)[:, :wanted]
    return np.take_along_axis(score, keep, 1), np.take_along_axis(place, keep, 1)


def _rescored(query: VectorArray, blocks: Rows, places: NDArray[np.int64]) -> tuple[VectorArray, CropIds]:
    """One query's similarities in float64 rounded to float32, and ids, best first, ties by lower id; rows that are
    removed by now are left out."""
    similarities, ids = [np.empty(0, np.float32)], [np.empty(0, np.int64)]
    for number in np.unique(places[places != GONE] >> 32):
        vectors, block_ids, _ = blocks[number]
        rows = places[(places != GONE) & (places >> 32 == number)] & 0xFFFF_FFFF
        ids.append(block_ids[rows])
        exact = np.einsum("md,d->m", vectors[rows].astype(np.float64), query.astype(np.float64))
        similarities.append(exact.astype(np.float32))
    similarity, crop = np.concatenate(similarities), np.concatenate(ids)
    there = (crop != GONE) & np.isfinite(similarity)
    similarity, crop = similarity[there], crop[there]
    order = np.lexsort((crop, -similarity))
    return similarity[order], crop[order]
