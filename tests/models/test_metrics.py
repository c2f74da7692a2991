"""The Market-1501 protocol against numbers worked by hand and numbers of the public reference implementation."""

import doctest
import os

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import models.metrics
from models.evaluate import shared_data
from models.metrics import JUNK, score

LABELS = shared_data() / "market1501-labels" / "labels.npz"


def test_the_hand_worked_example_gives_its_digits() -> None:
    up = np.arange(1, 9) / 10
    distances = np.array([up, [0.3, 0.1, 0.2, 0.6, 0.5, 0.4, 0.8, 0.7], up[::-1], up])
    ids, cameras = np.array([1, -1, 1, 0, 2, 1, 2, 3]), np.array([1, 1, 2, 1, 2, 3, 1, 2])

    scores = score(distances, np.array([1, 2, 3, 4]), np.ones(4, int), ids, cameras)

    assert (scores.queries, scores.without_positive) == (3, 1)
    figures = [scores.mean_ap, scores.rank(1), scores.rank(5), scores.mean_inp, scores.mean_ap_trapezoid]
    assert figures == pytest.approx([0.6666667, 0.6666667, 1.0, 0.5833333, 0.6111111], abs=1e-7)


def test_the_full_market_layout_gives_the_reference_digits() -> None:
    if not LABELS.exists() and not os.environ.get("CI"):
        pytest.skip(f"{LABELS} is absent; set REAPPEAR_SHARED_DATA to the folder with the shared data")
    labels = np.load(LABELS)
    query_ids, query_cameras = labels["query_identity"], labels["query_camera"]
    ids, cameras = labels["gallery_identity"], labels["gallery_camera"]
    stream = np.random.RandomState(12345)
    centres, places = stream.randn(1600, 32), stream.randn(8, 32)

    def features(who: np.ndarray, camera: np.ndarray, seed: int) -> np.ndarray:
        noise = np.random.RandomState(seed).randn(len(who), 32) * np.where(who > 0, 1, 1.35)[:, None]
        vectors = np.where((who > 0)[:, None], centres[np.maximum(who, 0)], 0) + 0.6 * places[camera] + 0.9 * noise
        return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True))

    distances = 2 - 2 * features(query_ids, query_cameras, 1) @ features(ids, cameras, 2).T
    scores = score(distances, query_ids, query_cameras, ids, cameras)

    assert scores.mean_ap == pytest.approx(0.2439515196, abs=1e-9)
    assert scores.mean_ap_trapezoid == pytest.approx(0.2302423773, abs=1e-9)
    assert scores.mean_inp == pytest.approx(0.0445765852, abs=1e-9)
    ranks = [scores.rank(k) for k in (1, 5, 10, 20)]
    assert ranks == pytest.approx([0.4147862, 0.6630048, 0.7514846, 0.8396674], abs=1e-7)


def test_ties_are_broken_by_gallery_position() -> None:
    tied = np.zeros((1, 3))
    first = score(tied, np.array([1]), np.array([1]), np.array([1, 2, 3]), np.array([2, 2, 2]))
    last = score(tied, np.array([1]), np.array([1]), np.array([2, 3, 1]), np.array([2, 2, 2]))
    assert (first.rank(1), last.rank(1), last.rank(3)) == (1, 0, 1)


def test_a_gallery_smaller_than_k_and_negative_similarities_work() -> None:
    similarity = np.array([[-0.9, -0.2]])
    scores = score(-similarity, np.array([1]), np.array([1]), np.array([2, 1]), np.array([2, 2]))
    assert (scores.rank(1), scores.rank(20)) == (1, 1)


def test_no_query_with_a_positive_is_said_clearly() -> None:
    with pytest.raises(ValueError, match="no query has a positive"):
        score(np.zeros((1, 2)), np.array([1]), np.array([1]), np.array([1, 2]), np.array([1, 2]))


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 10_000))
def test_figures_equal_a_plain_walk_down_each_ranking(seed: int) -> None:
    rng = np.random.default_rng(seed)
    distances = rng.integers(0, 6, (5, 30)) / 10  # many ties
    query_ids, query_cameras = rng.integers(1, 4, 5), rng.integers(0, 2, 5)
    ids, cameras = rng.integers(-1, 4, 30), rng.integers(0, 3, 30)
    precisions, firsts = [], []
    for row, identity, camera in zip(distances, query_ids, query_cameras, strict=True):
        hits, place, found = 0, 0, []
        for _, k in sorted((distance, k) for k, distance in enumerate(row)):
            if ids[k] == JUNK or (ids[k] == identity and cameras[k] == camera):
                continue
            place += 1
            if ids[k] == identity:
                hits += 1
                found.append(hits / place)
                firsts += [place] if hits == 1 else []
        precisions += [np.mean(found)] if found else []
    if precisions:
        scores = score(distances, query_ids, query_cameras, ids, cameras)
        assert scores.mean_ap == pytest.approx(np.mean(precisions))
        assert scores.rank(3) == pytest.approx(np.mean(np.array(firsts) <= 3))


def test_the_examples_in_the_docstrings_hold() -> None:
    assert doctest.testmod(models.metrics).failed == 0
