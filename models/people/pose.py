"""How a person stands or walks at one moment."""

from dataclasses import dataclass

import numpy as np

from models.people.style import Style

Pair = tuple[float, float]  # left, right


@dataclass(frozen=True, slots=True)
class Pose:
    """Angles in radians; pairs are (left, right)."""

    thighs: Pair  # swing forward
    knees: Pair  # flexion
    stance: float  # legs apart
    arms: Pair  # swing forward
    spread: Pair  # arms away from the body
    elbows: Pair  # flexion
    inward: Pair  # forearms turned before the body
    lean: float  # forward
    sway: float  # to the side
    twist: float  # shoulders against hips
    look: float  # head turned aside
    nod: float  # head bent forward
    riding: bool
    shift: Pair  # where the folds of the clothes lie, 0 to 1


def draw_pose(rng: np.random.Generator, style: Style, rides: bool = False, umbrella: bool = False) -> Pose:
    """A moment of walking, or now and then of standing; `rides` draws one on a bicycle four times in five."""
    phase, kind = rng.uniform(0, 2 * np.pi), rng.random()
    swing = rng.uniform(0.35, 1.0) * style.stride if kind < 0.78 else rng.uniform(0.0, 0.12)
    thighs = (0.05 + swing * np.sin(phase), 0.05 - swing * np.sin(phase))
    lifted = (max(0.0, np.cos(phase)) ** 2, max(0.0, -np.cos(phase)) ** 2)
    knees = tuple(rng.uniform(0.03, 0.16) + rng.uniform(1.4, 2.2) * swing * one for one in lifted)
    far = swing * rng.uniform(0.4, 1.2) * np.sin(phase)
    arms, elbows = [-far, far], rng.uniform(0.08, 0.55, 2).tolist()
    spread, inward = rng.uniform(0.02, 0.2, 2).tolist(), rng.uniform(-0.1, 0.35, 2).tolist()
    nod = rng.normal(0.06, 0.1)
    for side in (0, 1):
        act = rng.random()
        if umbrella and side == 0:
            arms[0], elbows[0], inward[0] = 0.3, 1.9, 0.2
        elif act < 0.17:
            nod += gesture(rng, act, side, arms, spread, elbows, inward)
    if act_of_both := rng.random() < 0.03:  # arms crossed, or both hands on something
        arms, elbows, inward = [0.25, 0.25], [1.6, 1.6], [1.0, 1.0]
    riding = rides and bool(rng.random() < 0.8)
    if riding:
        arms, elbows, inward, spread = [0.75, 0.75], [0.25, 0.25], [0.1, 0.1], [0.12, 0.12]
        thighs = (1.05 + 0.4 * np.sin(phase), 1.05 - 0.4 * np.sin(phase))
        knees = (1.25 + 0.35 * np.sin(phase + 0.6), 1.25 - 0.35 * np.sin(phase + 0.6))
    return Pose(
        thighs=(float(thighs[0]), float(thighs[1])),
        knees=(float(knees[0]), float(knees[1])),
        stance=abs(rng.normal(0.02, 0.04)) + (rng.uniform(0, 0.12) if kind >= 0.78 else 0.0),
        arms=(float(arms[0]), float(arms[1])),
        spread=(float(spread[0]), float(spread[1])),
        elbows=(float(elbows[0]), float(elbows[1])),
        inward=(float(inward[0]), float(inward[1])),
        lean=0.35 if riding else rng.normal(0.05, 0.05) + (0.05 if act_of_both else 0.0),
        sway=rng.normal(0, 0.03),
        twist=float(-0.35 * far + rng.normal(0, 0.06)),
        look=rng.normal(0, 0.35),
        nod=float(nod),
        riding=riding,
        shift=(rng.random(), rng.random()),
    )


def gesture(
    rng: np.random.Generator, act: float, side: int, arms: list[float], spread: list[float],
    elbows: list[float], inward: list[float],
) -> float:  # fmt: skip
    """Gives the arm of a side something to do and returns how far the head bends to it, radians."""
    if act < 0.06:  # a telephone in the hand, or something carried
        arms[side], elbows[side], inward[side] = rng.uniform(0.1, 0.5), rng.uniform(1.2, 1.9), rng.uniform(0.2, 0.7)
        return rng.uniform(0, 0.3)
    if act < 0.09:  # a telephone at the ear, a hand at a strap
        arms[side], elbows[side], inward[side] = rng.uniform(0.2, 0.6), rng.uniform(2.1, 2.5), rng.uniform(0, 0.4)
        spread[side] = rng.uniform(0.2, 0.6)
    else:  # a hand in a pocket
        arms[side], elbows[side], inward[side] = -0.25, rng.uniform(0.5, 0.8), 0.3
        spread[side] = 0.3
    return 0.0
