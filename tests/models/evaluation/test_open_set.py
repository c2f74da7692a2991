"""The ROC over pairs and open-set identification, against plain counting and against numbers worked by hand."""

import doctest
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

import models.evaluation.open_set
from models.evaluation.metrics import JUNK
from models.evaluation.open_set import (
    LARGEST_FPR,
    SLACK,
    Pairs,
    Searches,
    draw_galleries,
    identify,
    join,
    nearest_by_identity,
    search,
)

Array = NDArray[Any]
Labels = tuple[Array, Array, Array, Array]


def draw(seed: int, queries: int = 12, gallery: int = 60) -> tuple[Array, Labels]:
    """Distances with ties, some negative, and labels with junk and distractors."""
    rng = np.random.default_rng(seed)
    distances = rng.integers(-20, 60, (queries, gallery)) / 50
    cameras = rng.integers(0, 3, queries), rng.integers(0, 3, gallery)
    return distances, (rng.integers(1, 8, queries), cameras[0], rng.integers(-1, 6, gallery), cameras[1])


def collect(distances: Array, labels: Labels, rows: int) -> Pairs:
    query_ids, query_cameras, ids, cameras = labels
    pairs = Pairs(query_ids, ids)
    for start in range(0, len(distances), rows):
        part = slice(start, start + rows)
        pairs.add(distances[part], query_ids[part], query_cameras[part], ids, cameras)
    return pairs


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 12))
def test_the_roc_equals_counting_all_pairs(seed: int, rows: int) -> None:
    distances, labels = draw(seed)
    query_ids, query_cameras, ids, cameras = labels
    positives, negatives = [], []
    for q in range(len(query_ids)):
        for g in range(len(ids)):
            if ids[g] == JUNK or (ids[g] == query_ids[q] and cameras[g] == query_cameras[q]):
                continue
            (positives if ids[g] == query_ids[q] else negatives).append(distances[q, g])
    pairs = collect(distances, labels, rows)
    assert pairs.negatives == len(negatives)
    for point in pairs.roc((0.002, 0.005, 0.01)):
        choices = sorted({*negatives, *positives, 9.0})
        allowed = int(point.false_positive * len(negatives) + 1e-9)
        if not allowed or not positives:
            assert np.isnan(point.true_positive)
            continue
        best = max(bound for bound in choices if sum(d < bound for d in negatives) <= allowed)
        assert sum(d < point.distance for d in negatives) <= allowed
        assert point.true_positive == pytest.approx(np.mean([d < best for d in positives]))


def test_the_roc_keeps_only_the_nearest_of_the_negatives() -> None:
    distances, labels = draw(1, queries=200, gallery=500)
    pairs = collect(distances, labels, 5)
    kept = sum(len(part) for part in pairs.near)
    assert kept <= SLACK * pairs.keep + 5 * 500
    assert pairs.keep == int(LARGEST_FPR * pairs.negatives) + 1


def test_the_roc_is_not_made_up_beyond_what_is_kept() -> None:
    distances, labels = draw(1)
    with pytest.raises(ValueError, match=r"kept up to a false-positive rate of 0\.01"):
        collect(distances, labels, 5).roc((0.2,))


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 3))
def test_searches_equal_looking_at_every_enrolled_crop(seed: int, size: int) -> None:
    distances, (query_ids, query_cameras, ids, cameras) = draw(seed)
    if len(set(query_ids) & set(ids)) < size:
        return
    nearest, identities = nearest_by_identity(distances, query_ids, query_cameras, ids, cameras)
    _, (enrolled,) = draw_galleries(query_ids, ids, size, 1, seed)
    people = set(identities[enrolled].tolist())
    assert len(people) == size
    found = search(nearest, identities, query_ids, enrolled)
    for q, who in enumerate(query_ids):
        own = [d for d, i, c in zip(distances[q], ids, cameras, strict=True) if i == who and c != query_cameras[q]]
        other = [d for d, i in zip(distances[q], ids, strict=True) if i in people and i != who]
        assert found.own[q] == min(own if who in people else [], default=np.inf)
        assert found.other[q] == min(other, default=np.inf)


def test_the_share_of_people_found_is_the_one_worked_by_hand() -> None:
    # ten strangers whose nearest candidates are at .1 to 1.0: one of ten lies below .2
    # enrolled people at .15 (found), .19 behind somebody else at .18 (not), .3 (too far)
    strangers = Searches(np.arange(10), np.full(10, np.inf), np.arange(1, 11) / 10)
    people = Searches(np.array([20, 21, 22]), np.array([0.15, 0.19, 0.3]), np.array([0.5, 0.18, 0.9]))
    both = join([strangers, people])
    found = identify(both, np.arange(13) < 10, gallery=3, fpir=0.1)
    assert (found.distance, found.strangers, found.mated) == (0.2, 10, 3)
    assert found.tpir == pytest.approx(1 / 3)


def test_too_few_strangers_for_a_rate_give_no_figure() -> None:
    few = Searches(np.arange(3), np.array([np.inf, np.inf, 0.1]), np.array([0.4, 0.5, 0.9]))
    assert np.isnan(identify(few, np.array([True, True, False]), gallery=1, fpir=0.01).tpir)


def test_nobody_is_enrolled_who_is_not_asked_for() -> None:
    identities, galleries = draw_galleries(np.array([1, 2, 3]), np.array([-1, 0, 0, 1, 2, 9]), 2, 5, seed=1)
    assert identities.tolist() == [0, 1, 2, 9]
    assert all(identities[enrolled].tolist() == [1, 2] for enrolled in galleries)


def test_the_examples_in_the_docstrings_hold() -> None:
    assert doctest.testmod(models.evaluation.open_set).failed == 0
