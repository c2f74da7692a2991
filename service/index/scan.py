"""Exact candidates out of rows in host memory. Few rows are compared as they are. Of many the sketches are compared,
and only rows whose sketch comes so close that they may be among the best are looked at themselves; so the candidates
are the same, for a fraction of the time (docs/decisions/0024-exact-answers-from-eight-bits.md)."""

from collections.abc import Iterator, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import cache, partial

import faiss
import numpy as np
from numpy.typing import NDArray

from service.domain import VectorArray
from service.index.blocks import COPIED_AT_ONCE, GONE, Mask, View
from service.index.sketch import Probe

LOW = 0xFFFF_FFFF  # a place is a block's number and a row, 32 bits each
SMALL = 4096  # rows up to which comparing them all is faster than anything cleverer
FEW = 16  # one row in so many allowed: so few are copied and compared
FEW_FOR_ONE = 8  # for one query they are compared where they lie
CROWDED = 8  # where more than one row in so many may be among a query's best, all of the part are compared for it
FIRST = 16_384  # rows that say how good one must be
GROWTH = 7  # how many times the rows before each round after it looks at
COMPARED = 4 * COPIED_AT_ONCE  # rows from which on it is worth waking other threads
SHARED = 131_072  # and sketches of a round
PRODUCTS = 1 << 19  # at once: a few MB, which the cache holds

# (n, w) scores and places, in no order; -inf and GONE where there are none
Found = tuple[VectorArray, NDArray[np.int64]]


@dataclass(frozen=True, slots=True)
class _Part:
    """Some rows of a view, of the block with this number."""

    number: int
    view: View
    start: int
    codes: NDArray[np.int8]  # (m, dim)
    steps: VectorArray  # (m,)


def scan(queries: VectorArray, seen: Sequence[View], first: int, wanted: int, threads: int) -> Found:
    """Places of the `wanted` best rows (or all there are) for each of (n, dim) queries, by inner product, out of blocks
    that are numbered from `first` on."""
    numbered = list(enumerate(seen, start=first))
    total = sum(view.count for view in seen)
    all_of_it = total <= SMALL or wanted * CROWDED > total
    share = FEW if len(queries) > 1 else FEW_FOR_ONE
    few = [(number, view) for number, view in numbered if all_of_it or view.count * share < len(view.ids)]
    many = [(number, view) for number, view in numbered if not all_of_it and view.count * share >= len(view.ids)]
    faiss.omp_set_num_threads(1)  # counted for each calling thread apart; threads of a pool share better
    compared = sum(view.count for _, view in few)
    over = _side_by_side(threads).map if threads > 1 and compared >= COMPARED else map
    found = [_none(len(queries)), *over(partial(_piece, queries, wanted), _pieces(few))]
    return best_of([*found, *([_sketched(queries, many, wanted, threads)] if many else [])], wanted)


def best_of(found: Sequence[Found], wanted: int) -> Found:
    """The `wanted` best of what was found in several places."""
    scores = np.concatenate([part for part, _ in found], axis=1)
    places = np.concatenate([part for _, part in found], axis=1)
    if scores.shape[1] <= wanted:
        return scores, places
    keep = np.argpartition(scores, scores.shape[1] - wanted, axis=1)[:, -wanted:]
    return np.take_along_axis(scores, keep, 1), np.take_along_axis(places, keep, 1)


def _none(queries: int) -> Found:
    return np.empty((queries, 0), np.float32), np.empty((queries, 0), np.int64)


def _compared(queries: VectorArray, view: View, number: int, wanted: int) -> Found:
    """All that a view allows."""
    found = map(partial(_piece, queries, wanted), _pieces([(number, view)]))
    return best_of([_none(len(queries)), *found], wanted)


def _pieces(numbered: Sequence[tuple[int, View]]) -> list[tuple[int, View, int]]:
    return [(number, view, start) for number, view in numbered for start in range(0, view.count, COPIED_AT_ONCE)]


def _piece(queries: VectorArray, wanted: int, piece: tuple[int, View, int]) -> Found:
    """A few MB of what a view allows, from one of the allowed rows on, each searched while the cache has it."""
    number, view, start = piece
    chosen = slice(start, start + COPIED_AT_ONCE)
    rows = np.arange(len(view.ids))[chosen] if view.rows is None else view.rows[chosen]
    if view.rows is not None and len(queries) == 1:  # where they lie
        scores = _pairs(queries, np.zeros(len(rows), np.int64), view.vectors, rows)[None]
        there = ~np.isnan(scores)
        return np.where(there, scores, -np.inf), np.where(there, rows + (number << 32), GONE)
    part = (view.vectors[chosen] if view.rows is None else view.vectors[rows]).astype(np.float32, copy=False)
    scores, near = faiss.knn(queries, part, min(wanted, len(part)), faiss.METRIC_INNER_PRODUCT)
    there = near >= 0
    return np.where(there, scores, -np.inf), np.where(there, rows[near] + (number << 32), GONE)


