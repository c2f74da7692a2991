"""The nearest neighbours as a dict and one matrix product give them: slow, obvious, and what every index must agree
with."""

import numpy as np

from service.domain import CropIds, VectorArray


class BruteForce:
    """Vectors by id. Every similarity is computed in float64 and rounded once."""

    def __init__(self, dim: int) -> None:
        self.dim = dim
        self.vectors: dict[int, VectorArray] = {}

    def add(self, ids: CropIds, vectors: VectorArray) -> None:
        """Take (n, dim) vectors under new ids."""
        for number, vector in zip(ids.tolist(), vectors, strict=True):
            assert number not in self.vectors, f"the test itself added {number} twice"
            self.vectors[number] = vector

    def remove(self, ids: CropIds) -> int:
        """Forget ids; returns how many were there."""
        known = set(ids.tolist()) & self.vectors.keys()
        for number in known:
            del self.vectors[number]
        return len(known)

    def ranking(self, query: VectorArray, allow: CropIds | None = None) -> tuple[VectorArray, CropIds]:
        """All similarities and ids, best first, ties by lower id."""
        ids = np.array(sorted(self.vectors if allow is None else self.vectors.keys() & set(allow.tolist())), np.int64)
        if not len(ids):
            return np.empty(0, np.float32), ids
        matrix = np.stack([self.vectors[number] for number in ids.tolist()]).astype(np.float64)
        similarities = (matrix @ query.astype(np.float64)).astype(np.float32)
        order = np.lexsort((ids, -similarities))
        return similarities[order], ids[order]


def check_answer(
    known: BruteForce, queries: VectorArray, k: int, allow: CropIds | None,
    answer: tuple[VectorArray, CropIds], *, tolerance: float, exact: bool,
) -> None:  # fmt: skip
    """Hold an index's answer to brute force.

    With `exact` the ids must be the very same, which holds where all inner products can be represented. Without it two
    ids may change places only where their similarities lie within the tolerance and their vectors differ: equal vectors
    tie always, and the lower id comes first.
    """
    similarities, ids = answer
    assert similarities.shape == ids.shape == (len(queries), k)
    for query, row, row_ids in zip(queries, similarities, ids, strict=True):
        expected, expected_ids = known.ranking(query, allow)
        there = min(k, len(expected_ids))
        assert (row_ids[there:] == -1).all(), f"{there} can be found, {row_ids.tolist()} were"
        assert (row[there:] == -np.inf).all()
        found, found_ids = row[:there], row_ids[:there]
        assert len(set(found_ids.tolist())) == there, f"an id twice: {row_ids.tolist()}"
        assert np.abs(found - expected[:there]).max(initial=0) <= tolerance
        assert (np.diff(found) <= 0).all(), "not best first"
        if exact:
            assert found_ids.tolist() == expected_ids[:there].tolist()
            continue
        own = dict(zip(expected_ids.tolist(), expected.tolist(), strict=True))
        for number, similarity in zip(found_ids.tolist(), found.tolist(), strict=True):
            assert abs(own[number] - similarity) <= tolerance, f"{number} has the similarity of another vector"
        _check_equal_vectors(known, expected_ids, found_ids)


def _check_equal_vectors(known: BruteForce, expected_ids: CropIds, found_ids: CropIds) -> None:
    """Of ids with equal vectors the lowest are found, and in order."""
    equal: dict[bytes, list[int]] = {}
    for number in sorted(expected_ids.tolist()):
        equal.setdefault(known.vectors[number].tobytes(), []).append(number)
    found: dict[bytes, list[int]] = {}
    for number in found_ids.tolist():
        found.setdefault(known.vectors[number].tobytes(), []).append(number)
    for vector, numbers in found.items():
        assert numbers == equal[vector][: len(numbers)]


def unit_vectors(count: int, dim: int, *, seed: int) -> VectorArray:
    """(count, dim) random vectors of unit length."""
    vectors = np.random.default_rng(seed).normal(size=(count, dim))
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)
