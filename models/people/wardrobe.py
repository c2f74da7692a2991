"""What a person wears: garments that go together and fit the season, in the colours that such garments have."""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from models.people.colours import JEANS, OUTER, SHOES, TOPS, TROUSERS, Colour, Palette, draw_colour, vary
from models.people.style import Pattern, Range, Style

Top = Literal["t-shirt", "vest top", "shirt", "jumper", "hoodie", "jacket", "puffer", "coat", "dress"]
Bottom = Literal["trousers", "jeans", "leggings", "shorts", "skirt"]

OPEN: dict[Top, float] = {"jacket": 0.5, "coat": 0.4, "hoodie": 0.3, "shirt": 0.1}  # shares that are worn open
LOOSE: dict[Top, Range] = {  # metres off the body
    "t-shirt": (0.004, 0.03),
    "vest top": (0.002, 0.012),
    "puffer": (0.03, 0.055),
    "coat": (0.014, 0.035),
    "jacket": (0.012, 0.032),
    "hoodie": (0.014, 0.035),
}
LENGTH: dict[Bottom, Range] = {  # shares of the leg
    "trousers": (0.95, 1.0),
    "jeans": (0.93, 1.0),
    "leggings": (0.8, 1.0),
    "shorts": (0.25, 0.55),
    "skirt": (0.28, 0.85),
}
WIDTH: dict[Bottom, Range] = {  # metres off the leg
    "leggings": (0.0, 0.003),
    "jeans": (0.002, 0.016),
    "shorts": (0.01, 0.035),
}


@dataclass(frozen=True, slots=True)
class Cloth:
    """Two colours and a pattern; `scale` metres is the pattern's size, `phase` (0 to 1) where it starts."""

    colour: Colour
    second: Colour
    pattern: Pattern = "plain"
    scale: float = 0.08
    phase: float = 0.0


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


def draw_outfit(
    rng: np.random.Generator, style: Style, female: bool, cold: float, height: float, skin: Colour
) -> Outfit:
    """Clothes that go together in this season (cold from 0 to 1), for somebody `height` metres tall."""
    top = draw_top(rng, female, cold)
    outer = top in ("jacket", "puffer", "coat")
    cloth = draw_cloth(rng, style, OUTER if outer else TOPS, 0.35 if outer else 1.0)
    bottom, lower = draw_lower(rng, style, female, cold, top, cloth)
    sleeve = float({"t-shirt": rng.uniform(0.2, 0.38), "vest top": 0.0}.get(top, 1.0))
    if top in ("shirt", "dress", "jumper") and rng.random() < 0.75 - 0.75 * cold:
        sleeve = rng.uniform(0.2, 0.6)
    dark = rng.random() < 0.25 + 0.6 * cold
    return Outfit(  # drawn in this order
        top=top,
        cloth=cloth,
        inner=draw_colour(rng, style, TOPS),
        open=rng.uniform(0.07, 0.3) if rng.random() < OPEN.get(top, 0) else 0.0,
        sleeve=sleeve,
        sleeve_colour=cloth.second if not outer and rng.random() < 0.07 else cloth.colour,
        hem=draw_hem(rng, top) * height / 1.7,
        loose=rng.uniform(*LOOSE.get(top, (0.005, 0.025))),
        scarf=bool(rng.random() < 0.3 * max(0.0, cold - 0.45)),
        bottom=bottom,
        lower=lower,
        length=rng.uniform(*LENGTH[bottom]),
        width=rng.uniform(*WIDTH.get(bottom, (0.004, 0.022))),
        flare=float(rng.choice([0.0, 0.0, 0.25, 0.7])) * rng.random(),
        stockings=(0.09, 0.09, 0.1) if female and dark else skin,
        shoes=draw_colour(rng, style, SHOES),
        sole=(0.86, 0.86, 0.84) if rng.random() < 0.45 else (0.1, 0.1, 0.1),
        boots=rng.uniform(0.1, 0.42) if rng.random() < (0.25 if female else 0.06) * (0.3 + cold) else 0.0,
    )


def draw_lower(
    rng: np.random.Generator, style: Style, female: bool, cold: float, top: Top, cloth: Cloth
) -> tuple[Bottom, Cloth]:
    """What is worn below, and of which cloth; that of a dress, a suit or a tracksuit is the top's."""
    bottom = draw_bottom(rng, female, cold)
    plain = Cloth(draw_colour(rng, style, JEANS if bottom == "jeans" else TROUSERS), cloth.second)
    lower = plain if bottom in ("jeans", "leggings") else draw_cloth(rng, style, TROUSERS, 0.3)
    if top == "dress" or (bottom == "skirt" and rng.random() < 0.12):
        return "skirt", cloth
    return bottom, Cloth(cloth.colour, cloth.second) if rng.random() < 0.05 else lower


def draw_hem(rng: np.random.Generator, top: Top) -> float:
    """How far a top hangs below the hips of somebody 1.7 m tall, metres."""
    coat, puffer, shirt, other = (
        rng.uniform(*span) for span in ((0.15, 0.45), (0.0, 0.3), (-0.02, 0.13), (-0.03, 0.1))
    )
    return {"coat": coat, "puffer": puffer, "shirt": shirt}.get(top, other)


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