def _sketched(queries: VectorArray, views: Sequence[tuple[int, View]], wanted: int, threads: int) -> Found:
    """By what the sketches say, in rounds: the best rows so far say how good one must be to be looked at."""
    seen = dict(views)
    probe = Probe(
        queries, error=max(view.sketch.error for view in seen.values()),
        reach=max(view.sketch.reach for view in seen.values()),
    )  # fmt: skip
    best, rest = _none(len(probe)), [_none(len(probe))]
    bar: VectorArray | None = None
    for parts in _rounds(views, max(SMALL, PRODUCTS // len(probe))):
        shared = threads > 1 and sum(len(part.steps) for part in parts) >= SHARED
        over = _side_by_side(threads).map if shared else map
        hopeful = list(over(partial(_hopeful, probe, wanted=wanted, bar=bar), parts))
        promising, others = _divided(_by_query(len(probe), hopeful), wanted)
        best = best_of([best, _exact(probe, seen, promising)], wanted)
        rest.append(others)  # until all rounds have raised the bar, which most of them are below then
        bar = _bar(best, wanted) - probe.margin
    scores, places = (np.concatenate([one[part] for one in rest], axis=1) for part in range(2))
    floor = probe.in_units(_bar(best, wanted) - probe.margin)
    places = np.where(scores >= floor[:, None], places, GONE)
    return best_of([best, _exact(probe, seen, places)], wanted)


@cache
def _side_by_side(threads: int) -> Executor:
    return ThreadPoolExecutor(
        threads, thread_name_prefix="scan", initializer=faiss.omp_set_num_threads, initargs=(1,)
    )  # fmt: skip


def _rounds(views: Sequence[tuple[int, View]], at_once: int) -> Iterator[list[_Part]]:
    """The rows of all views, cut into parts of at most so many."""
    parts: list[_Part] = []
    done, left = 0, FIRST
    for number, view in views:
        start, steps = 0, view.steps
        while start < len(steps):
            end = min(start + min(at_once, left), len(steps))
            parts.append(_Part(number, view, start, view.sketch.codes[start:end], steps[start:end]))
            done, left, start = done + end - start, left - (end - start), end
            if not left:
                yield parts
                parts, left = [], GROWTH * done
    if parts:
        yield parts


Hopeful = tuple[VectorArray, NDArray[np.int64], NDArray[np.int64]]  # scores, whose query's, and places, each (m,)


def _hopeful(probe: Probe, part: _Part, wanted: int, bar: VectorArray | None) -> Hopeful:
    """The rows of a part that may be better than `bar`, (n,), or, without one or where those would be a crowd, that may
    be among the part's best."""
    scores, everybody = probe.products(part.codes, part.steps), np.arange(len(probe))
    floor = _own_floor(probe, part, scores, everybody, wanted) if bar is None else probe.in_units(bar)
    passed, owners, crowded = _passed(scores, floor)
    if bar is not None and crowded.any():  # all that came after those who set the bar may be better than they
        chosen = everybody[crowded]
        floor[chosen] = np.maximum(floor[chosen], _own_floor(probe, part, scores, chosen, wanted))
        passed, owners, crowded = _passed(scores, floor)
    about, places = scores.ravel()[passed], passed // len(probe) + part.start + (part.number << 32)
    if not crowded.any():
        return about, owners, places
    kept, (exact, whose, where) = ~crowded[owners], _whole(probe, part, everybody[crowded], wanted)
    return (
        np.concatenate([about[kept], exact]), np.concatenate([owners[kept], whose]),
        np.concatenate([places[kept], where]),
    )  # fmt: skip


def _own_floor(
    probe: Probe, part: _Part, scores: VectorArray, chosen: NDArray[np.int64], wanted: int
) -> VectorArray:  # fmt: skip
    """The score, of each of the chosen queries, below which a row cannot be among the `wanted` best of the part."""
    there = np.flatnonzero(~np.isnan(part.steps))
    if len(there) <= wanted:
        return np.full(len(chosen), -np.inf, np.float32)
    theirs = scores if len(chosen) == len(probe) else scores[:, chosen]
    some = np.ascontiguousarray((theirs if len(there) == len(theirs) else theirs[there]).T)  # rows sort faster
    edge: VectorArray = np.partition(some, -wanted, axis=1)[:, -wanted]
    return edge - probe.in_units(2 * probe.margin)[chosen]


def _passed(scores: VectorArray, floor: VectorArray) -> tuple[NDArray[np.int64], NDArray[np.int64], Mask]:
    """Which of the (m, n) scores reach their query's floor, as places in them and queries, and whose are a crowd."""
    passed = np.flatnonzero(scores >= floor)
    owners = passed % len(floor)
    return passed, owners, np.bincount(owners, minlength=len(floor)) * CROWDED > len(scores)


def _whole(probe: Probe, part: _Part, chosen: NDArray[np.int64], wanted: int) -> Hopeful:
    """The best rows of a part for the chosen queries, by comparing all that may be found."""
    there = replace(part.view, rows=np.flatnonzero(~np.isnan(part.steps)) + part.start)
    exact, places = _compared(probe.queries[chosen], there, part.number, wanted)
    return (exact / probe.steps[chosen, None]).ravel(), np.repeat(chosen, exact.shape[1]), places.ravel()


def _by_query(queries: int, hopeful: Sequence[Hopeful]) -> Found:
    """One row for each query, filled up with -inf and GONE."""
    scores, owners, places = (np.concatenate([one[part] for one in hopeful]) for part in range(3))
    order = np.argsort(owners.astype(np.min_scalar_type(queries)), kind="stable")  # small numbers are sorted faster
    owners, counts = owners[order], np.bincount(owners, minlength=queries)
    ranks = np.arange(len(owners)) - np.repeat(np.cumsum(counts) - counts, counts)
    width = int(counts.max(initial=0))
    table, named = np.full((queries, width), -np.inf, np.float32), np.full((queries, width), GONE, np.int64)
    table[owners, ranks], named[owners, ranks] = scores[order], places[order]
    return table, named


def _divided(hopeful: Found, wanted: int) -> tuple[NDArray[np.int64], Found]:
    """The places of the `wanted` most promising rows, and the others."""
    scores, places = hopeful
    if scores.shape[1] > wanted:
        order = np.argpartition(-scores, wanted - 1, axis=1)
        scores, places = np.take_along_axis(scores, order, 1), np.take_along_axis(places, order, 1)
    return places[:, :wanted], (scores[:, wanted:], places[:, wanted:])


def _bar(best: Found, wanted: int) -> VectorArray:
    """How good the worst of the wanted is, (n,); -inf where there are not as many yet."""
    scores, _ = best
    return scores.min(axis=1) if scores.shape[1] == wanted else np.full(len(scores), -np.inf, np.float32)


def _exact(probe: Probe, seen: dict[int, View], places: NDArray[np.int64]) -> Found:
    """Inner products of the queries with the rows at (n, w) places."""
    scores = np.full(places.shape, -np.inf, np.float32)
    owners, ranks = np.nonzero(places != GONE)
    chosen = places[owners, ranks]
    numbers, rows = chosen >> 32, chosen & LOW
    for number in np.unique(numbers).tolist():
        here = np.flatnonzero(numbers == number)
        found = _pairs(probe.queries, owners[here], seen[number].vectors, rows[here])
        # a row that was removed since it was named keeps its place, before all others: the answer comes out short, and
        # is asked for again; without it, rows that were passed over for its sake would be missed
        scores[owners[here], ranks[here]] = np.where(np.isnan(found), np.inf, found)
    return scores, places


def _pairs(
    queries: VectorArray, owners: NDArray[np.int64], vectors: NDArray[np.floating], rows: NDArray[np.int64]
) -> VectorArray:
    """The inner product of each query with its row, (m,)."""
    found = np.empty(len(rows), np.float32)
    if vectors.dtype == np.float32:
        faiss.pairwise_indexed_inner_product(  # type: ignore[attr-defined]
            queries.shape[1], len(rows), faiss.swig_ptr(queries), faiss.swig_ptr(owners), faiss.swig_ptr(vectors),
            faiss.swig_ptr(rows), faiss.swig_ptr(found),
        )  # fmt: skip
        return found
    for start in range(0, len(rows), COPIED_AT_ONCE):
        chosen = slice(start, start + COPIED_AT_ONCE)
        np.einsum("md,md->m", vectors[rows[chosen]].astype(np.float32), queries[owners[chosen]], out=found[chosen])
    return found
