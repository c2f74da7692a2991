"""Which kind of index suits a gallery: each is built from the gallery's own vectors, and measured against comparing
every vector."""

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from service.domain import CropIds, VectorArray
from service.errors import IndexRefused
from service.index.kinds import EXACT, EXACT_HALVES, Kind, kind_of
from service.index.segmented import BLOCK_ROWS, SegmentedIndex

K = 10
BATCH = 32
ROUNDS = 15
LEAST_RECALL = 0.99
GRAPH_ROWS = 500_000  # beyond it building a graph on CPU takes hours


@dataclass(frozen=True, slots=True)
class Measured:
    """One kind: recall@10 against exact, medians for one query and for 32 together, memory, and time to build.
    `refused` says why there is no figure."""

    kind: str
    recall: float = 0
    single_ms: float = 0
    batch_ms: float = 0
    bytes: int = 0
    build_s: float = 0
    refused: str = ""


@dataclass(frozen=True, slots=True)
class Advice:
    """All that was measured, the kind to use, and why."""

    vectors: int
    dim: int
    queries: int
    measured: tuple[Measured, ...]
    kind: str
    reason: str


def kinds_for(rows: int) -> list[str]:
    """The kinds that are worth a try for so many rows. Approximate ones only where blocks would be sealed at all."""
    kinds = [EXACT.name, EXACT_HALVES.name, "gpu"]
    if rows < BLOCK_ROWS:
        return kinds
    lists = 2 ** round(math.log2(4 * math.sqrt(min(rows, 16 * BLOCK_ROWS))))
    while lists * 39 > min(rows, BLOCK_ROWS):  # as many as one block can train
        lists //= 2
    kinds += [f"IVF{lists},SQ8;nprobe={lists // share}" for share in (32, 8, 2)]
    return [*kinds, "HNSW32,SQ8;efSearch=128"] if rows <= GRAPH_ROWS else kinds


def advise(
    vectors: VectorArray, queries: VectorArray, kinds: Sequence[str], *, budget_ms: float, threads: int,
    block_rows: int = BLOCK_ROWS, note: Callable[[str], object] = lambda kind: None,
) -> Advice:  # fmt: skip
    """Measure kinds on (n, dim) vectors and (m, dim) queries of unit length. `note` is told each kind before it is
    built. The first kind must be exact: the others are held to it."""
    exact: CropIds | None = None
    measured = []
    for name in kinds:
        note(name)
        try:
            kind = kind_of(name, vectors.shape[1])
        except IndexRefused as error:
            measured.append(Measured(name, refused=error.detail))
            continue
        one, found = _measure(kind, vectors, queries, threads, block_rows)
        exact = found if exact is None else exact
        measured.append(one if one.refused else _with_recall(one, found, exact))
    kind_name, reason = recommend(measured, budget_ms)
    return Advice(len(vectors), vectors.shape[1], len(queries), tuple(measured), kind_name, reason)


def recommend(measured: Sequence[Measured], budget_ms: float) -> tuple[str, str]:
    """Exact as long as it answers within the budget; else the fastest that finds 99 of 100; else the most exact."""
    known = [one for one in measured if not one.refused]
    exact = known[0]
    if exact.single_ms <= budget_ms:
        return exact.kind, f"it answers in {exact.single_ms:.1f} ms, within {budget_ms:g} ms, and misses nothing"
    good = [one for one in known if one.recall >= LEAST_RECALL]
    best = min(good, key=lambda one: one.single_ms)
    if best.single_ms > budget_ms:
        return best.kind, f"nothing that finds 99 of 100 answers within {budget_ms:g} ms; this is the fastest of those"
    return best.kind, f"exact takes {exact.single_ms:.1f} ms; this is the fastest that finds 99 of 100"


def _measure(
    kind: Kind, vectors: VectorArray, queries: VectorArray, threads: int, block_rows: int
) -> tuple[Measured, CropIds]:
    index = SegmentedIndex(vectors.shape[1], kind, threads=threads, block_rows=block_rows)
    began = time.perf_counter()
    index.add(np.arange(len(vectors)), vectors)
    build_s = time.perf_counter() - began
    if kind.build is not None and (index.failure or not index.accelerated):
        needed = block_rows * max(1, -(-kind.least // block_rows))
        few = f"it is built from {needed:,} vectors on, and fewer are compared one by one, as by exact"
        return Measured(kind.name, refused=index.failure or few), np.empty((0, K), np.int64)
    _, found = index.search(queries, K)
    singles = [queries[number : number + 1] for number in range(min(ROUNDS, len(queries)))]
    batch = np.resize(queries, (BATCH, queries.shape[1]))
    single_ms, batch_ms = _median_ms(index, singles), _median_ms(index, [batch] * ROUNDS)
    return Measured(kind.name, 1, single_ms, batch_ms, index.bytes, build_s), found


def _median_ms(index: SegmentedIndex, searches: Sequence[VectorArray]) -> float:
    taken = []
    for queries in searches:
        began = time.perf_counter()
        index.search(queries, K)
        taken.append(time.perf_counter() - began)
    return float(np.median(taken)) * 1000


def _with_recall(one: Measured, found: CropIds, exact: CropIds) -> Measured:
    shared = [
        len(set(mine.tolist()) & set(right.tolist()) - {-1}) / max(1, int((right >= 0).sum()))
        for mine, right in zip(found, exact, strict=True)
    ]
    return Measured(one.kind, float(np.mean(shared)), one.single_ms, one.batch_ms, one.bytes, one.build_s)
