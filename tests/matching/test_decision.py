"""Which thresholds are in force, and what they make of a similarity."""

from datetime import UTC, datetime

import pytest

from service.domain import Collection, Thresholds
from service.matching.decision import Decision, decide, thresholds_in_force

MODEL = Thresholds(match=0.7, possible=0.5)


def collection(match: float | None = None, possible: float | None = None) -> Collection:
    return Collection(1, "default", match, possible, None, True, datetime(2026, 5, 1, tzinfo=UTC))


@pytest.mark.parametrize(
    ("requested", "match", "possible", "in_force"),
    [
        (None, None, None, Thresholds(0.7, 0.5)),
        (None, 0.8, None, Thresholds(0.8, 0.5)),
        (None, None, 0.3, Thresholds(0.7, 0.3)),
        (None, 0.8, 0.6, Thresholds(0.8, 0.6)),
        (0.9, 0.8, 0.6, Thresholds(0.9, 0.6)),
        (0.9, None, None, Thresholds(0.9, 0.5)),
        (0.4, 0.8, 0.6, Thresholds(0.4, 0.4)),
        (None, 0.4, None, Thresholds(0.4, 0.4)),
        (None, None, 0.9, Thresholds(0.7, 0.7)),
        (0.0, 0.8, 0.6, Thresholds(0.0, 0.0)),
        (-1.0, None, None, Thresholds(-1.0, -1.0)),
        (None, 0.0, None, Thresholds(0.0, 0.0)),
    ],
)
def test_the_request_rules_over_the_collection_and_the_collection_over_the_model(
    requested: float | None, match: float | None, possible: float | None, in_force: Thresholds
) -> None:
    assert thresholds_in_force(requested, collection(match, possible), MODEL) == in_force


@pytest.mark.parametrize(
    ("similarity", "decision"),
    [
        (None, Decision.UNKNOWN),
        (-1.0, Decision.UNKNOWN),
        (0.4999, Decision.UNKNOWN),
        (0.5, Decision.POSSIBLE),
        (0.6999, Decision.POSSIBLE),
        (0.7, Decision.MATCH),
        (1.0, Decision.MATCH),
        (float("nan"), Decision.UNKNOWN),
    ],
)
def test_a_threshold_belongs_to_the_better_decision(similarity: float | None, decision: Decision) -> None:
    assert decide(similarity, MODEL) == decision


def test_nobody_at_all_is_unknown_even_where_everything_matches() -> None:
    assert decide(None, Thresholds(-1, -1)) == Decision.UNKNOWN
