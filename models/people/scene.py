"""Backgrounds: structured pictures to put people in front of. What is behind a person tells nothing about who it is."""

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from models.people.style import Style

SIZE = 384  # pixels on a side; windows for single pictures are cut out of it


def draw_scene(rng: np.random.Generator, style: Style) -> NDArray[np.uint8]:
    """One background, RGB (SIZE, SIZE, 3)."""
    picture = clouds(rng, 3, 6)[..., None] * 40 + ramp(rng)
    if style.organic:
        picture = add_foliage(rng, picture)
    else:
        picture = add_walls(rng, picture)
    picture = picture * (1 + 0.25 * clouds(rng, 24, 96)[..., None])
    return np.clip(picture, 0, 255).astype(np.uint8)


def muted(rng: np.random.Generator) -> NDArray[np.float64]:
    """A colour (3,) 0 to 255, mostly greyish as walls and roads are."""
    return np.asarray(np.clip(rng.uniform(20, 235) + rng.normal(0, 1, 3) * rng.choice([6, 15, 45]), 5, 250))


def clouds(rng: np.random.Generator, coarse: int, fine: int) -> NDArray[np.float32]:
    """Smooth noise (SIZE, SIZE), about -1 to 1, of two grain sizes given as cells per side."""
    total = np.zeros((SIZE, SIZE), np.float32)
    for cells, weight in ((coarse, 0.6), (fine, 0.4)):
        grid = Image.fromarray(rng.uniform(-1, 1, (cells, cells)).astype(np.float32))
        total += weight * np.asarray(grid.resize((SIZE, SIZE), Image.Resampling.BICUBIC))
    return total


def ramp(rng: np.random.Generator) -> NDArray[np.float64]:
    """A wall above a ground, (SIZE, SIZE, 3), each fading from one colour to another."""
    horizon = int(rng.uniform(0.3, 0.85) * SIZE)
    rows = np.empty((SIZE, 1, 3))
    rows[:horizon, 0] = np.linspace(muted(rng), muted(rng), horizon)
    rows[horizon:, 0] = np.linspace(muted(rng), muted(rng), SIZE - horizon)
    return np.repeat(rows, SIZE, axis=1)


def add_walls(rng: np.random.Generator, picture: NDArray[np.float64]) -> NDArray[np.float64]:
    """Windows, doors, cars and posters (rectangles), rails and tiles (repeated lines), and poles."""
    for _ in range(rng.integers(8, 30)):
        top, left = rng.integers(0, SIZE - 10, 2)
        height, width = rng.integers(8, 130, 2)
        blend = rng.uniform(0.4, 1.0)
        box = picture[top : top + height, left : left + width]
        box[:] = (1 - blend) * box + blend * muted(rng)
        if rng.random() < 0.5:
            box[: 1 + height // 20] = muted(rng)
            box[:, : 1 + width // 20] = muted(rng)
    for _ in range(rng.integers(1, 5)):
        top, left = rng.integers(0, SIZE - 80, 2)
        step, thick = int(rng.integers(5, 26)), int(rng.integers(1, 5))
        area = picture[top : top + rng.integers(40, 250), left : left + rng.integers(40, 250)]
        area = area if rng.random() < 0.5 else area.transpose(1, 0, 2)
        for start in range(thick):
            area[start::step] = 0.5 * area[start::step] + 0.5 * muted(rng)
    for column in rng.integers(0, SIZE - 16, rng.integers(0, 6)):
        picture[:, column : column + rng.integers(2, 14)] = muted(rng)
    return picture


def add_foliage(rng: np.random.Generator, picture: NDArray[np.float64]) -> NDArray[np.float64]:
    """Blobs of two greens and browns whose outlines follow smooth noise."""
    for cells in (5, 9, 18, 36):
        colour = muted(rng) * np.array([0.7, 1.0, 0.55])
        cover = clouds(rng, cells, 2 * cells) > rng.uniform(0.0, 0.3)
        picture = np.where(cover[..., None], 0.35 * picture + 0.65 * colour, picture)
    return picture
