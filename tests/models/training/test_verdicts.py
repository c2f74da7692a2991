"""What is said of a run's figures."""

from dataclasses import replace

import pytest

from models.runs import Record
from models.training.verdicts import (
    judge_dead,
    judge_filters,
    judge_gradients,
    judge_loss,
    judge_rate,
    judge_ratios,
    judge_scores,
    judge_triplets,
)

EMPTY = Record(flags={}, architecture={}, identities=2, parameters=1, commit="", environment={})


def losses(*totals: float) -> Record:
    return replace(EMPTY, losses=[(k, total, {}, 0.1) for k, total in enumerate(totals)])


def test_a_loss_that_falls_is_told_from_one_that_does_not() -> None:
    assert judge_loss(losses(5, 4, 3, 2, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1)) == (
        "From 5 to 1. It is flat at the end.",
        False,
    )
    assert "still falls" in judge_loss(losses(5, 4, 3, 2))[0]
    said, bad = judge_loss(losses(1, 2, 3))
    assert bad
    assert "did not fall" in said


def test_a_gap_between_training_and_validation_is_called_overfitting() -> None:
    scores = [(9, "train", 0.9, 0.95, 0.5), (9, "validation", 0.3, 0.4, 0.1)]
    best = {"metric": "mAP", "set": "validation", "value": 0.3, "step": 5}
    said, bad = judge_scores(replace(EMPTY, scores=scores, best=best))
    assert bad
    assert "a gap of +0.550, it overfits" in said
    assert "It has not been better since." in said
    assert not judge_scores(replace(EMPTY, scores=[scores[0], (9, "validation", 0.9, 0.9, 0.1)]))[1]


def test_the_ratio_that_is_far_too_low_is_named_with_how_far() -> None:
    said, bad = judge_ratios(
        replace(EMPTY, ratios=[(1, {"stem": 2.5e-5, "head": 1e-3}), (2, {"stem": 2.5e-5, "head": 1e-3})])
    )
    assert bad
    assert "Update ratio of stem is 40× too low (2.5e-05)." in said
    assert "head" not in said
    assert not judge_ratios(replace(EMPTY, ratios=[(1, {"stem": 2e-3, "head": 5e-4})]))[1]
    assert "100× too high" in judge_ratios(replace(EMPTY, ratios=[(1, {"stem": 0.1})]))[0]
    assert "does not move" in judge_ratios(replace(EMPTY, ratios=[(1, {"stem": 0.0})]))[0]


def test_dead_channels_and_missing_gradients_are_named() -> None:
    said, bad = judge_dead(replace(EMPTY, dead=[(3, {"0": 0.9, "1": 0.1})]))
    assert bad
    assert "0 (90%)" in said
    assert not judge_dead(replace(EMPTY, dead=[(3, {"0": 0.1})]))[1]
    found = {"gradients": {"stem": [0.0, 0.0, 1.0], "head": [-1.0, 1.0, 1.0]}}
    assert judge_gradients(replace(EMPTY, histograms=found)) == ("No gradient reaches stem.", True)
    found = {"gradients": {"stem": [-0.1, 0.0, 1.0], "head": [-1.0, 1.0, 1.0]}}
    assert "10× apart" in judge_gradients(replace(EMPTY, histograms=found))[0]


@pytest.mark.parametrize(
    "verdict",
    [judge_loss, judge_rate, judge_scores, judge_ratios, judge_dead, judge_gradients, judge_filters, judge_triplets],
)
def test_a_run_that_has_noted_nothing_is_no_bad_news(verdict) -> None:  # type: ignore[no-untyped-def]
    said, bad = verdict(EMPTY)
    assert said
    assert not bad
