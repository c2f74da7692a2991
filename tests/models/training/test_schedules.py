"""Rates at their ends, where phases meet, and against PyTorch's schedulers."""

import math
from itertools import pairwise

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.optim.lr_scheduler import CosineAnnealingLR, LinearLR, LRScheduler, MultiStepLR, OneCycleLR

from models.errors import Refused
from models.training.schedules import SCHEDULES, rate_at

STEPS, WARM_UP = 1000, 100


def rates_of(make: type[LRScheduler], steps: int, **settings: object) -> list[float]:
    """What a scheduler of PyTorch gives at each step for a peak of 1."""
    optimiser = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0, momentum=0.9)
    scheduler, rates = make(optimiser, **settings), []
    for _ in range(steps):
        rates.append(optimiser.param_groups[0]["lr"])
        optimiser.step()
        scheduler.step()
    return rates


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_warm_up_ends_where_the_fall_begins_and_never_jumps(schedule: str) -> None:
    rates = [rate_at(step, STEPS, schedule, warm_up=WARM_UP) for step in range(STEPS)]
    assert rates[WARM_UP] == 1
    assert rates[WARM_UP - 1] == pytest.approx(1, abs=0.01)
    assert rates[:WARM_UP] == sorted(rates[:WARM_UP])
    assert rates[WARM_UP:] == sorted(rates[WARM_UP:], reverse=True)
    jumps = [abs(later - earlier) for earlier, later in pairwise(rates)]
    assert max(jumps) < (0.91 if schedule == "step" else 0.02)


@pytest.mark.parametrize(
    ("schedule", "first", "last"),
    [
        ("step", 0.01, 0.01),
        ("cosine", 0.01, 0.5 * (1 + math.cos(math.pi * 899 / 900))),
        ("linear", 0.01, 1 / 900),
        ("inverse-sqrt", 0.01, math.sqrt(100 / 999)),
        ("one-cycle", 1 / 25, 1 / 250_000),
    ],
)
def test_the_first_and_the_last_rate(schedule: str, first: float, last: float) -> None:
    assert rate_at(0, STEPS, schedule, warm_up=WARM_UP) == pytest.approx(first)
    assert rate_at(STEPS - 1, STEPS, schedule, warm_up=WARM_UP) == pytest.approx(last)


@given(
    schedule=st.sampled_from(SCHEDULES),
    steps=st.integers(1, 5000),
    warm_up=st.integers(0, 6000),
    share=st.floats(0, 1, exclude_max=True),
)
def test_rates_are_above_0_and_at_most_1_at_every_step(schedule: str, steps: int, warm_up: int, share: float) -> None:
    assert 0 < rate_at(int(share * steps), steps, schedule, warm_up=warm_up) <= 1


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_without_a_warm_up_the_first_rate_is_the_peak(schedule: str) -> None:
    assert rate_at(0, STEPS, schedule, warm_up=0) == 1


@pytest.mark.parametrize(
    ("schedule", "scheduler", "settings"),
    [
        ("cosine", CosineAnnealingLR, {"T_max": 300}),
        ("linear", LinearLR, {"start_factor": 1.0, "end_factor": 0.0, "total_iters": 300}),
        ("step", MultiStepLR, {"milestones": [150, 240], "gamma": 0.1}),
    ],
)
def test_without_a_warm_up_they_are_pytorchs(
    schedule: str, scheduler: type[LRScheduler], settings: dict[str, object]
) -> None:
    ours = [rate_at(step, 300, schedule, warm_up=0) for step in range(300)]
    assert ours == pytest.approx(rates_of(scheduler, 300, **settings), abs=1e-9)


@pytest.mark.parametrize("share", [0.1, 0.3])
def test_one_cycle_is_pytorchs(share: float) -> None:
    expected = rates_of(OneCycleLR, 300, max_lr=1.0, total_steps=300, pct_start=share)
    ours = [rate_at(step, 300, "one-cycle", warm_up=round(share * 300) - 1) for step in range(300)]
    assert ours == pytest.approx(expected, abs=1e-9)


def test_inverse_sqrt_halves_with_four_times_the_steps() -> None:
    assert rate_at(400, 10_000, "inverse-sqrt", warm_up=100) == pytest.approx(0.5)
    assert rate_at(1600, 10_000, "inverse-sqrt", warm_up=100) == pytest.approx(0.25)


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"schedule": "sawtooth"}, "one-cycle"),
        ({"warm_up": -1}, "0 or more"),
        ({"factor": 0.0}, "more than 0"),
        ({"milestones": (0.5, 40.0)}, "shares of all steps"),
    ],
)
def test_settings_that_make_no_rate_are_refused(settings: dict[str, object], reason: str) -> None:
    with pytest.raises(Refused, match=reason):
        rate_at(0, 10, **settings)  # type: ignore[arg-type]


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_a_short_training_reaches_its_peak_too(schedule: str) -> None:
    rates = [rate_at(step, 50, schedule, warm_up=100) for step in range(50)]
    assert rates[10] == max(rates) == 1
    assert rates[9] > rates[0]
