"""Backgrounds: structured pictures to put people in front of. What is behind a person tells nothing about who it is."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter

from models.people.style import Setting, Style

SIZE = 384  # pixels on a side; windows for single pictures are cut out of it
Tone = tuple[int, int, int]
Floats = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Scene:
    """A picture (SIZE, SIZE, 3) and the row from which on there is ground."""

    picture: NDArray[np.uint8]
    ground: int


def draw_scene(rng: np.random.Generator, style: Style) -> Scene:
    """One background."""
    setting = style.settings[rng.integers(len(style.settings))]
    ground = int(rng.uniform(0.02, 0.22 if setting in ("indoor", "plaza") else 0.48) * SIZE)
    if setting == "blobs":
        return Scene(finish(rng, foliage(rng, base(rng, setting, ground), 0)), ground)
    picture = base(rng, setting, ground)
    if setting in ("park", "campus"):
        picture = foliage(rng, picture, ground)
    image = Image.fromarray(np.clip(picture, 0, 255).astype(np.uint8))
    pen = ImageDraw.Draw(image)
    clutter(rng, pen, ground)
    far_things(rng, pen, setting, ground)
    ground_marks(rng, pen, setting, ground)
    near_things(rng, pen, setting, ground)
    return Scene(
        finish(rng, np.asarray(image.filter(ImageFilter.GaussianBlur(rng.uniform(0.3, 1.8))), np.float32)), ground
    )


def muted(rng: np.random.Generator, low: float = 25, high: float = 230) -> Tone:
    """A colour as walls, roads and cars have: mostly greyish."""
    red, green, blue = np.clip(
        rng.uniform(low, high) + rng.normal(0, 1, 3) * rng.choice([3, 6, 11, 28], p=(0.33, 0.35, 0.25, 0.07)), 5, 250
    )
    return int(red), int(green), int(blue)


def near(rng: np.random.Generator, tone: Tone, light: float, spread: float = 3) -> Tone:
    """The same colour, so much lighter or darker."""
    red, green, blue = np.clip(np.array(tone) * light + rng.normal(0, spread, 3), 0, 255)
    return int(red), int(green), int(blue)


def clouds(rng: np.random.Generator, coarse: int, fine: int) -> Floats:
    """Smooth noise (SIZE, SIZE), about -1 to 1, of two grain sizes given as cells per side."""
    total = np.zeros((SIZE, SIZE), np.float32)
    for cells, weight in ((coarse, 0.6), (fine, 0.4)):
        grid = Image.fromarray(rng.uniform(-1, 1, (cells, cells)).astype(np.float32))
        total += np.float32(weight) * np.asarray(grid.resize((SIZE, SIZE), Image.Resampling.BICUBIC))
    return total


def base(rng: np.random.Generator, setting: Setting, ground: int) -> Floats:
    """What is far above what is ground, (SIZE, SIZE, 3), each fading from one colour to another."""
    rows = np.empty((SIZE, 1, 3), np.float32)
    far, floor = np.array(muted(rng, 60, 225)), np.array(muted(rng, 70, 205))
    if setting == "park" and rng.random() < 0.6:
        floor = np.array((90, 115, 60)) * rng.uniform(0.6, 1.3) + rng.normal(0, 8, 3)
    rows[:ground, 0] = np.linspace(far, far * rng.uniform(0.7, 1.2), max(ground, 1))[:ground]
    rows[ground:, 0] = np.linspace(floor * rng.uniform(0.85, 1.15), floor, SIZE - ground)
    return np.asarray(np.repeat(rows, SIZE, axis=1))


def foliage(rng: np.random.Generator, picture: Floats, ground: int) -> Floats:
    """Bushes and trees whose outlines follow smooth noise; with ground 0 everywhere, otherwise above the ground."""
    depth = np.arange(SIZE)[:, None] - ground - rng.uniform(0, 30)
    for cells in (4, 9, 18, 40):
        tone = np.array(muted(rng, 30, 150)) * np.array([0.75, 1.0, 0.5])
        edge = rng.uniform(-0.1, 0.3) + (np.clip(depth / 30, -0.3, 3) if ground else 0)
        cover = clouds(rng, cells, 2 * cells) > edge
        picture = np.where(cover[..., None], 0.3 * picture + 0.7 * tone, picture)
    return np.asarray(picture, np.float32)


def clutter(rng: np.random.Generator, pen: ImageDraw.ImageDraw, ground: int) -> None:
    """Many small boxes and strokes far away, as windows, signs, stalls and people are from afar."""
    for _ in range(rng.integers(0, 60)):
        x, y = rng.uniform(0, SIZE), ground * rng.uniform(0.1, 1.1) + rng.uniform(-8, 8)
        wide, tall = rng.uniform(2, 26), rng.uniform(3, 40)
        pen.rectangle((x, y - tall, x + wide, y), fill=muted(rng, 20, 240))


def far_things(rng: np.random.Generator, pen: ImageDraw.ImageDraw, setting: Setting, ground: int) -> None:
    """Walls with bricks, windows and doors; shop fronts; parked cars and bicycles along the edge of the ground."""
    if setting in ("wall", "shops", "campus", "indoor"):
        bottom = ground + int(rng.uniform(-4, 14))
        wall = muted(rng, 50, 220)
        left = 0
        while left < SIZE:
            wide = int(rng.uniform(40, 220))
            pen.rectangle((left, 0, left + wide, bottom), fill=near(rng, wall, rng.uniform(0.75, 1.2)))
            if setting == "wall" and rng.random() < 0.6:
                lines(rng, pen, (left, 0, left + wide, bottom), int(rng.uniform(4, 12)), near(rng, wall, 0.85))
            for _ in range(rng.integers(0, 4)):
                x, w = left + rng.uniform(0, 0.8) * wide, rng.uniform(12, 70)
                y = bottom - 20 - rng.uniform(0.1, 1.1) * ground
                glass = muted(rng, 15, 90) if rng.random() < 0.6 else muted(rng, 150, 245)
                pen.rectangle(
                    (x, y, x + w, bottom - rng.choice([0, 0, 18])), fill=glass, outline=near(rng, wall, 1.25), width=2
                )
            if setting in ("shops", "indoor") and rng.random() < 0.7:
                sign = (int(rng.uniform(60, 250)), int(rng.uniform(20, 230)), int(rng.uniform(20, 230)))
                pen.rectangle((left, bottom - ground * 0.95, left + wide, bottom - ground * 0.8), fill=sign)
            left += wide
    for _ in range(rng.integers(0, 4) if setting in ("road", "pavement", "park") else 0):
        car(rng, pen, rng.uniform(-40, SIZE), ground + rng.uniform(5, 40), rng.uniform(90, 280))
    for _ in range(rng.integers(0, 5) if setting in ("campus", "pavement", "shops") else 0):
        bicycle(rng, pen, rng.uniform(0, SIZE), ground + rng.uniform(10, 80), rng.uniform(35, 120))


def ground_marks(rng: np.random.Generator, pen: ImageDraw.ImageDraw, setting: Setting, ground: int) -> None:
    """Slabs or tiles in perspective, kerbs, zebra crossings, lanes, shadows and patches."""
    tone = muted(rng, 60, 220)
    middle, tall = rng.uniform(-0.5, 1.5) * SIZE, SIZE - ground
    if setting in ("pavement", "shops", "campus", "indoor", "plaza") or rng.random() < 0.3:
        step, rows = rng.uniform(18, 90), rng.uniform(5, 16)
        for k in range(-40, 60):
            pen.line((middle + k * step * 0.4, ground, middle + k * step * 2, SIZE), fill=tone, width=1)
        for k in range(1, int(rows) + 1):
            y = ground + tall * (k / rows) ** 1.6
            pen.line((0, y, SIZE, y + rng.uniform(-6, 6) * 0), fill=tone, width=1)
    if setting in ("road", "plaza") and rng.random() < 0.55:  # a zebra crossing
        white, y0 = muted(rng, 190, 245), ground + tall * rng.uniform(0.2, 0.6)
        y1, step = y0 + tall * rng.uniform(0.2, 0.5), rng.uniform(25, 60)
        for k in range(-10, 20):
            x = middle % SIZE + k * step * 1.2
            pen.polygon([(x, y0), (x + step * 0.5, y0), (x + step * 0.7 - 20, y1), (x - 20, y1)], fill=white)
    for _ in range(rng.integers(1, 4)):  # kerbs, lawns, lanes, another pavement
        y = ground + tall * rng.uniform(0.0, 0.9)
        slope, thick = rng.uniform(-70, 70), rng.uniform(3, 90)
        shade = (
            muted(rng, 50, 215)
            if setting != "park" or rng.random() < 0.5
            else (int(rng.uniform(60, 120)), int(rng.uniform(90, 140)), int(rng.uniform(40, 80)))
        )
        pen.polygon(
            [(0, y), (SIZE, y + slope), (SIZE, y + slope + thick), (0, y + thick * rng.uniform(0.4, 1.4))], fill=shade
        )
    for _ in range(rng.integers(0, 3)):  # shadows of what is not in the picture
        x, y, w = rng.uniform(-50, SIZE), ground + tall * rng.uniform(0.1, 0.9), rng.uniform(30, 160)
        pen.polygon(
            [(x, y), (x + w, y + 5), (x + w * 1.4, y + w * 0.3), (x + w * 0.2, y + w * 0.25)], fill=muted(rng, 30, 90)
        )


def near_things(rng: np.random.Generator, pen: ImageDraw.ImageDraw, setting: Setting, ground: int) -> None:
    """Poles, trunks, railings, bins, benches, posters and stalls that stand on the ground."""
    for _ in range(rng.integers(0, 4)):
        x, wide, foot = rng.uniform(0, SIZE), rng.uniform(2, 14), ground + rng.uniform(10, 0.6 * (SIZE - ground))
        tone = muted(rng, 25, 190)
        pen.rectangle((x, 0, x + wide, foot), fill=tone)
        pen.line((x + wide * 0.25, 0, x + wide * 0.25, foot), fill=near(rng, tone, 1.3), width=max(1, int(wide / 4)))
    if rng.random() < 0.25:  # a railing
        y, tall, step, tone = ground + rng.uniform(0, 80), rng.uniform(20, 60), rng.uniform(6, 24), muted(rng, 20, 230)
        for x in np.arange(0, SIZE, step).tolist():
            pen.line((x, y, x, y + tall), fill=tone, width=2)
        pen.line((0, y, SIZE, y), fill=tone, width=3)
        pen.line((0, y + tall * 0.8, SIZE, y + tall * 0.8), fill=tone, width=2)
    for _ in range(rng.integers(0, 5)):  # bins, boxes, stalls, benches
        x, y = rng.uniform(0, SIZE), ground + rng.uniform(0, 0.7) * (SIZE - ground)
        wide, tall, tone = rng.uniform(8, 60), rng.uniform(8, 60), muted(rng)
        pen.rectangle((x, y - tall, x + wide, y), fill=tone)
        pen.rectangle((x, y - tall, x + wide, y - tall * 0.8), fill=near(rng, tone, 1.3))
        pen.line((x, y, x + wide, y), fill=(25, 25, 25), width=2)
    if setting in ("indoor", "shops"):
        for _ in range(rng.integers(0, 4)):  # reflections of lamps
            x, y = rng.uniform(0, SIZE), rng.uniform(ground, SIZE)
            pen.ellipse((x, y, x + rng.uniform(8, 40), y + rng.uniform(8, 90)), fill=muted(rng, 200, 250))


def lines(
    rng: np.random.Generator, pen: ImageDraw.ImageDraw, box: tuple[float, float, float, float], step: int, tone: Tone
) -> None:
    """Courses of bricks, or boards."""
    left, top, right, bottom = box
    if rng.random() < 0.7:
        for y in range(int(top), int(bottom), step):
            pen.line((left, y, right, y), fill=tone)
    else:
        for x in range(int(left), int(right), step):
            pen.line((x, top, x, bottom), fill=tone)


def car(rng: np.random.Generator, pen: ImageDraw.ImageDraw, x: float, y: float, wide: float) -> None:
    """A parked car from the side, standing on row y."""
    tone, tall = (
        muted(rng, 20, 235) if rng.random() < 0.75 else (int(rng.uniform(90, 200)), 30, int(rng.uniform(20, 120))),
        wide * 0.36,
    )
    glass = muted(rng, 20, 80)
    pen.rounded_rectangle((x, y - tall * 0.65, x + wide, y - tall * 0.12), radius=wide * 0.07, fill=tone)
    pen.polygon(
        [
            (x + wide * 0.15, y - tall * 0.6),
            (x + wide * 0.28, y - tall),
            (x + wide * 0.7, y - tall),
            (x + wide * 0.86, y - tall * 0.6),
        ],
        fill=tone,
    )
    pen.polygon(
        [
            (x + wide * 0.21, y - tall * 0.62),
            (x + wide * 0.31, y - tall * 0.93),
            (x + wide * 0.68, y - tall * 0.93),
            (x + wide * 0.8, y - tall * 0.62),
        ],
        fill=glass,
    )
    pen.line((x + wide * 0.49, y - tall * 0.95, x + wide * 0.49, y - tall * 0.6), fill=tone, width=2)
    for hub in (x + wide * 0.2, x + wide * 0.8):
        pen.ellipse(
            (hub - wide * 0.09, y - wide * 0.16, hub + wide * 0.09, y + wide * 0.02),
            fill=(22, 22, 24),
            outline=(120, 120, 120),
        )
    pen.line((x, y + 1, x + wide, y + 1), fill=(30, 30, 30), width=3)


def bicycle(rng: np.random.Generator, pen: ImageDraw.ImageDraw, x: float, y: float, wide: float) -> None:
    """A parked bicycle."""
    r, tone = wide * 0.27, muted(rng, 10, 120)
    a, b, seat, bar = (
        (x, y - r),
        (x + wide * 0.62, y - r),
        (x + wide * 0.2, y - 2.1 * r),
        (x + wide * 0.52, y - 2.3 * r),
    )
    for hub in (a, b):
        pen.ellipse((hub[0] - r, hub[1] - r, hub[0] + r, hub[1] + r), outline=(30, 30, 30), width=2)
    for p, q in (
        (a, seat),
        (seat, bar),
        (bar, b),
        (seat, (x + wide * 0.3, y - r)),
        ((x + wide * 0.3, y - r), bar),
        ((x + wide * 0.3, y - r), a),
    ):
        pen.line((*p, *q), fill=tone, width=2)


def finish(rng: np.random.Generator, picture: Floats) -> NDArray[np.uint8]:
    """Stains, grain and uneven light."""
    light = 1 + 0.13 * clouds(rng, 3, 12) + rng.uniform(0.02, 0.12) * clouds(rng, 48, 150)
    return np.asarray(np.clip(picture * light[..., None], 0, 255)).astype(np.uint8)
