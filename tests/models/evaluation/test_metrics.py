"""The Market-1501 protocol against numbers worked by hand and numbers of the public reference implementation."""

import doctest
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

import models.evaluation.metrics
from models.errors import Refused
from models.evaluation.metrics import JUNK, Rankings, classify, join, rank, rank_between, score, summarise
from tests.models.golden import market

Array = NDArray[Any]


def test_the_hand_worked_example_gives_its_digits() -> None:
    up = np.arange(1, 9) / 10
    distances = np.array([up, [0.3, 0.1, 0.2, 0.6, 0.5, 0.4, 0.8, 0.7], up[::-1], up])
    ids, cameras = np.array([1, -1, 1, 0, 2, 1, 2, 3]), np.array([1, 1, 2, 1, 2, 3, 1, 2])

    scores = score(distances, np.array([1, 2, 3, 4]), np.ones(4, int), ids, cameras)

    assert (scores.queries, scores.without_positive) == (3, 1)
    whole = scores.mean_ap_trapezoid * scores.queries / (scores.queries + scores.without_positive)
    assert whole == pytest.approx(0.4583333, abs=1e-7)
    figures = [scores.mean_ap, scores.rank(1), scores.rank(5), scores.mean_inp, scores.mean_ap_trapezoid]
    assert figures == pytest.approx([0.6666667, 0.6666667, 1.0, 0.5833333, 0.6111111], abs=1e-7)


def test_the_full_market_layout_gives_the_reference_digits() -> None:
    one = market()
    scores = score(2 - 2 * one.queries @ one.gallery.T, *one.labels)

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
    with pytest.raises(Refused, match="no query has a positive"):
        score(np.zeros((1, 2)), np.array([1]), np.array([1]), np.array([1, 2]), np.array([1, 2]))


def test_a_distance_that_is_not_a_number_is_refused() -> None:
    with pytest.raises(Refused, match="NaN"):
        score(np.array([[0.1, np.nan]]), np.array([1]), np.array([1]), np.array([1, 2]), np.array([2, 2]))


def draw(seed: int) -> tuple[Array, Array, Array, Array, Array]:
    """A small problem with many ties, junk and distractors."""
    rng = np.random.default_rng(seed)
    distances = rng.integers(-3, 3, (5, 30)) / 10
    return distances, rng.integers(1, 4, 5), rng.integers(0, 2, 5), rng.integers(-1, 4, 30), rng.integers(0, 3, 30)


def walk(row: Array, identity: int, camera: int, ids: Array, cameras: Array) -> list[int]:
    """Ranks of the positives, by walking down the sorted gallery."""
    place, found = 0, []
    for _, k in sorted((distance, k) for k, distance in enumerate(row)):
        if ids[k] == JUNK or (ids[k] == identity and cameras[k] == camera):
            continue
        place += 1
        found += [place] if ids[k] == identity else []
    return found


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 10_000))
def test_figures_equal_a_plain_walk_down_each_ranking(seed: int) -> None:
    distances, query_ids, query_cameras, ids, cameras = draw(seed)
    found = [
        walk(row, who, where, ids, cameras) for row, who, where in zip(distances, query_ids, query_cameras, strict=True)
    ]
    found = [ranks for ranks in found if ranks]
    if not found:
        return
    steps = [np.mean([(k + 1) / place for k, place in enumerate(ranks)]) for ranks in found]
    slopes = [
        np.mean([((k + 1) / place + (k / (place - 1) if place > 1 else 1)) / 2 for k, place in enumerate(ranks)])
        for ranks in found
    ]
    scores = score(distances, query_ids, query_cameras, ids, cameras)
    assert scores.mean_ap == pytest.approx(np.mean(steps))
    assert scores.mean_ap_trapezoid == pytest.approx(np.mean(slopes))
    assert scores.mean_inp == pytest.approx(np.mean([len(ranks) / ranks[-1] for ranks in found]))
    for k in (1, 3, 20):
        assert scores.rank(k) == pytest.approx(np.mean([ranks[0] <= k for ranks in found]))


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 4))
def test_blocks_of_queries_give_what_all_at_once_do(seed: int, at: int) -> None:
    distances, query_ids, query_cameras, ids, cameras = draw(seed)
    whole = rank(distances, query_ids, query_cameras, ids, cameras)
    parts = [
        rank(distances[rows], query_ids[rows], query_cameras[rows], ids, cameras)
        for rows in (slice(None, at), slice(at, None))
    ]
    for one, other in zip(vars_of(whole), vars_of(join(parts)), strict=True):
        np.testing.assert_array_equal(one, other)
    if whole.counted.any():
        assert summarise(whole, 30).mean_ap == score(distances, query_ids, query_cameras, ids, cameras).mean_ap


def vars_of(rankings: Rankings) -> list[Array]:
    return [rankings.ap, rankings.ap_trapezoid, rankings.inp, rankings.first]


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10_000))
def test_a_pair_of_cameras_is_ranked_as_if_there_were_no_other(seed: int) -> None:
    distances, query_ids, query_cameras, ids, cameras = draw(seed)
    pairs = rank_between(distances, query_ids, query_cameras, ids, cameras)
    assert all(here != there for here, there in pairs)
    for (here, there), rankings in pairs.items():
        rows, columns = query_cameras == here, cameras == there
        firsts = [
            (walk(row[columns], who, here, ids[columns], cameras[columns]) or [0])[0]
            for row, who in zip(distances[rows], query_ids[rows], strict=True)
        ]
        assert rankings.first.tolist() == firsts


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 10_000))
def test_the_classifiers_figures_equal_counting_identity_by_identity(seed: int) -> None:
    rng = np.random.default_rng(seed)
    named, labels = rng.integers(0, 4, (2, 12))
    precisions, recalls, f1s = [], [], []
    for one in set(labels.tolist()):
        right = sum((named == one) & (labels == one))
        precision, recall = right / max(1, sum(named == one)), right / sum(labels == one)
        precisions.append(precision)
        recalls.append(recall)
        f1s.append(2 * precision * recall / (precision + recall) if right else 0)
    found = classify(named, labels)
    expected = (np.mean(named == labels), np.mean(precisions), np.mean(recalls), np.mean(f1s))
    assert (found.accuracy, found.precision, found.recall, found.f1) == pytest.approx(expected)


def test_nothing_to_classify_is_refused() -> None:
    with pytest.raises(Refused, match="no picture to classify"):
        classify(np.zeros(0, np.int64), np.zeros(0, np.int64))


def test_the_examples_in_the_docstrings_hold() -> None:
    assert doctest.testmod(models.evaluation.metrics).failed == 0
