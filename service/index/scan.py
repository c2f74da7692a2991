"""Exact candidates out of rows in host memory, on FAISS's kernels. Which one is fastest depends on how many queries
there are, how many rows are allowed and how they are stored; all give the same candidates."""

import threading
from collections.abc import Iterator
from typing import Any

import faiss
import numpy as np
from numpy.typing import NDArray

from service.domain import VectorArray
from service.index.blocks import COPIED_AT_ONCE, GONE, Rows, View
from service.index.faiss_setup import BATCHED

FEW = 64  # one row in so many: so few are copied and searched alone
GATHERED = 0.5  # share of rows up to which copying the allowed ones is faster than a product with all of them
DECODED = 8  # queries from which on decoding float16 once for all of them pays
MAX_MASKED = 1024  # candidates beyond which a product with all rows has too many to sort out

_kept = threading.local()

Found = tuple[VectorArray, NDArray[np.int64]]  # (n, w) scores and rows, in no order; -inf and GONE where there are none


def best_rows(queries: VectorArray, view: View, wanted: int) -> Found:
    """The `wanted` best rows (or all there are) of a view for each of (n, dim) queries, by inner product."""
    vectors, rows, count = view.vectors, view.rows, view.count
    wanted, share = min(wanted, count), count / max(1, len(view.ids))
    if not wanted:
        return np.empty((len(queries), 0), np.float32), np.empty((len(queries), 0), np.int64)
    if vectors.dtype == np.float16:
        if len(queries) < DECODED and share * FEW > 1:
            return _scanned(queries, vectors, rows, wanted)
        return _best_of_parts(queries, vectors, rows, wanted)
    if len(queries) < BATCHED and share * FEW >= 1:
        return _selected(queries, vectors, rows, wanted)
    if rows is None:
        return _knn(queries, vectors, wanted)
    if share * FEW < 1 or wanted > MAX_MASKED or share < GATHERED:
        return _best_of_parts(queries, vectors, rows, wanted)
    return _masked(queries, vectors, rows, wanted)


def best_of(found: list[Found], wanted: int) -> Found:
    """The `wanted` best of what was found in several places."""
    scores = np.concatenate([part for part, _ in found], axis=1)
    rows = np.concatenate([part for _, part in found], axis=1)
    if scores.shape[1] <= wanted:
        return scores, rows
    keep = np.argpartition(scores, scores.shape[1] - wanted, axis=1)[:, -wanted:]
    return np.take_along_axis(scores, keep, 1), np.take_along_axis(rows, keep, 1)


def _knn(queries: VectorArray, vectors: VectorArray, wanted: int) -> Found:
    scores, rows = faiss.knn(queries, vectors, wanted, faiss.METRIC_INNER_PRODUCT)
    return np.where(rows < 0, -np.inf, scores), rows


def _best_of_parts(queries: VectorArray, vectors: Rows, rows: NDArray[np.int64] | None, wanted: int) -> Found:
    """Copies the rows part by part, as float32, and searches each part while the cache still has it."""
    found = []
    for start, part in _parts(vectors, rows):
        scores, places = _knn(queries, part, min(wanted, len(part)))
        named = places + start if rows is None else rows[places + start]
        found.append((scores, np.where(places < 0, GONE, named)))
    return best_of(found, wanted)


def _parts(vectors: Rows, rows: NDArray[np.int64] | None) -> Iterator[tuple[int, VectorArray]]:
    count, dim = len(vectors) if rows is None else len(rows), vectors.shape[1]
    halves = vectors.dtype == np.float16
    decoder: Any = faiss.ScalarQuantizer(dim, faiss.ScalarQuantizer.QT_fp16)
    whole = np.empty((min(COPIED_AT_ONCE, count), dim), np.float32)
    for start in range(0, count, COPIED_AT_ONCE):
        chosen = slice(start, start + COPIED_AT_ONCE)
        source = vectors[chosen] if rows is None else vectors[rows[chosen]]
        part = whole[: len(source)] if halves else source
        if halves:
            decoder.decode_c(faiss.swig_ptr(source.view(np.uint8)), faiss.swig_ptr(part), len(part))
        yield start, part


def _selector(count: int, rows: NDArray[np.int64] | None) -> tuple[faiss.IDSelectorBitmap, NDArray[np.uint8]]:
    """A selector of rows, and the bits it points to."""
    allowed = np.full(count, rows is None)
    if rows is not None:
        allowed[rows] = True
    bits = np.packbits(allowed, bitorder="little")
    return faiss.IDSelectorBitmap(len(bits), faiss.swig_ptr(bits)), bits


