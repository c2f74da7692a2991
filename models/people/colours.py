"""Colours of people and clothes, as often as they are worn. All are sRGB, 0 to 1."""

import numpy as np

from models.people.style import Style

Colour = tuple[float, float, float]  # sRGB, 0 to 1
Palette = tuple[tuple[str, float, Colour], ...]  # name, weight, colour

SKINS: tuple[Colour, ...] = (
    (0.93, 0.76, 0.67), (0.88, 0.69, 0.58), (0.82, 0.62, 0.5),
    (0.72, 0.52, 0.4), (0.55, 0.38, 0.28), (0.36, 0.24, 0.18),
)  # fmt: skip
HAIRS: Palette = (
    ("black", 5, (0.07, 0.06, 0.06)),
    ("brown", 3, (0.2, 0.13, 0.09)),
    ("light brown", 1.5, (0.4, 0.28, 0.18)),
    ("blond", 1, (0.72, 0.59, 0.38)),
    ("grey", 1, (0.6, 0.6, 0.6)),
    ("red", 0.4, (0.5, 0.22, 0.1)),
)
TOPS: Palette = (
    ("black", 5.5, (0.08, 0.08, 0.09)),
    ("white", 4, (0.9, 0.9, 0.89)),
    ("grey", 2, (0.5, 0.5, 0.51)),
    ("grey", 1.5, (0.27, 0.27, 0.29)),
    ("grey", 1, (0.7, 0.7, 0.71)),
    ("navy", 2, (0.12, 0.14, 0.25)),
    ("blue", 1.5, (0.2, 0.33, 0.6)),
    ("light blue", 1.3, (0.58, 0.7, 0.84)),
    ("red", 1.3, (0.7, 0.14, 0.16)),
    ("burgundy", 0.8, (0.36, 0.1, 0.15)),
    ("pink", 1, (0.88, 0.6, 0.66)),
    ("green", 0.7, (0.2, 0.45, 0.28)),
    ("olive", 1, (0.33, 0.34, 0.2)),
    ("yellow", 0.7, (0.9, 0.77, 0.3)),
    ("orange", 0.5, (0.9, 0.45, 0.15)),
    ("beige", 1.3, (0.78, 0.7, 0.57)),
    ("brown", 1, (0.36, 0.24, 0.16)),
    ("purple", 0.5, (0.4, 0.26, 0.5)),
    ("turquoise", 0.4, (0.2, 0.62, 0.65)),
)
OUTER: Palette = (
    ("black", 6, (0.08, 0.08, 0.09)),
    ("grey", 2, (0.32, 0.32, 0.34)),
    ("navy", 2.5, (0.12, 0.14, 0.24)),
    ("brown", 1.3, (0.33, 0.22, 0.15)),
    ("beige", 1.3, (0.72, 0.63, 0.5)),
    ("olive", 1.3, (0.31, 0.32, 0.2)),
    ("red", 0.8, (0.65, 0.13, 0.15)),
    ("blue", 0.8, (0.2, 0.32, 0.58)),
    ("white", 0.7, (0.86, 0.86, 0.85)),
    ("pink", 0.4, (0.84, 0.55, 0.62)),
)
TROUSERS: Palette = (
    ("black", 6, (0.08, 0.08, 0.09)),
    ("grey", 1.5, (0.3, 0.3, 0.32)),
    ("grey", 0.8, (0.55, 0.55, 0.56)),
    ("navy", 1.5, (0.12, 0.14, 0.24)),
    ("beige", 1.6, (0.7, 0.61, 0.47)),
    ("brown", 0.9, (0.34, 0.25, 0.17)),
    ("olive", 0.6, (0.34, 0.34, 0.22)),
    ("white", 0.7, (0.88, 0.88, 0.86)),
    ("red", 0.25, (0.6, 0.15, 0.17)),
    ("green", 0.2, (0.22, 0.4, 0.28)),
)
JEANS: Palette = (
    ("navy", 2, (0.15, 0.18, 0.29)),
    ("blue", 3, (0.25, 0.32, 0.46)),
    ("blue", 2, (0.37, 0.46, 0.6)),
    ("light blue", 1, (0.58, 0.66, 0.75)),
    ("black", 1.5, (0.13, 0.13, 0.15)),
)
SHOES: Palette = (
    ("black", 6, (0.07, 0.07, 0.08)),
    ("white", 3.5, (0.88, 0.88, 0.87)),
    ("grey", 1.5, (0.45, 0.45, 0.46)),
    ("brown", 2, (0.34, 0.22, 0.14)),
    ("red", 0.5, (0.7, 0.15, 0.15)),
    ("blue", 0.6, (0.2, 0.3, 0.58)),
)
BAGS: Palette = (
    ("black", 5, (0.09, 0.09, 0.1)),
    ("brown", 1.5, (0.36, 0.24, 0.16)),
    ("grey", 1.2, (0.42, 0.42, 0.43)),
    ("navy", 1, (0.13, 0.16, 0.3)),
    ("red", 1, (0.68, 0.14, 0.16)),
    ("blue", 0.8, (0.2, 0.36, 0.62)),
    ("beige", 1, (0.75, 0.66, 0.5)),
    ("white", 0.8, (0.88, 0.88, 0.88)),
    ("pink", 0.5, (0.85, 0.5, 0.6)),
    ("green", 0.4, (0.25, 0.5, 0.3)),
)


def hsv(hue: float, saturation: float, value: float) -> Colour:
    """One colour from hue, saturation and value, each 0 to 1 (Smith, SIGGRAPH 1978)."""
    k = (np.array([5.0, 3.0, 1.0]) + hue * 6.0) % 6.0
    red, green, blue = value - value * saturation * np.clip(np.minimum(k, 4.0 - k), 0.0, 1.0)
    return float(red), float(green), float(blue)


def vary(rng: np.random.Generator, colour: Colour, spread: float = 0.12) -> Colour:
    """A colour near another: brighter or darker, and a little off in hue."""
    light = np.exp(rng.normal(0, spread)) * np.exp(rng.normal(0, spread * 0.3, 3))
    red, green, blue = np.clip(np.array(colour) * light + rng.normal(0, 0.01, 3), 0.03, 0.95)
    return float(red), float(green), float(blue)


def pick(rng: np.random.Generator, palette: Palette, spread: float = 0.12) -> Colour:
    """A colour of the palette, as often as its weight says, varied a little."""
    weights = np.array([weight for _, weight, _ in palette])
    return vary(rng, palette[int(rng.choice(len(palette), p=weights / weights.sum()))][2], spread)


def draw_colour(rng: np.random.Generator, style: Style, palette: Palette) -> Colour:
    """A garment's colour: one that is usual for it, or any hue."""
    if rng.random() < style.usual:
        return pick(rng, palette)
    return hsv(rng.random(), rng.uniform(*style.saturation), rng.uniform(0.15, 0.95))


def name_of(colour: Colour) -> str:
    """The everyday name of a colour: that of the nearest in the palettes, in a space where hue counts most."""

    def place(c: Colour) -> np.ndarray:
        mean = sum(c) / 3
        return np.array([mean, 1.6 * (c[0] - mean), 1.6 * (c[1] - mean), 1.6 * (c[2] - mean)])

    known = {(name, shade) for palette in (TOPS, OUTER, TROUSERS, JEANS) for name, _, shade in palette}
    return min(sorted(known), key=lambda one: float(np.linalg.norm(place(one[1]) - place(colour))))[0]
