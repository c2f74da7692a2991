"""Who a person is: body, skin, hair, clothes and bag, the same in every picture."""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from models.people.colours import (
    BAGS,
    HAIRS,
    JEANS,
    OUTER,
    SHOES,
    SKINS,
    TOPS,
    TROUSERS,
    Colour,
    Palette,
    draw_colour,
    pick,
    vary,
)
from models.people.style import Pattern, Style

Hair = Literal["bald", "short", "bob", "long", "tail", "bun"]
Hat = Literal["none", "cap", "beanie", "brim", "hood", "scarf"]
Top = Literal["t-shirt", "vest top", "shirt", "jumper", "hoodie", "jacket", "puffer", "coat", "dress"]
Bottom = Literal["trousers", "jeans", "leggings", "shorts", "skirt"]
Bag = Literal["none", "backpack", "shoulder", "handbag", "shopper", "suitcase"]


@dataclass(frozen=True, slots=True)
class Cloth:
    """Two colours and a pattern; `scale` metres is the pattern's size, `phase` (0 to 1) where it starts."""

    colour: Colour
    second: Colour
    pattern: Pattern = "plain"
    scale: float = 0.08
    phase: float = 0.0


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
class Outfit:
    """What is worn. Lengths in metres unless they are shares (0 to 1) of a limb."""

    top: Top
    cloth: Cloth
    inner: Colour  # shows at the neck and where a jacket is open
    open: float  # share of the front that an open jacket bares, 0 closed
    sleeve: float  # share of the arm
    sleeve_colour: Colour
    hem: float  # how far the top hangs below the hips
    loose: float  # how far the top stands off the body
    scarf: bool
    bottom: Bottom
    lower: Cloth
    length: float  # share of the leg that the bottom covers
    width: float  # how far it stands off the leg
    flare: float  # how much it widens downwards
    stockings: Colour  # of what is below shorts and skirts: skin or cloth
    shoes: Colour
    sole: Colour
    boots: float  # share of the leg


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


def draw_outfit(
    rng: np.random.Generator, style: Style, female: bool, cold: float, height: float, skin: Colour
) -> Outfit:
    """Clothes that go together in this season."""
    top = draw_top(rng, female, cold)
    outer = top in ("jacket", "puffer", "coat")
    cloth = draw_cloth(rng, style, OUTER if outer else TOPS, 0.35 if outer else 1.0)
    bottom = draw_bottom(rng, female, cold)
    plain = Cloth(draw_colour(rng, style, JEANS if bottom == "jeans" else TROUSERS), cloth.second)
    lower = plain if bottom in ("jeans", "leggings") else draw_cloth(rng, style, TROUSERS, 0.3)
    if top == "dress" or (bottom == "skirt" and rng.random() < 0.12):
        bottom, lower = "skirt", cloth
    elif rng.random() < 0.05:  # a suit or a tracksuit
        lower = Cloth(cloth.colour, cloth.second)
    short, tall = {
        "trousers": (0.95, 1.0),
        "jeans": (0.93, 1.0),
        "leggings": (0.8, 1.0),
        "shorts": (0.25, 0.55),
        "skirt": (0.28, 0.85),
    }[bottom]
    sleeve = float({"t-shirt": rng.uniform(0.2, 0.38), "vest top": 0.0}.get(top, 1.0))
    if top in ("shirt", "dress", "jumper") and rng.random() < 0.75 - 0.75 * cold:
        sleeve = rng.uniform(0.2, 0.6)
    dark = rng.random() < 0.25 + 0.6 * cold
    return Outfit(
        top=top,
        cloth=cloth,
        inner=draw_colour(rng, style, TOPS),
        open=rng.uniform(0.07, 0.3)
        if rng.random() < {"jacket": 0.5, "coat": 0.4, "hoodie": 0.3, "shirt": 0.1}.get(top, 0)
        else 0.0,
        sleeve=sleeve,
        sleeve_colour=cloth.second if not outer and rng.random() < 0.07 else cloth.colour,
        hem={"coat": rng.uniform(0.15, 0.45), "puffer": rng.uniform(0.0, 0.3), "shirt": rng.uniform(-0.02, 0.13)}.get(
            top, rng.uniform(-0.03, 0.1)
        )
        * height
        / 1.7,
        loose=rng.uniform(
            *{
                "t-shirt": (0.004, 0.03),
                "vest top": (0.002, 0.012),
                "puffer": (0.03, 0.055),
                "coat": (0.014, 0.035),
                "jacket": (0.012, 0.032),
                "hoodie": (0.014, 0.035),
            }.get(top, (0.005, 0.025))
        ),
        scarf=bool(rng.random() < 0.3 * max(0.0, cold - 0.45)),
        bottom=bottom,
        lower=lower,
        length=rng.uniform(short, tall),
        width=rng.uniform(
            *{"leggings": (0.0, 0.003), "jeans": (0.002, 0.016), "shorts": (0.01, 0.035)}.get(bottom, (0.004, 0.022))
        ),
        flare=float(rng.choice([0.0, 0.0, 0.25, 0.7])) * rng.random(),
        stockings=(0.09, 0.09, 0.1) if female and dark else skin,
        shoes=draw_colour(rng, style, SHOES),
        sole=(0.86, 0.86, 0.84) if rng.random() < 0.45 else (0.1, 0.1, 0.1),
        boots=rng.uniform(0.1, 0.42) if rng.random() < (0.25 if female else 0.06) * (0.3 + cold) else 0.0,
    )


def draw_top(rng: np.random.Generator, female: bool, cold: float) -> Top:
    """What is worn above."""
    warm = 1 - cold
    shares: dict[Top, float] = {
        "t-shirt": 6 * warm * warm + 0.1,
        "vest top": (1.2 if female else 0.25) * warm * warm,
        "shirt": 1.5 * warm + 0.4,
        "jumper": 1.0,
        "hoodie": 1.2 * min(1.0, 1.5 * cold),
        "jacket": 2.6 * cold,
        "puffer": 1.8 * cold * cold,
        "coat": 1.8 * cold * cold,
        "dress": (1.6 * warm + 0.1) if female else 0.0,
    }
    weights = np.array(list(shares.values()))
    return list(shares)[int(rng.choice(len(weights), p=weights / weights.sum()))]


def draw_bottom(rng: np.random.Generator, female: bool, cold: float) -> Bottom:
    """What is worn below."""
    warm = 1 - cold
    shares: dict[Bottom, float] = {
        "trousers": 3.5,
        "jeans": 3.5,
        "leggings": 1.4 if female else 0.1,
        "shorts": 5.0 * warm * warm,
        "skirt": (1.5 * warm + 0.3) if female else 0.0,
    }
    weights = np.array(list(shares.values()))
    return list(shares)[int(rng.choice(len(weights), p=weights / weights.sum()))]


def draw_cloth(rng: np.random.Generator, style: Style, palette: Palette, patterned: float) -> Cloth:
    """A garment's cloth: plain, or with one of the style's patterns in a second colour."""
    pattern: Pattern = "plain"
    if rng.random() < style.patterned * patterned:
        pattern = style.patterns[rng.integers(len(style.patterns))]
    colour, second = draw_colour(rng, style, palette), draw_colour(rng, style, TOPS)
    if pattern not in ("plain", "melange") and sum(abs(a - b) for a, b in zip(colour, second, strict=True)) < 0.5:
        second = vary(rng, (0.9, 0.9, 0.88) if sum(colour) < 1.4 else (0.1, 0.1, 0.14), 0.05)
    return Cloth(colour, second, pattern, rng.uniform(0.03, 0.13), rng.random())
