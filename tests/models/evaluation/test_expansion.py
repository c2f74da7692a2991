"""Query expansion, database-side augmentation and binarisation against plain loops."""

import doctest
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

import models.evaluation.distances
import models.evaluation.expansion
from models.errors import Refused
from models.evaluation.distances import cosine_blocks, nearest
from models.evaluation.expansion import Binary, augment_database, binarise, expand
from models.evaluation.metrics import score
from tests.models.golden import sixty_people, unit

Array = NDArray[Any]


def mix(vector: Array, others: list[Array], k: int, alpha: float) -> Array:
    """A vector and its k nearest, weighted, one after the other."""
    near = sorted(others, key=lambda other: -float(vector @ other))[:k]
    total = vector + sum(max(float(vector @ other), 0) ** alpha * other for other in near)
    return np.asarray(total / np.linalg.norm(total))


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 10_000), st.integers(0, 12), st.sampled_from([0.0, 1.0, 3.0]), st.integers(1, 60))
def test_expansion_equals_a_plain_loop(seed: int, k: int, alpha: float, block: int) -> None:
    rng = np.random.default_rng(seed)
    queries, gallery = unit(rng.normal(size=(4, 6))), unit(rng.normal(size=(9, 6)))
    expected = np.stack([mix(query, list(gallery), k, alpha) for query in queries])
    assert expand(queries, gallery, k, alpha, block=block) == pytest.approx(expected)


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 10_000), st.integers(0, 12), st.sampled_from([0.0, 1.0, 3.0]), st.integers(1, 60))
def test_augmentation_takes_the_others_and_never_itself(seed: int, k: int, alpha: float, block: int) -> None:
    gallery = unit(np.random.default_rng(seed).normal(size=(8, 6)))
    others = [[*gallery[:place], *gallery[place + 1 :]] for place in range(8)]
    expected = np.stack([mix(vector, rest, k, alpha) for vector, rest in zip(gallery, others, strict=True)])
    assert augment_database(gallery, k, alpha, block) == pytest.approx(expected)


def test_a_query_that_is_in_the_gallery_is_not_its_own_neighbour() -> None:
    gallery = unit(np.random.default_rng(4).normal(size=(6, 5)))
    moved = expand(gallery[[2, 0]], gallery, 2, 1.0, own=np.array([2, -1]))
    assert moved[0] == pytest.approx(mix(gallery[2], [*gallery[:2], *gallery[3:]], 2, 1.0))
    assert moved[1] == pytest.approx(mix(gallery[0], list(gallery), 2, 1.0))


def test_expansion_helps_where_a_person_has_many_pictures() -> None:
    one = sixty_people()
    gallery = augment_database(one.gallery, 3)
    plain, moved = (
        score(1 - a @ b.T, *one.labels).mean_ap
        for a, b in ((one.queries, one.gallery), (expand(one.queries, gallery, 3, 3.0), gallery))
    )
    assert moved > plain + 0.02


@pytest.mark.parametrize(("k", "alpha"), [(-1, 0.0), (2, -1.0)])
def test_a_negative_number_is_refused(k: int, alpha: float) -> None:
    with pytest.raises(Refused, match="neither may be negative"):
        expand(np.eye(3), np.eye(3), k, alpha)


@pytest.mark.parametrize("method", ["sign", "round"])
def test_binarised_vectors_have_two_values_and_unit_length(method: Binary) -> None:
    vectors = binarise(unit(np.random.default_rng(1).normal(size=(20, 64))).astype(np.float32), method)
    assert all(len(np.unique(vector)) == 2 for vector in vectors)
    assert vectors.dtype == np.float32
    assert np.linalg.norm(vectors, axis=1) == pytest.approx(1, abs=1e-6)


def test_vectors_of_one_value_are_binarised_too() -> None:
    assert np.isfinite(binarise(np.full((1, 4), 0.5), "round")).all()


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 10_000), st.integers(0, 12))
def test_the_nearest_are_the_first_of_a_stable_sort(seed: int, k: int) -> None:
    distances = np.random.default_rng(seed).permutation(40).reshape(4, 10) / 10
    assert nearest(distances, k).tolist() == np.argsort(distances, axis=1)[:, :k].tolist()


def test_blocks_of_distances_make_up_the_whole() -> None:
    one = sixty_people()
    blocks = list(cosine_blocks(one.queries, one.gallery, block=3_000))
    assert {len(block) for block in blocks} == {5}
    assert np.concatenate(blocks) == pytest.approx(1 - one.queries @ one.gallery.T)


@pytest.mark.parametrize("module", [models.evaluation.expansion, models.evaluation.distances])
def test_the_examples_in_the_docstrings_hold(module: Any) -> None:
    assert doctest.testmod(module).failed == 0
