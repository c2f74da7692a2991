"""Learning rates over a training: the share of the peak rate at each step, as a pure function."""

import math

from models.errors import Refused

SCHEDULES = ("step", "cosine", "linear", "inverse-sqrt", "one-cycle")
ONE_CYCLE_FIRST, ONE_CYCLE_LAST = 1 / 25, 1 / 250_000  # shares of the peak (Smith & Topin, 2019, as PyTorch has them)


def rate_at(
    step: int,
    steps: int,
    schedule: str = "cosine",
    *,
    warm_up: int = 100,
    milestones: tuple[float, ...] = (0.5, 0.8),
    factor: float = 0.1,
) -> float:
    """The share (0, 1] of the peak learning rate at `step` of 0 … steps − 1.

    Over `warm_up` steps it rises linearly from 1/warm_up to 1 (one-cycle: along a half cosine from 1/25), then falls:
    `step` by `factor` at each of the `milestones` (shares of all steps), `cosine` along a half cosine and `linear`
    along a line to 0 at `steps`, `inverse-sqrt` with √(warm_up / step) (Vaswani et al., 2017), `one-cycle` along a half
    cosine to 1/250,000 at the last step. A warm-up that would leave no step after it becomes a fifth of all steps.
    Raises Refused when the schedule is not known or a figure makes no sense.
    """
    check(schedule, warm_up, milestones, factor)
    if warm_up >= steps:
        warm_up = steps // 5
    if schedule == "one-cycle":
        if step < warm_up:
            return between(ONE_CYCLE_FIRST, 1.0, step / warm_up)
        return between(1.0, ONE_CYCLE_LAST, (step - warm_up) / max(1, steps - 1 - warm_up))
    if step < warm_up:
        return (step + 1) / warm_up
    done = min(1.0, (step - warm_up) / max(1, steps - warm_up))
    match schedule:
        case "step":
            return math.prod(factor for milestone in milestones if step >= max(warm_up, milestone * steps))
        case "cosine":
            return between(1.0, 0.0, done)
        case "linear":
            return 1.0 - done
        case _:
            return math.sqrt(max(1, warm_up) / (step - warm_up + max(1, warm_up)))


def between(start: float, end: float, done: float) -> float:
    """Along a half cosine from start to end, of which a share 0–1 is done."""
    return end + (start - end) * 0.5 * (1 + math.cos(math.pi * min(1.0, done)))


def check(schedule: str, warm_up: int, milestones: tuple[float, ...], factor: float) -> None:
    """Raise Refused for what no rate can be made of."""
    if schedule not in SCHEDULES:
        raise Refused(f"schedule {schedule!r} is not known; use {', '.join(SCHEDULES)}")
    if warm_up < 0:
        raise Refused(f"a warm-up of {warm_up} steps cannot be; use 0 or more")
    if not 0 < factor <= 1:
        raise Refused(f"a rate cannot be multiplied by {factor} at milestones; use more than 0, at most 1")
    if not all(0 < milestone < 1 for milestone in milestones):
        raise Refused(f"milestones {milestones} are not all between 0 and 1; they are shares of all steps")
