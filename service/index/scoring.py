"""Candidates scored again: in float64 from the rows themselves, so that a similarity does not depend on the batch, the
block or the accelerator it was found by, and equal vectors tie exactly."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from service.domain import CropIds, VectorArray
from service.index.blocks import GONE, View
from service.index.scan import LOW

COPIED_BYTES = 384 << 10  # at once: more comes fresh from the system each time, less is more calls; both take longer


def rescored(
    queries: VectorArray, seen: Sequence[View], places: NDArray[np.int64]
) -> tuple[VectorArray, CropIds, VectorArray]:
    """Similarities in float64 rounded to float32, and ids, best first, ties by lower id, as wide as `places`; rows that
    are removed by now end it with -inf and GONE. And of each query the least similarity among them."""
    similarities = np.full(places.shape, -np.inf, np.float32)
    ids = np.full(places.shape, GONE, np.int64)
    wide = queries.astype(np.float64)
    at_once = max(1, COPIED_BYTES // (wide.itemsize * wide.shape[1]))
    owners, ranks = np.nonzero(places != GONE)
    numbers = places[owners, ranks] >> 32
    order = np.argsort(numbers, kind="stable")
    ends = np.flatnonzero(np.diff(numbers[order], append=-1)) + 1
    start = 0
    for end in ends.tolist():
        for first in range(start, end, at_once):
            chosen = order[first : min(first + at_once, end)]
            owner, rank = owners[chosen], ranks[chosen]
            view, rows = seen[numbers[chosen[0]]], places[owner, rank] & LOW
            exact = np.einsum("md,md->m", view.vectors[rows].astype(np.float64), wide[owner]).astype(np.float32)
            named = view.ids[rows]
            there = (named != GONE) & np.isfinite(exact)
            similarities[owner[there], rank[there]] = exact[there]
            ids[owner[there], rank[there]] = named[there]
        start = end
    least = np.where(ids == GONE, np.inf, similarities).min(axis=1, initial=np.inf)  # of no rows too
    best = np.lexsort((ids, -similarities))
    return np.take_along_axis(similarities, best, 1), np.take_along_axis(ids, best, 1), least
