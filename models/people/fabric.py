"""Cloth: patterns drawn on a sheet that is wrapped round a limb, so that a print on the chest shows in front only."""

from functools import cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from models.people.wardrobe import Cloth

SIZE = 64  # texels of a sheet on a side; column 0 is the front, row 0 the start of the limb
Sheet = NDArray[np.float32]  # (SIZE, SIZE, 3) sRGB, 0 to 1
Mask = NDArray[np.float32]  # (SIZE, SIZE) share of the second colour
GRAIN_SEED = 20_240

U = ((np.arange(SIZE, dtype=np.float32) + 0.5) / SIZE)[None, :]  # turns round the limb
ASIDE = (U + 0.5) % 1 - 0.5  # turns from the front, -0.5 to 0.5
V = ((np.arange(SIZE, dtype=np.float32) + 0.5) / SIZE)[:, None]  # share of the length


@cache
def grain(cells: int, seed: int = GRAIN_SEED) -> Mask:
    """Smooth noise (128, 128), mean 0, deviation 1, that repeats at its edges."""
    rng = np.random.default_rng((seed, cells))
    coarse = np.pad(rng.standard_normal((cells, cells)).astype(np.float32), 3, mode="wrap")
    step = 128 / cells
    wide = Image.fromarray(coarse).resize((round(128 + 6 * step),) * 2, Image.Resampling.BICUBIC)
    edge = round(3 * step)
    noise = np.asarray(wide)[edge : edge + 128, edge : edge + 128]
    return np.ascontiguousarray((noise - noise.mean()) / noise.std())


def piece(cells: int, phase: float) -> Mask:
    """A part (SIZE, SIZE) of the noise; another one for another phase."""
    noise = grain(cells)
    row, column = int(phase * 997) % 32, int(phase * 7919) % 32
    return noise[row : row + SIZE, column : column + SIZE]


def mask_of(cloth: Cloth, around: float, length: float) -> Mask:
    """How much of the second colour shows, (SIZE, SIZE) 0 to 1, on a limb of these metres."""
    scale, phase = cloth.scale, cloth.phase
    x, y = ASIDE * around / scale + phase, V * length / scale + phase  # in units of the pattern
    narrow = 0.12 + 0.38 * phase
    match cloth.pattern:
        case "hoops":
            shown = (y % 1 < narrow) & (x < 1e9)
        case "pinstripes":
            shown = (2.5 * x % 1 < 0.3) & (y < 1e9)
        case "checks":
            return np.asarray(0.5 * (1.5 * x % 1 < 0.5) + 0.5 * (1.5 * y % 1 < 0.5), np.float32)
        case "plaid":
            lines = 0.35 * (x % 1 < 0.4) + 0.35 * (y % 1 < 0.4)
            return np.asarray(lines + 0.3 * ((x % 1 < 0.08) | (y % 1 < 0.08)), np.float32)
        case "dots":
            shown = (2 * x % 1 - 0.5) ** 2 + (2 * y % 1 - 0.5) ** 2 < 0.07
        case "blocks":
            shown = (0.3 + 0.45 * phase > V) & (x < 1e9)
        case "camouflage":
            return np.asarray(0.55 * (piece(16, phase) > 0.2) + 0.45 * (piece(24, scale) > 0.4), np.float32)
        case "floral":
            return np.asarray(np.clip(2.5 * piece(24, phase) * piece(16, scale) - 0.8, 0, 1), np.float32)
        case "diagonal":
            shown = (x + y) % 1 < 0.4
        case "argyle":
            shown = np.abs(x % 1 - 0.5) + np.abs(0.6 * y % 1 - 0.5) < 0.42
        case "gradient":
            return np.asarray(np.clip((V + 0 * x) * 1.3 - 0.2 * phase, 0, 1), np.float32)
        case "zigzag":
            shown = (y + 0.8 * np.abs(x % 1 - 0.5)) % 1 < 0.35
        case "print":
            return printed(cloth, 0.0, around, length)
        case "back":
            return printed(cloth, 0.5, around, length)
        case _:
            return np.zeros((SIZE, SIZE), np.float32)
    return np.asarray(shown, np.float32)


def printed(cloth: Cloth, middle: float, around: float, length: float) -> Mask:
    """A logo, lines of writing, a disc or a picture on the front (middle 0) or the back (0.5)."""
    x = ((U - middle + 0.5) % 1 - 0.5) * around  # metres from the middle of the print
    y = (V - 0.66) * length
    wide, tall = 0.06 + 0.7 * cloth.scale, 0.035 + 0.09 * cloth.phase
    inside = (np.abs(x) < wide) & (np.abs(y) < tall)
    match int(cloth.phase * 1000) % 5:
        case 0:  # writing
            shown = inside & (piece(48, cloth.phase) > -0.2) & ((y / 0.045) % 1 < 0.6)
        case 1:
            shown = (x / wide) ** 2 + (y / wide) ** 2 < 1
        case 2:
            shown = inside
        case 3:
            return np.asarray(inside * np.clip(0.5 + 0.8 * piece(16, cloth.scale), 0, 1), np.float32)
        case _:  # a small badge on one side
            shown = ((x - 0.08) / 0.04) ** 2 + ((y - 0.03) / 0.035) ** 2 < 1
    return np.asarray(shown, np.float32)


def weave(cloth: Cloth, around: float, length: float) -> Sheet:
    """The cloth on a limb of so many metres round and along, evenly lit."""
    sheet = np.empty((SIZE, SIZE, 3), np.float32)
    sheet[:] = cloth.colour
    if cloth.pattern == "melange":
        sheet *= 1 + 0.16 * piece(64, cloth.phase)[..., None]
    elif cloth.pattern != "plain":
        lay(sheet, mask_of(cloth, around, length), cloth.second)
    return sheet


def lay(sheet: Sheet, mask: NDArray[np.generic], colour: tuple[float, float, float]) -> None:
    """Mixes a colour into the sheet by a mask that broadcasts to (SIZE, SIZE)."""
    shown = np.asarray(mask, np.float32)[..., None]
    sheet += shown * (np.array(colour, np.float32) - sheet)
