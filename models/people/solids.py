"""The parts that figures are made of, as rows of numbers, and the little geometry they need."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Point = tuple[float, float, float]  # metres: x to the person's left, y up, z to the front
Profile = tuple[float, ...]  # half widths or half depths at even steps from start to end, metres
Solids = NDArray[np.float32]  # (n, FIELDS)
FIELDS = 26
FRONT, UP = (0.0, 0.0, 1.0), (0.0, 1.0, 0.0)


@dataclass(frozen=True, slots=True)
class Look:
    """The surface of a solid: part `span` of a sheet, along its axis; `folds` and `fuzz` say how creased the cloth and
    how uneven the outline is (a share of the width), `joint` that its ends are lit as if the limb went on."""

    layer: int
    span: tuple[float, float] = (0.0, 1.0)
    folds: float = 0.0
    fuzz: float = 0.0
    joint: bool = False


def solid(
    start: Point, end: Point, width: Profile, depth: Profile, cap: float, look: Look, front: Point = FRONT
) -> list[float]:
    """A row of Solids: elliptical cross-sections along an axis; `cap` metres is the length of the rounded ends and
    `front` where the sheet's first column looks."""
    surface = (look.layer, *look.span, look.folds, look.fuzz, float(look.joint))
    return [*start, *end, *front, *knots(width), *knots(depth), cap, *surface]


def tube(start: Point, end: Point, radius: Profile, cap: float, look: Look, front: Point = FRONT) -> list[float]:
    """A solid with round cross-sections."""
    return solid(start, end, radius, radius, cap, look, front)


def knots(profile: Profile) -> Profile:
    """Five values from two, three or five."""
    if len(profile) == 2:
        a, b = profile
        return (a, 0.75 * a + 0.25 * b, 0.5 * (a + b), 0.25 * a + 0.75 * b, b)
    if len(profile) == 3:
        a, b, c = profile
        return (a, 0.5 * (a + b), b, 0.5 * (b + c), c)
    return profile


def move(a: Point, x: float, y: float, z: float) -> Point:
    """A point moved by metres."""
    return (a[0] + x, a[1] + y, a[2] + z)


def toward(a: Point, b: Point, share: float) -> Point:
    """A point between two others."""
    return (a[0] + share * (b[0] - a[0]), a[1] + share * (b[1] - a[1]), a[2] + share * (b[2] - a[2]))


def grown(profile: Profile, by: float) -> Profile:
    """A profile with so many metres added."""
    return tuple(one + by for one in profile)


def times(profile: Profile, by: float) -> Profile:
    """A profile scaled."""
    return tuple(one * by for one in profile)


def turned(x: float, z: float, angle: float) -> tuple[float, float]:
    """x and z turned about the vertical."""
    return x * math.cos(angle) + z * math.sin(angle), z * math.cos(angle) - x * math.sin(angle)
