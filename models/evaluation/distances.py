"""Distances between many vectors a block of rows at a time, so that a full matrix never exists.

3,368 queries × 100,000 gallery crops are 2.7 GB in double precision; a block is 64 MB in single.
"""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

Vectors = NDArray[np.floating]
Distances = NDArray[np.floating]
Indexes = NDArray[np.int64]

BLOCK = 1 << 24  # distances in a block


def row_blocks(rows: int, columns: int, block: int = BLOCK) -> Iterator[slice]:
    """Slices of consecutive rows, each with at most `block` distances to all columns, but at least one row.

    >>> list(row_blocks(5, 100, block=250))
    [slice(0, 2, None), slice(2, 4, None), slice(4, 5, None)]
    """
    step = max(1, block // max(1, columns))
    return (slice(start, min(start + step, rows)) for start in range(0, rows, step))


def shown_blocks(what: str, rows: int, columns: int, block: int = BLOCK) -> Iterator[slice]:
    """The slices of `row_blocks` with a progress bar, which counts rows."""
    with tqdm(total=rows, desc=what, disable=None, leave=False) as bar:
        for part in row_blocks(rows, columns, block):
            yield part
            bar.update(part.stop - part.start)


def cosine_blocks(queries: Vectors, gallery: Vectors, block: int = BLOCK) -> Iterator[Distances]:
    """Cosine distances 1 − q·g of unit vectors (queries, dim) and (gallery, dim), in blocks of consecutive queries,
    with a progress bar over what is done with them."""
    for rows in shown_blocks("ranking", len(queries), len(gallery), block):
        distances = queries[rows] @ gallery.T
        np.subtract(1, distances, out=distances)
        yield distances


def nearest(distances: Distances, k: int) -> Indexes:
    """Columns of the k smallest of each row (rows, k), the nearest first, ties by column; all of them if k is larger.

    Only k of a row are ever sorted. NaN counts as farthest.

    >>> nearest(np.array([[0.3, 0.1, 0.2]]), 2).tolist()
    [[1, 2]]
    """
    k = min(k, distances.shape[1])
    if k == 0:
        return np.empty((len(distances), 0), np.int64)
    found = np.sort(np.argpartition(distances, k - 1, axis=1)[:, :k], axis=1)
    order = np.argsort(np.take_along_axis(distances, found, axis=1), axis=1, kind="stable")
    return np.take_along_axis(found, order, axis=1).astype(np.int64)


def unit(vectors: Vectors) -> Vectors:
    """Vectors (n, dim) made unit length; a vector of zeros stays."""
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.asarray(vectors / np.where(lengths > 0, lengths, 1), dtype=vectors.dtype)
