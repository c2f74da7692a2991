"""What people carry and ride."""

import itertools
import math

import numpy as np

from models.people.dress import BAG, HAT, METAL
from models.people.person import Person
from models.people.pose import Pose
from models.people.solids import Look, Point, move, solid, toward, tube


def carried(
    person: Person, pose: Pose, hips: Point, neck: Point, arms: list[tuple[Point, Point, Point]]
) -> list[list[float]]:
    """Bags, a suitcase, an umbrella; straps on the body are drawn on the cloth."""
    wrist = arms[0 if person.bag_left else 1][2]
    rows = []
    match person.bag:
        case "backpack":
            rows = [backpack(person, hips, neck)]
        case "shoulder":
            rows = shoulder_bag(person, hips, neck)
        case "handbag" | "shopper":
            rows = hand_bag(person, wrist)
        case "suitcase":
            rows = suitcase(person, hips, wrist)
    return rows + umbrella(person, neck, arms[0][2]) if person.umbrella else rows


def backpack(person: Person, hips: Point, neck: Point) -> list[float]:
    """A rucksack."""
    h, size = person.body.height, person.bag_size
    deep = 0.075 * h * (0.35 + 0.65 * person.body.build) + person.outfit.loose
    half = 0.06 * h * size
    low = move(toward(hips, neck, 0.42 - 0.12 * size), 0, 0, -deep - 0.4 * half)
    high = move(toward(hips, neck, 0.96), 0, 0, -deep - 0.25 * half)
    width = (0.074 * h * size, 0.078 * h * size, 0.06 * h * size)
    return solid(low, high, width, (half, half, half * 0.6), 0.03 * h, Look(BAG, folds=0.08, fuzz=0.03))


def shoulder_bag(person: Person, hips: Point, neck: Point) -> list[list[float]]:
    """A bag at the hip; a smaller one hangs from the shoulder of its side, a larger one across."""
    h, size, sign = person.body.height, person.bag_size, 1.0 if person.bag_left else -1.0
    side = move(hips, sign * (0.1 * h * person.body.build + 0.02 * h), -0.03 * h, -0.01 * h)
    top, width = move(side, 0, 0.13 * h * size, 0), (0.028 * h, 0.03 * h, 0.022 * h)
    rows = [solid(side, top, width, (0.085 * h * size,) * 3, 0.01, Look(BAG, folds=0.06))]
    if size <= 0.95:
        start, end = move(side, 0, 0.1 * h, 0), move(neck, sign * 0.085 * h, 0, 0)
        rows.append(solid(start, end, (0.008 * h,) * 2, (0.02 * h,) * 2, 0.02, Look(BAG, (0.9, 1.0))))
    return rows


def hand_bag(person: Person, wrist: Point) -> list[list[float]]:
    """A handbag or a shopping bag that hangs from a hand."""
    h, size, small = person.body.height, person.bag_size, person.bag == "handbag"
    top = move(wrist, 0, -(0.1 if small else 0.03) * h, 0.02 * h)
    low = move(top, 0, -((0.12 if small else 0.2) * h * size), 0)
    width, depth = (0.035 * h * size, 0.03 * h, 0.02 * h), (0.085 * h * size, 0.08 * h * size, 0.06 * h * size)
    grip = move(wrist, 0, -0.04 * h, 0.01 * h)
    return [
        solid(low, top, width, depth, 0.012, Look(BAG, folds=0.12, fuzz=0.04)),
        solid(top, grip, (0.005 * h,) * 2, (0.03 * h, 0.012 * h), 0.005, Look(BAG, (0.9, 1.0))),
    ]


def suitcase(person: Person, hips: Point, wrist: Point) -> list[list[float]]:
    """A suitcase that is pulled along."""
    h, sign = person.body.height, 1.0 if person.bag_left else -1.0
    at = move(hips, sign * 0.17 * h, -hips[1] + 0.03 * h, -0.15 * h)
    top, grip = move(at, 0, 0.3 * h, 0), move(wrist, 0, -0.04 * h, 0)
    return [
        solid(at, move(at, 0, 0.3 * h * person.bag_size, 0), (0.1 * h,) * 3, (0.065 * h,) * 3, 0.02, Look(BAG)),
        tube(top, grip, (0.008 * h,) * 2, 0.02, Look(METAL)),
    ]


def umbrella(person: Person, neck: Point, hand: Point) -> list[list[float]]:
    """An open umbrella in the left hand."""
    h = person.body.height
    tip = (0.5 * hand[0], neck[1] + 0.42 * h, hand[2])
    return [
        tube(hand, tip, (0.005 * h,) * 2, 0.02, Look(HAT)),
        tube(move(tip, 0, -0.12 * h, 0), tip, (0.3 * h, 0.24 * h, 0.02 * h), 0.005, Look(METAL, folds=0.1)),
    ]


def ridden(person: Person, pose: Pose, hips: Point, legs: list[tuple[Point, Point, Point]]) -> list[list[float]]:
    """A bicycle under whoever rides one: wheels of ten pieces each, and a frame."""
    if not pose.riding:
        return []
    h = person.body.height
    radius = 0.19 * h
    ground = min(joints[2][1] for joints in legs) - 0.06 * h
    wheels = [(0.0, ground + radius, z * h) for z in (-0.32, 0.34)]
    bar = (0.0, hips[1] + 0.12 * h, 0.28 * h)
    thin = (0.009 * h,) * 2
    rows = []
    for hub in wheels:
        ring = [
            move(hub, 0, radius * math.sin(a), radius * math.cos(a)) for a in np.linspace(0, 2 * math.pi, 11).tolist()
        ]
        rows += [tube(p, q, (0.012 * h,) * 2, 0.008, Look(METAL)) for p, q in itertools.pairwise(ring)]
    crank, seat = (0.0, ground + 0.9 * radius, 0.0), move(hips, 0, -0.06 * h, -0.05 * h)
    frame = [(wheels[0], crank), (crank, bar), (crank, seat), (wheels[0], seat), (wheels[1], bar), (seat, bar)]
    rows += [tube(p, q, thin, 0.02, Look(BAG)) for p, q in frame]
    left, right = move(bar, -0.15 * h, 0.02 * h, 0), move(bar, 0.15 * h, 0.02 * h, 0)
    rows.append(tube(left, right, thin, 0.02, Look(METAL)))
    return rows
