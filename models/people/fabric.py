"""Fabrics: colour as a function of the place on a limb, so that a print on the chest is seen from the front only."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from models.people.style import Style

Floats = NDArray[np.float32]
Colour = tuple[float, float, float]  # linear RGB, 0 to 1
Pattern = Literal[
    "plain", "hoops", "pinstripes", "checks", "dots", "blocks", "print", "back", "open", "camouflage", "head"
]

PATTERNS: tuple[Pattern, ...] = (
    "hoops", "pinstripes", "checks", "dots", "blocks", "print", "back", "camouflage",
)  # fmt: skip
NEUTRALS: tuple[Colour, ...] = (
    (0.03, 0.03, 0.04), (0.12, 0.12, 0.13), (0.3, 0.3, 0.32), (0.55, 0.55, 0.55), (0.9, 0.9, 0.88),
    (0.06, 0.08, 0.2), (0.14, 0.2, 0.36), (0.3, 0.2, 0.13), (0.62, 0.53, 0.4), (0.25, 0.27, 0.16),
)  # fmt: skip
SKINS: tuple[Colour, ...] = (
    (0.92, 0.73, 0.62),
    (0.82, 0.6, 0.46),
    (0.66, 0.45, 0.32),
    (0.45, 0.29, 0.2),
    (0.27, 0.17, 0.12),
)
HAIRS: tuple[Colour, ...] = (
    (0.05, 0.04, 0.04),
    (0.16, 0.1, 0.07),
    (0.35, 0.22, 0.12),
    (0.7, 0.56, 0.33),
    (0.6, 0.6, 0.6),
    (0.45, 0.17, 0.08),
)


@dataclass(frozen=True, slots=True)
class Fabric:
    """What covers a solid: two colours, mixed by a pattern whose size is `scale` metres and which starts at `phase`."""

    base: Colour
    second: Colour = (0.0, 0.0, 0.0)
    pattern: Pattern = "plain"
    scale: float = 0.1
    phase: float = 0.0
    folds: float = 0.0


def hsv(hue: float, saturation: float, value: float) -> Colour:
    """One colour from hue, saturation and value, each 0 to 1 (Smith, SIGGRAPH 1978)."""
    k = (np.array([5.0, 3.0, 1.0]) + hue * 6.0) % 6.0
    red, green, blue = value - value * saturation * np.clip(np.minimum(k, 4.0 - k), 0.0, 1.0)
    return float(red), float(green), float(blue)


def draw_colour(rng: np.random.Generator, style: Style) -> Colour:
    """A garment's colour: often a neutral one, otherwise any hue."""
    if rng.random() < style.neutral:
        red, green, blue = np.clip(
            np.array(NEUTRALS[rng.integers(len(NEUTRALS))]) * rng.uniform(0.8, 1.2, 3), 0.02, 0.95
        )
        return float(red), float(green), float(blue)
    return hsv(rng.random(), rng.uniform(*style.saturation), rng.uniform(0.2, 0.95))


def draw_fabric(rng: np.random.Generator, style: Style) -> Fabric:
    """A garment's cloth: plain, or with one of the patterns in a second colour."""
    pattern: Pattern = "plain"
    if rng.random() < style.patterned:
        pattern = PATTERNS[rng.integers(len(PATTERNS))]
    return Fabric(
        draw_colour(rng, style),
        draw_colour(rng, style),
        pattern,
        rng.uniform(0.05, 0.16),
        rng.uniform(0.0, 1.0),
        style.folds,
    )


def mix(fabric: Fabric, angle: Floats, along: Floats, length: float) -> Floats | None:
    """How much of the second colour shows at each point, (n,) 0 to 1, or None for a plain fabric.

    `angle` is radians round the solid, 0 at the front; `along` is metres from its start, of `length` metres.
    """
    turns = angle * np.float32(0.16 / fabric.scale)  # a limb is about 0.16 m in radius
    steps = along / np.float32(fabric.scale) + np.float32(fabric.phase)
    match fabric.pattern:
        case "plain":
            return None
        case "hoops":
            shown = steps % 1.0 < 0.5
        case "pinstripes":
            shown = turns % 1.0 < 0.4
        case "checks":
            return ((steps % 1.0 < 0.5).astype(np.float32) + (turns % 1.0 < 0.5)).astype(np.float32) * np.float32(0.5)
        case "dots":
            shown = (steps % 1.0 - 0.5) ** 2 + (turns % 1.0 - 0.5) ** 2 < 0.08
        case "blocks":
            shown = along < np.float32(length * (0.25 + 0.5 * fabric.phase))
        case "print":
            shown = (np.abs(angle) < 0.35 + 4 * fabric.scale) & (np.abs(along / length - 0.68) < 0.1 + fabric.scale)
        case "back":
            shown = (np.abs(angle) > 2.6 - 4 * fabric.scale) & (np.abs(along / length - 0.6) < 0.12 + fabric.scale)
        case "open":
            shown = np.abs(angle) < 0.25 + 0.5 * fabric.phase
        case "camouflage":
            shown = np.sin(steps * 3.1 + np.sin(turns * 2.3)) + np.sin(turns * 2.9 + np.sin(steps * 1.7)) > 0.4
        case "head":  # hair down to a line that is high at the face and low at the back
            shown = along > np.float32(length) * (0.78 - np.clip(np.abs(angle) - 0.9, 0.0, 1.0) * fabric.scale)
    return shown.astype(np.float32)


def paint(fabric: Fabric, angle: Floats, along: Floats, length: float) -> Floats:
    """The fabric's colours (n, 3), before lighting, at points given as in `mix`."""
    base = np.array(fabric.base, np.float32)
    shown = mix(fabric, angle, along, length)
    if shown is None:
        colours = np.broadcast_to(base, (len(angle), 3))
    else:
        colours = base + shown[:, None] * (np.array(fabric.second, np.float32) - base)
    if fabric.folds:
        wave = np.sin(along * np.float32(25 + 20 * fabric.phase) + 2 * np.sin(angle * 2 + fabric.phase * 6)) * np.sin(
            along * np.float32(11 + 9 * fabric.phase) + angle * 2
        )
        colours = colours * (1 + np.float32(fabric.folds) * wave)[:, None]
    return colours.astype(np.float32, copy=False)
