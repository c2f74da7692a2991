"""All figures in one pass over blocks: the same as of the whole matrix, which is never in memory."""

import tracemalloc

import numpy as np
import pytest

from models.errors import Refused
from models.evaluation.assessment import CURVE, GALLERIES, Assessment, Labels, assess, to_json
from models.evaluation.distances import cosine_blocks
from models.evaluation.metrics import score
from models.evaluation.ranked import choose
from tests.models.golden import Problem, sixty_people, unit


def assess_blocks(one: Problem, block: int = 1 << 24, enrolled: int | None = None, seed: int = 0) -> Assessment:
    return assess(cosine_blocks(one.queries, one.gallery, block), Labels(*one.labels), enrolled, seed)


def test_figures_are_those_of_the_whole_matrix_whatever_the_blocks() -> None:
    one = sixty_people()
    expected = score(1 - one.queries @ one.gallery.T, *one.labels)
    whole, small = assess_blocks(one), assess_blocks(one, block=7 * 540)
    assert whole.scores.mean_ap == pytest.approx(expected.mean_ap)
    assert small.scores.mean_inp == pytest.approx(whole.scores.mean_inp)
    assert [point.true_positive for point in small.roc] == pytest.approx(
        [point.true_positive for point in whole.roc], nan_ok=True
    )
    assert [one.tpir for one in small.open_set] == pytest.approx([one.tpir for one in whole.open_set], nan_ok=True)
    assert small.between.keys() == whole.between.keys()
    np.testing.assert_array_equal(whole.ranked, small.ranked)


def test_the_roc_climbs_and_strangers_are_harder_to_keep_out_of_larger_galleries() -> None:
    one = sixty_people()
    found = assess_blocks(one)
    shares = [point.true_positive for point in found.roc if np.isfinite(point.true_positive)]
    assert shares == sorted(shares, reverse=True)
    assert len(found.roc) == len(CURVE)
    small, large = (assess_blocks(one, enrolled=size).open_set[0] for size in (5, 30))
    assert (small.gallery, small.strangers, large.strangers) == (5, 55, 30)
    assert large.distance < small.distance
    assert not small.firm
    assert small.least <= small.tpir <= small.most


def test_who_is_enrolled_follows_from_the_seed() -> None:
    one = sixty_people()
    first, again, other = (assess_blocks(one, enrolled=10, seed=seed).open_set[0] for seed in (1, 1, 2))
    assert first == again
    assert first.distance != other.distance
    assert GALLERIES == 10


def test_what_cannot_be_told_is_null_in_the_file() -> None:
    found = to_json(assess_blocks(sixty_people()))
    assert found["open_set"][2]["tpir"] is None  # 30 strangers cannot tell an FPIR of 0.1 %
    assert found["open_set"][2]["enough_strangers"] is False
    assert all(pair["query_camera"] != pair["gallery_camera"] for pair in found["camera_pairs"])


def test_one_person_alone_has_figures_but_no_strangers() -> None:
    labels = Labels(np.array([1]), np.array([1]), np.array([1, 2]), np.array([2, 2]))
    assert assess([np.array([[0.1, 0.2]])], labels).open_set == []
    with pytest.raises(Refused, match="a gallery of 1 identities cannot be drawn"):
        assess([np.array([[0.1, 0.2]])], labels, enrolled=1)


def test_ten_times_the_queries_take_no_matrix_in_memory() -> None:
    rng = np.random.default_rng(1)
    gallery, ids, cameras = unit(rng.normal(size=(5_000, 8))), rng.integers(1, 200, 5_000), rng.integers(0, 3, 5_000)
    peaks = []
    for count in (100, 1_000):
        queries, who, where = unit(rng.normal(size=(count, 8))), rng.integers(1, 200, count), rng.integers(0, 3, count)
        tracemalloc.start()
        assess(cosine_blocks(queries, gallery, block=100_000), Labels(who, where, ids, cameras))
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 1_000 * 5_000 * 8 / 2  # half a matrix in double precision: a tenth of the negatives are kept
    assert peaks[1] < 8 * peaks[0]


def test_best_and_worst_queries_are_those_with_a_positive() -> None:
    assert choose(np.array([0.5, np.nan, 1.0, 0.1, 0.7]), 1) == [3, 2]
    assert choose(np.array([0.5, np.nan, 0.2]), 5) == [2, 0]
