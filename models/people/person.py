"""Who a person is (body, skin, hair, clothes, bag: the same in every picture) and how they stand (a pose for each)."""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from models.people.fabric import HAIRS, SKINS, Colour, Fabric, draw_colour, draw_fabric
from models.people.style import Style

Hair = Literal["bald", "short", "long", "tail", "bun", "cap", "hood"]
Bottom = Literal["trousers", "shorts", "skirt"]
Bag = Literal["none", "backpack", "shoulder", "hand"]

HAIR_STYLES: tuple[Hair, ...] = ("bald", "short", "short", "long", "long", "tail", "bun", "cap", "hood")
BOTTOMS: tuple[Bottom, ...] = ("trousers", "trousers", "trousers", "shorts", "skirt")
BAGS: tuple[Bag, ...] = ("none", "none", "backpack", "shoulder", "hand")


@dataclass(frozen=True, slots=True)
class Person:
    """An identity. Lengths in metres, shares of a limb from 0 to 1."""

    height: float
    build: float
    shoulders: float  # multiplies the width of the shoulders
    hips: float
    legs: float  # height of the hips over the person's height
    head: float
    skin: Colour
    hair: Hair
    hair_colour: Colour
    hat_colour: Colour
    top: Fabric
    sleeve: float  # share of the arm that is covered
    hem: float  # how far the top hangs below the hips, metres
    bottom: Bottom
    bottom_fabric: Fabric
    bottom_length: float  # share of the leg that is covered
    shoes: Colour
    bag: Bag
    bag_colour: Colour
    bag_size: float


@dataclass(frozen=True, slots=True)
class Pose:
    """Angles in radians; pairs are (left, right)."""

    legs: tuple[float, float]
    knees: tuple[float, float]
    arms: tuple[float, float]
    elbows: tuple[float, float]
    spread: float  # arms away from the body
    lean: float
    look: float  # head turned aside


def draw_person(rng: np.random.Generator, style: Style) -> Person:
    """A person at random."""
    hair = HAIR_STYLES[rng.integers(len(HAIR_STYLES))]
    bottom = BOTTOMS[rng.integers(len(BOTTOMS))]
    top, bottom_fabric = draw_fabric(rng, style), draw_fabric(rng, style)
    if rng.random() < 0.2:  # a jacket worn open over something else
        top = Fabric(top.base, draw_colour(rng, style), "open", top.scale, top.phase, top.folds)
    if bottom == "skirt" and rng.random() < 0.5:  # a dress
        bottom_fabric = top
    height = rng.uniform(*style.height_m)
    return Person(
        height=height,
        build=rng.uniform(*style.build),
        shoulders=rng.uniform(0.9, 1.15),
        hips=rng.uniform(0.9, 1.15),
        legs=rng.uniform(0.46, 0.51),
        head=rng.uniform(*style.head),
        skin=SKINS[rng.integers(len(SKINS))],
        hair=hair,
        hair_colour=HAIRS[rng.integers(len(HAIRS))],
        hat_colour=draw_colour(rng, style),
        top=top,
        sleeve=float(rng.choice([0.0, 0.25, 0.28, 1.0, 1.0, 1.0])),
        hem=float(rng.choice([0.0, 0.03, 0.06, 0.3])) * height / 1.75,
        bottom=bottom,
        bottom_fabric=bottom_fabric,
        bottom_length={"trousers": 1.0, "shorts": rng.uniform(0.3, 0.55), "skirt": rng.uniform(0.35, 0.85)}[bottom],
        shoes=draw_colour(rng, style),
        bag=BAGS[rng.integers(len(BAGS))],
        bag_colour=draw_colour(rng, style),
        bag_size=rng.uniform(0.75, 1.25),
    )


def draw_pose(rng: np.random.Generator, style: Style) -> Pose:
    """A moment of walking, or now and then of standing."""
    swing = (
        rng.uniform(0.1, style.stride) * np.sin(rng.uniform(0, 2 * np.pi))
        if rng.random() < 0.8
        else rng.uniform(-0.08, 0.08)
    )
    bend = abs(swing) * rng.uniform(0.6, 1.8)
    arms = swing * rng.uniform(0.5, 1.3)
    raised = (rng.random(2) < 0.15) * rng.uniform(0.8, 2.0, 2)  # a hand at the phone or in a pocket
    bent = rng.uniform(0.05, 0.5, 2) + raised
    return Pose(
        legs=(swing, -swing),
        knees=(bend if swing < 0 else 0.1, bend if swing > 0 else 0.1),
        arms=(-arms + 0.3 * raised[0], arms + 0.3 * raised[1]),
        elbows=(float(bent[0]), float(bent[1])),
        spread=rng.uniform(0.05, 0.25),
        lean=rng.uniform(-0.04, 0.12),
        look=rng.uniform(-0.6, 0.6),
    )
