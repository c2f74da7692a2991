"""Sparse k-reciprocal re-ranking against the digits of the authors' code, and against the paper written out densely."""

import tracemalloc
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from models.errors import Refused
from models.evaluation.metrics import score
from models.evaluation.reranking import rerank, suggest_k
from tests.models.golden import Problem, sixty_people, unit

Array = NDArray[Any]


def rerank_all(one: Problem, k1: int, k2: int, weight: float, **how: int) -> Array:
    """The whole matrix (queries, gallery)."""
    vectors, count = np.concatenate([one.queries, one.gallery]), len(one.queries)
    blocks = rerank(vectors, np.arange(count), np.arange(count, len(vectors)), k1, k2, weight, **how)
    return np.concatenate(list(blocks))


def rerank_densely(vectors: Array, queries: int, k1: int, k2: int, weight: float) -> Array:
    """Sections 3.2 to 3.4 of the paper, picture by picture on the full matrix."""
    apart = 2 - 2 * vectors @ vectors.T
    np.fill_diagonal(apart, 0)
    apart = apart / apart.max(axis=1, keepdims=True)
    ranks, count = np.argsort(apart, axis=1), len(vectors)

    def reciprocal(one: int, k: int) -> set[int]:
        return {int(other) for other in ranks[one, : k + 1] if one in ranks[other, : k + 1]}

    encoded = np.zeros((count, count))
    for one in range(count):
        mine = reciprocal(one, k1)
        wide = set(mine)
        for other in mine:
            theirs = reciprocal(other, int(np.around(k1 / 2)))
            if len(theirs & mine) > 2 / 3 * len(theirs):
                wide |= theirs
        for other in wide:
            encoded[one, other] = np.exp(-apart[one, other])
    encoded /= encoded.sum(axis=1, keepdims=True)
    encoded = np.stack([encoded[ranks[one, :k2]].mean(axis=0) for one in range(count)])
    jaccard = np.array(
        [[1 - np.minimum(q, g).sum() / np.maximum(q, g).sum() for g in encoded[queries:]] for q in encoded[:queries]]
    )
    return weight * apart[:queries, queries:] + (1 - weight) * jaccard


def test_the_digits_of_the_authors_code_come_out() -> None:
    one = sixty_people()
    distances = rerank_all(one, 20, 6, 0.3)
    scores = score(distances, *one.labels)

    assert distances[0, :3] == pytest.approx([0.632909, 0.722465, 0.604613], abs=1e-6)
    assert scores.mean_ap == pytest.approx(0.29486622, abs=1e-8)
    assert scores.mean_ap_trapezoid == pytest.approx(0.26873731, abs=1e-8)
    assert (scores.rank(1), scores.rank(5)) == pytest.approx((0.3, 0.716667), abs=1e-6)
    assert scores.mean_inp == pytest.approx(0.104490, abs=1e-6)


def test_the_digits_without_re_ranking_are_those_of_the_plain_distance() -> None:
    one = sixty_people()
    distances = 2 - 2 * one.queries @ one.gallery.T
    scores = score(distances, *one.labels)

    assert distances[0, :3] == pytest.approx([1.123780, 1.251855, 0.788563], abs=1e-6)
    assert (scores.mean_ap, scores.mean_ap_trapezoid) == pytest.approx((0.26298577, 0.23731124), abs=1e-8)
    assert (scores.rank(1), scores.rank(5)) == pytest.approx((0.366667, 0.733333), abs=1e-6)
    assert scores.mean_inp == pytest.approx(0.080734, abs=1e-6)


def test_single_precision_in_small_blocks_gives_the_same_within_its_precision() -> None:
    one = sixty_people()
    small = Problem(one.queries.astype(np.float32), one.gallery.astype(np.float32), *one.labels)
    assert rerank_all(small, 20, 6, 0.3, block=2_000) == pytest.approx(rerank_all(one, 20, 6, 0.3), abs=1e-5)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10_000), st.integers(2, 40), st.integers(1, 12), st.data())
def test_sparse_equals_the_paper_written_out(seed: int, gallery: int, k1: int, data: st.DataObject) -> None:
    k2, weight = data.draw(st.integers(1, k1)), data.draw(st.floats(0, 1))
    queries = data.draw(st.integers(1, 8))
    k1, k2 = min(k1, queries + gallery - 1), min(k2, queries + gallery - 1)
    vectors = unit(np.random.default_rng(seed).normal(size=(queries + gallery, 5)))
    blocks = rerank(vectors, np.arange(queries), np.arange(queries, len(vectors)), k1, k2, weight, block=100)
    assert np.concatenate(list(blocks)) == pytest.approx(rerank_densely(vectors, queries, k1, k2, weight), abs=1e-9)


def test_more_neighbours_than_there_are_crops_are_all_of_them() -> None:
    vectors = unit(np.random.default_rng(1).normal(size=(6, 4)))
    few, many = (next(rerank(vectors, np.arange(2), np.arange(2, 6), k1, 2, 0.3)) for k1 in (10, 50))
    assert few.shape == (2, 4)
    assert few == pytest.approx(many)


def test_copies_of_one_picture_are_nearest_to_each_other() -> None:
    vectors = unit(np.random.default_rng(2).normal(size=(30, 8)))
    vectors[1:6] = vectors[0]
    distances = next(rerank(vectors, np.arange(1), np.arange(1, 30), 4, 2, 0.3))[0]
    assert np.isfinite(distances).all()
    assert distances[:5].max() < distances[5:].min()


def test_memory_grows_with_the_number_of_crops_and_not_with_its_square() -> None:
    peaks = []
    for count in (1_000, 4_000):
        vectors = unit(np.random.default_rng(3).normal(size=(count, 8)))
        tracemalloc.start()
        for _ in rerank(vectors, np.arange(10), np.arange(10, count), 10, 3, 0.3, block=50_000):
            pass
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 4.5 * peaks[0]  # with the square of the number it would be 16 times as much
    assert peaks[1] < 4_000**2 * 4  # a full matrix in single precision


@pytest.mark.parametrize(("k1", "k2", "weight"), [(0, 1, 0.3), (5, 6, 0.3), (5, 0, 0.3), (5, 2, 1.1)])
def test_what_cannot_be_done_is_refused(k1: int, k2: int, weight: float) -> None:
    with pytest.raises(Refused, match="re-ranking with"):
        rerank(np.eye(3), np.arange(1), np.arange(1, 3), k1, k2, weight)


def test_the_suggested_neighbourhood_follows_the_pictures_per_identity() -> None:
    assert suggest_k(np.repeat(np.arange(750), 22)) == (20, 6)  # Market-1501, as in the paper
    assert suggest_k(np.repeat(np.arange(60), 2)) == (2, 1)
    assert suggest_k(np.arange(0)) == (2, 1)