def _selected(queries: VectorArray, vectors: VectorArray, rows: NDArray[np.int64] | None, wanted: int) -> Found:
    """One pass over the allowed rows for each query. With a selector FAISS goes another way, which reads a single
    query's rows four times as fast as the way without one; so there is one also where all rows are allowed."""
    count, dim = vectors.shape
    selector, _bits = _selector(count, rows)
    scores = np.empty((len(queries), wanted), np.float32)
    places = np.empty((len(queries), wanted), np.int64)
    faiss.knn_inner_product(
        faiss.swig_ptr(queries), faiss.swig_ptr(vectors), dim, len(queries), count, wanted,
        faiss.swig_ptr(scores), faiss.swig_ptr(places), selector,
    )  # fmt: skip
    return np.where(places < 0, -np.inf, scores), places


def _scanner(dim: int) -> Any:
    """This thread's reader of float16 rows. It is kept: FAISS hands it over, and its wrapper cannot free it."""
    if not hasattr(_kept, "readers"):
        _kept.readers = {}
    kept: dict[int, tuple[Any, ...]] = _kept.readers
    if dim not in kept:
        decoder: Any = faiss.ScalarQuantizer(dim, faiss.ScalarQuantizer.QT_fp16)
        origin = faiss.IndexFlatIP(dim)  # the centres of its lists; there is one list, of what is searched
        scanner = decoder.select_InvertedListScanner(
            faiss.METRIC_INNER_PRODUCT, origin, True, faiss.IDSelectorAll(), False
        )
        scanner.set_list(0, 0.0)
        kept[dim] = scanner, decoder, origin
    return kept[dim][0]


def _scanned(queries: VectorArray, halves: Rows, rows: NDArray[np.int64] | None, wanted: int) -> Found:
    """One pass over the allowed rows for each query, decoding as it goes."""
    count, dim = halves.shape
    scanner = _scanner(dim)
    selector, _bits = _selector(count, rows)
    scanner.sel = selector  # which it does not keep alive
    scores = np.full((len(queries), wanted), -np.inf, np.float32)
    places = np.full((len(queries), wanted), GONE, np.int64)
    codes = faiss.swig_ptr(halves.view(np.uint8))
    for query, score, place in zip(queries, scores, places, strict=True):
        scanner.set_query(faiss.swig_ptr(query))
        scanner.scan_codes(count, codes, None, faiss.swig_ptr(score), faiss.swig_ptr(place), wanted)
    return scores, places


def _masked(queries: VectorArray, vectors: VectorArray, rows: NDArray[np.int64], wanted: int) -> Found:
    """A product with all rows, of which those that are not allowed count as worse than any."""
    many, dim = len(queries), vectors.shape[1]
    product: Any = faiss.LinearTransform(dim, many, False)
    faiss.copy_array_to_vector(queries.ravel(), product.A)
    product.is_trained = True
    penalty = np.full((len(vectors), 1), -np.inf, np.float32)
    penalty[rows] = 0
    floor = np.full(many, -np.inf, np.float32)
    scores, owners, places = [], [], []
    for start in range(0, len(vectors), COPIED_AT_ONCE):
        part = vectors[start : start + COPIED_AT_ONCE]
        score = np.empty((len(part), many), np.float32)
        product.apply_noalloc(len(part), faiss.swig_ptr(part), faiss.swig_ptr(score))
        score += penalty[start : start + len(part)]
        if not start and len(part) > wanted:
            np.fmax(score, -np.inf, out=score)  # removed rows are NaN
            floor = np.partition(score, len(part) - wanted, axis=0)[len(part) - wanted]
        place, owner = np.nonzero(score >= floor if start else (score >= floor) & (score > -np.inf))
        scores.append(score[place, owner])
        owners.append(owner)
        places.append(place + start)
    return _ragged(many, np.concatenate(scores), np.concatenate(owners), np.concatenate(places), wanted)


def _ragged(many: int, scores: VectorArray, owners: NDArray[np.int64], places: NDArray[np.int64], wanted: int) -> Found:
    """The best of each query, out of scores and places that belong to the query that `owners` names."""
    order = np.lexsort((-scores, owners))
    scores, owners, places = scores[order], owners[order], places[order]
    rank = np.arange(len(owners)) - np.searchsorted(owners, owners)
    keep = (rank < wanted) & (scores > -np.inf)
    best, best_places = np.full((many, wanted), -np.inf, np.float32), np.full((many, wanted), GONE, np.int64)
    best[owners[keep], rank[keep]] = scores[keep]
    best_places[owners[keep], rank[keep]] = places[keep]
    return best, best_places
