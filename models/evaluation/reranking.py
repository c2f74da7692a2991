"""k-reciprocal re-ranking (Zhong et al., CVPR 2017) on sparse neighbourhoods: memory grows with N · k, not N².

Two crops are alike when they share neighbours that also name them as neighbours. Time still grows with N², in blocks.
"""

from collections.abc import Iterator
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from models.errors import Refused
from models.evaluation.distances import BLOCK, Distances, Indexes, Vectors, nearest, row_blocks, shown_blocks
from models.evaluation.metrics import Doubles, Ints

Sparse: TypeAlias = "sparse.csr_array"
GATHERED = 1 << 22  # numbers of neighbours' vectors held at once


def rerank(
    vectors: Vectors, queries: Ints, gallery: Ints, k1: int, k2: int, weight: float, block: int = BLOCK
) -> Iterator[Distances]:
    """Re-ranked distances of queries to the gallery, in blocks of consecutive queries (rows, gallery).

    vectors (n, dim), unit length, of all crops; queries and gallery are rows of it, which may overlap.
    k1 neighbours are looked at, k2 averaged; `weight` (λ in the paper) is the share of the original distance.
    Raises Refused when k1, k2 or weight cannot be used.
    """
    if k1 < 1 or k2 < 1 or k2 > k1 or not 0 <= weight <= 1:
        raise Refused(f"re-ranking with {k1},{k2},{weight} cannot be done; give k1 ≥ k2 ≥ 1 and a weight from 0 to 1")
    near, farthest = find_neighbours(vectors, k1, block)
    encoded = average(encode(vectors, near, farthest, k1), near[:, :k2])
    return compare(vectors, encoded, farthest, queries, gallery, weight, block)


def suggest_k(ids: Ints) -> tuple[int, int]:
    """k1 and k2 for crops with these identities (n,), without junk and distractors.

    A neighbourhood should be about as large as an identity: on 854 real crops with at most 8 pictures each, k1 = 10
    gave the best mAP, 20 nearly the same, and 50 was worse than none at all. So k1 is the mean number of pictures per
    identity, from 2 to the 20 that the paper takes on Market-1501 (22 pictures per identity), and k2 is 0.3 · k1.

    >>> suggest_k(np.repeat(np.arange(5), 8)), suggest_k(np.repeat([1, 2], 30)), suggest_k(np.array([1, 1, 2, 2]))
    ((8, 2), (20, 6), (2, 1))
    """
    pictures = len(ids) / max(1, len(np.unique(ids)))
    k1 = int(np.clip(round(pictures), 2, 20))
    return k1, max(1, round(0.3 * k1))


def find_neighbours(vectors: Vectors, k1: int, block: int) -> tuple[Indexes, Doubles]:
    """Each crop and its k1 nearest (n, k1 + 1), itself first, and the largest distance of each (n,)."""
    count = len(vectors)
    near, farthest = np.empty((count, min(k1 + 1, count)), np.int64), np.empty(count)
    for rows in shown_blocks("finding neighbours", count, count, block):
        distances = 1 - vectors[rows] @ vectors.T
        farthest[rows] = distances.max(axis=1)
        distances[np.arange(len(distances)), np.arange(rows.start, rows.stop)] = -np.inf  # first even among copies
        near[rows] = nearest(distances, k1 + 1)
    return near, np.where(farthest > 0, farthest, 1)


def mutual(near: Indexes) -> Sparse:
    """Which crops name each other as neighbours: (n, n), 1 where they do."""
    count, k = near.shape
    named = sparse.csr_array(
        (np.ones(near.size, np.int32), near.ravel().astype(np.int32), np.arange(0, near.size + 1, k, dtype=np.int32)),
        shape=(count, count),
    )
    return sparse.csr_array(named.multiply(named.T))


def encode(vectors: Vectors, near: Indexes, farthest: Doubles, k1: int) -> Sparse:
    """Each crop as weights of its k-reciprocal neighbours (n, n), every row with sum 1."""
    wide, narrow = mutual(near), mutual(near[:, : int(np.around(k1 / 2)) + 1])
    narrow_size = narrow.sum(axis=1)
    widened = []
    for rows in shown_blocks("sharing neighbours", len(near), near.shape[1] ** 2, GATHERED):
        mine = wide[rows]
        shared = sparse.csr_array(mine.multiply(mine @ narrow.T)).tocoo()  # how many they share, for neighbours only
        taken = 3 * shared.data > 2 * narrow_size[shared.col]  # more than two thirds, in whole numbers
        ones = np.ones(int(taken.sum()), np.int32)
        chosen = sparse.csr_array((ones, (shared.row[taken], shared.col[taken])), shape=mine.shape)
        widened.append(sparse.csr_array(mine + chosen @ narrow))
    graph = sparse.csr_array(sparse.vstack(widened, format="csr"))
    graph.sort_indices()
    owner = np.repeat(np.arange(len(near)), np.diff(graph.indptr))
    apart = np.empty(graph.nnz)
    for part in row_blocks(graph.nnz, vectors.shape[1], GATHERED):
        apart[part] = 1 - np.einsum("nd,nd->n", vectors[owner[part]], vectors[graph.indices[part]])
    graph.data = np.exp(-apart / farthest[owner])
    graph.data /= np.bincount(owner, weights=graph.data, minlength=len(near))[owner]
    return graph


def average(encoded: Sparse, near: Indexes) -> Sparse:
    """The mean of the rows of each crop's nearest (n, k2), itself among them: the paper's local query expansion."""
    count, k2 = near.shape
    shares = sparse.csr_array(
        (np.full(near.size, 1 / k2), near.ravel(), np.arange(0, near.size + 1, k2)), shape=(count, count)
    )
    return sparse.csr_array(shares @ encoded)


def compare(
    vectors: Vectors, encoded: Sparse, farthest: Doubles, queries: Ints, gallery: Ints, weight: float, block: int
) -> Iterator[Distances]:
    """Blocks of the final distance: weight · original + (1 − weight) · Jaccard."""
    columns = sparse.csc_array(encoded[gallery])
    shelf = vectors[gallery]
    for rows in shown_blocks("re-ranking", len(queries), len(gallery), block):
        chosen = queries[rows]
        original = (1 - vectors[chosen] @ shelf.T) / farthest[chosen, None]
        shared = np.stack([overlap(encoded, int(query), columns) for query in chosen])
        yield weight * original + (1 - weight) * (1 - shared / (2 - shared))


def overlap(encoded: Sparse, query: int, columns: sparse.csc_array) -> NDArray[np.float64]:
    """The sum of the smaller weights of a query and each gallery crop (gallery,), through the columns they share."""
    mine = slice(encoded.indptr[query], encoded.indptr[query + 1])
    starts, stops = columns.indptr[encoded.indices[mine]], columns.indptr[encoded.indices[mine] + 1]
    lengths = stops - starts
    places = np.repeat(stops - np.cumsum(lengths), lengths) + np.arange(lengths.sum())
    smaller = np.minimum(np.repeat(encoded.data[mine], lengths), columns.data[places])
    return np.asarray(np.bincount(columns.indices[places], weights=smaller, minlength=columns.shape[0]), np.float64)
