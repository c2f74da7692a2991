"""What can be done to vectors before they are ranked: query expansion, database-side augmentation, binarisation."""

from typing import Literal

import numpy as np

from models.errors import Refused
from models.evaluation.distances import BLOCK, Indexes, Vectors, nearest, shown_blocks, unit

Binary = Literal["sign", "round"]


def expand(
    queries: Vectors, gallery: Vectors, k: int, alpha: float = 0.0, own: Indexes | None = None, block: int = BLOCK
) -> Vectors:
    """Each query (n, dim) moved towards its k nearest of the gallery (m, dim); unit vectors in and out.

    A neighbour weighs its similarity to the power of alpha, the query 1. alpha = 0 is average query expansion (Chum et
    al., ICCV 2007), alpha = 3 that of Radenović et al., TPAMI 2019. A neighbour of negative similarity counts as 0.
    Where queries are in the gallery, `own` (n,) says at which place; −1 is nowhere. Raises Refused for a negative k or
    alpha.
    """
    return towards_neighbours(queries, gallery, k, alpha, np.full(len(queries), -1) if own is None else own, block)


def augment_database(gallery: Vectors, k: int, alpha: float = 0.0, block: int = BLOCK) -> Vectors:
    """Each gallery vector (n, dim) moved towards its k nearest others (Arandjelović and Zisserman, CVPR 2012).

    Weights as for `expand`. Raises Refused for a negative k or alpha.
    """
    return towards_neighbours(gallery, gallery, k, alpha, np.arange(len(gallery)), block)


def towards_neighbours(vectors: Vectors, others: Vectors, k: int, alpha: float, own: Indexes, block: int) -> Vectors:
    """The weighted mean of each vector and its k nearest others, made unit length; `own` (n,) is the place of each
    among the others (−1: nowhere), where it does not count as a neighbour."""
    if k < 0 or alpha < 0:
        raise Refused(f"expansion with k = {k} and alpha = {alpha} cannot be done; neither may be negative")
    moved = np.empty_like(vectors)
    k = min(k, len(others) - bool((own >= 0).any()))
    for rows in shown_blocks("asking neighbours", len(vectors), len(others), block):
        distances = 1 - vectors[rows] @ others.T
        itself = np.flatnonzero(own[rows] >= 0)
        distances[itself, own[rows][itself]] = np.inf
        near = nearest(distances, k)
        weights = np.maximum(1 - np.take_along_axis(distances, near, axis=1), 0) ** alpha
        moved[rows] = vectors[rows]
        for place in range(k):  # one neighbour at a time: all at once would be k copies of the block
            moved[rows] += weights[:, place, None] * others[near[:, place]]
    return unit(moved)


def binarise(vectors: Vectors, method: Binary) -> Vectors:
    """Vectors (n, dim) of which only one bit per number is left, as unit vectors.

    `sign`: each number becomes −1 or 1. `round`: the numbers of a vector are scaled to 0…1 and rounded to 0 or 1.

    >>> binarise(np.array([[0.5, -0.1, 0.2, -0.8]]), "sign").tolist()
    [[0.5, -0.5, 0.5, -0.5]]
    >>> (binarise(np.array([[0.5, -0.1, 0.2, -0.8]]), "round") > 0).tolist()
    [[True, True, True, False]]
    """
    if method == "sign":
        bits = np.where(vectors >= 0, 1, -1)
    else:
        low, high = vectors.min(axis=1, keepdims=True), vectors.max(axis=1, keepdims=True)
        bits = (vectors - low) * 2 >= np.where(high > low, high - low, 1)
    return unit(bits.astype(vectors.dtype))
