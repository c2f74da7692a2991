"""Who a person is: body, skin, hair, clothes and bag, the same in every picture."""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from models.people.colours import BAGS, HAIRS, OUTER, SKINS, Colour, draw_colour, pick, vary
from models.people.style import Style
from models.people.wardrobe import Outfit, draw_outfit

Hair = Literal["bald", "short", "bob", "long", "tail", "bun"]
Hat = Literal["none", "cap", "beanie", "brim", "hood", "scarf"]
Bag = Literal["none", "backpack", "shoulder", "handbag", "shopper", "suitcase"]


@dataclass(frozen=True, slots=True)
class Body:
    """Lengths in metres; `shoulders`, `hips` and `build` multiply girths, `legs` is the height of the hips, a share."""

    height: float
    build: float
    shoulders: float
    hips: float
    belly: float
    legs: float
    head: float
    female: bool


@dataclass(frozen=True, slots=True)
class Head:
    """What is seen of a head."""

    skin: Colour
    hair: Hair
    hair_colour: Colour
    hat: Hat
    hat_colour: Colour
    beard: float  # 0 none, 1 full
    glasses: bool
    mask: bool


@dataclass(frozen=True, slots=True)
class Person:
    """An identity."""

    seed: int  # of what is drawn on the clothes
    body: Body
    head: Head
    outfit: Outfit
    bag: Bag
    bag_colour: Colour
    bag_size: float
    bag_left: bool
    umbrella: bool
    rides: bool  # a bicycle, most of the time


def draw_person(rng: np.random.Generator, style: Style) -> Person:
    """A person at random, dressed for the season."""
    female, cold = bool(rng.random() < 0.48), rng.uniform(*style.cold)
    body, skin = (
        draw_body(rng, style, female),
        vary(rng, SKINS[rng.choice(6, p=(0.2, 0.25, 0.23, 0.14, 0.1, 0.08))], 0.06),
    )
    bags: tuple[Bag, ...] = ("none", "backpack", "shoulder", "handbag", "shopper", "suitcase")
    shares = (0.42, 0.2, 0.13, 0.15, 0.08, 0.02) if female else (0.5, 0.27, 0.12, 0.03, 0.06, 0.02)
    return Person(
        seed=int(rng.integers(2**31)),
        body=body,
        head=draw_head(rng, style, female, cold, skin),
        outfit=draw_outfit(rng, style, female, cold, body.height, skin),
        bag=bags[rng.choice(6, p=shares)],
        bag_colour=draw_colour(rng, style, BAGS),
        bag_size=rng.uniform(0.75, 1.25),
        bag_left=bool(rng.random() < 0.5),
        umbrella=bool(rng.random() < 0.012),
        rides=bool(rng.random() < 0.035),
    )


def draw_body(rng: np.random.Generator, style: Style, female: bool) -> Body:
    """A grown-up or, now and then, a child."""
    low, high = style.height_m
    lean = rng.beta(2, 3) if female else rng.beta(3, 2)
    child = rng.random() < 0.02
    return Body(
        height=(low + (high - low) * lean) * (0.78 if child else 1.0),
        build=style.build[0] + (style.build[1] - style.build[0]) * rng.beta(2, 2.6),
        shoulders=rng.uniform(0.88, 1.0) if female else rng.uniform(0.96, 1.12),
        hips=rng.uniform(0.97, 1.14) if female else rng.uniform(0.9, 1.02),
        belly=max(0.0, rng.normal(0.05, 0.2)),
        legs=rng.uniform(*style.legs),
        head=rng.uniform(*style.head) * (1.15 if child else 1.0),
        female=female,
    )


def draw_head(rng: np.random.Generator, style: Style, female: bool, cold: float, skin: Colour) -> Head:
    """Hair, hat, beard and glasses."""
    hairs: tuple[Hair, ...] = ("bald", "short", "bob", "long", "tail", "bun")
    hair = hairs[rng.choice(6, p=(0.0, 0.12, 0.2, 0.34, 0.23, 0.11) if female else (0.1, 0.8, 0.05, 0.02, 0.02, 0.01))]
    hats: tuple[Hat, ...] = ("none", "cap", "beanie", "brim", "hood", "scarf")
    covered = 0.12 + 0.22 * max(0.0, cold - 0.5)
    share = np.array((0.0, 0.5 * (1.2 - cold), 0.9 * cold, 0.18, 0.4 * cold, 0.16 if female else 0.0))
    hat = hats[rng.choice(6, p=share / share.sum())] if rng.random() < covered else "none"
    return Head(
        skin=skin,
        hair=hair,
        hair_colour=pick(rng, HAIRS, 0.2),
        hat=hat,
        hat_colour=draw_colour(rng, style, OUTER),
        beard=0.0 if female or rng.random() < 0.7 else rng.uniform(0.3, 1.0),
        glasses=bool(rng.random() < 0.2),
        mask=bool(rng.random() < 0.06),
    )
