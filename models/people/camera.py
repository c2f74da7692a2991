"""Turns a person's cut-out into the picture that a camera and a detector deliver: background, other people, things in
the way, an imprecise box, light, colour cast, blur, noise and compression."""

from dataclasses import dataclass
from functools import cache

import numpy as np
import simplejpeg
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from models.people.darkroom import cast_shadow, cut_window, develop, paste, smear
from models.people.render import Rgba
from models.people.scene import SIZE, Scene
from models.people.style import Optics

Rgb = NDArray[np.uint8]  # (h, w, 3)
Colours = tuple[float, float, float]  # one number for each of red, green and blue
SHARPEN = ImageFilter.UnsharpMask(radius=1.2, percent=110, threshold=0)
PLAIN = Optics()


@dataclass(frozen=True, slots=True)
class Camera:
    """What one camera does to every picture."""

    cast: Colours  # gains
    mixing: tuple[float, ...]  # 9 numbers, row by row: leaks between the colours
    saturation: float
    exposure: float
    gammas: Colours
    contrast: float  # 0 none; an S-curve for more, a flat one for less
    haze: float  # share of a veil laid over the picture
    veil: Colours  # its colour, 0 to 1
    slope: tuple[float, float]  # light grows across the picture, down and to the right
    shadow: tuple[float, float, float]  # how far shadows fall aside and down for each row of height, and how dark
    blur: float  # radius in pixels of a crop of 128 rows
    motion: float  # pixels of a crop of 128 rows
    noise: float  # standard deviation, in 1/255
    quality: int  # of the JPEG
    subsampling: str
    rows: int  # of the crop before it is stored
    stored: tuple[int, int]  # rows and columns of the delivered picture, (0, 0) as it was cut
    square: float  # the crop is widened to at least this share of its height, 0 left as it is
    sharpened: bool
    interlaced: bool
    looseness: float  # how imprecisely boxes are cut, 0 to 1
    clutter: float  # probability of other people or things in the picture


@dataclass(frozen=True, slots=True)
class Box:
    """Part of a plane in pixels; may begin above or left of the origin."""

    top: int
    left: int
    height: int
    width: int


def draw_camera(rng: np.random.Generator, strength: float = 1.0, optics: Optics = PLAIN) -> Camera:
    """A camera at random; strength 0 gives a perfect one, 1 the full range of the optics."""
    s, o = strength, optics
    normal = rng.standard_normal(24)
    chance = rng.random(24)
    warm, tint = normal[:2] * s * (1.8 if chance[0] < 0.2 else 1.0) * np.array(o.cast)
    cast = np.exp([warm - tint / 2, tint, -warm - tint / 2])
    gammas = np.exp(normal[3] * o.gamma * s + normal[4:7] * 0.3 * o.gamma * s)
    low, high = o.saturation
    rows = o.rows[0] + (o.rows[1] - o.rows[0]) * chance[1]
    stored = ((0, 0), (0, 0), (128, 64), (128, 64), (128, 48), (160, 60))[int(chance[2] * 6)]
    return Camera(
        cast=triple(cast),
        mixing=tuple((np.eye(3) + normal[7:16].reshape(3, 3) * o.mixing * s).ravel().tolist()),
        saturation=1 + s * (low + (high - low) * float(chance[3]) - 1),
        exposure=float(np.exp((o.exposure[0] + normal[16] * o.exposure[1]) * s)),
        gammas=triple(gammas),
        contrast=float(normal[17] * 0.25 * s),
        haze=float(o.haze * s * chance[4] ** 2),
        veil=triple(np.clip(0.72 + 0.1 * normal[18:21] + 0.15 * normal[21], 0, 1)),
        slope=(float(normal[22] * o.slope * s), float(normal[23] * o.slope * s)),
        shadow=(float(chance[5] * 3 - 1.5), float(chance[6] * 0.7 - 0.35), float(chance[7] * 0.55)),
        blur=float(o.blur[0] + (o.blur[1] - o.blur[0]) * chance[8] ** 1.5) * s,
        motion=float(1 + 4 * chance[9]) * s if chance[10] < o.motion * s else 0.0,
        noise=float(o.noise * s * chance[11] ** 1.7),
        quality=int(95 - s * (95 - o.quality[0] - (o.quality[1] - o.quality[0]) * chance[12] ** 0.6)),
        subsampling="420" if chance[13] < 0.75 else "444",
        rows=int(150 + s * (rows - 150)) if s < 1 else int(rows),
        stored=stored if s > 0.1 else (0, 0),
        square=float(0.3 + 0.22 * chance[14]) if chance[15] < 0.8 else 0.0,
        sharpened=bool(chance[16] < o.sharpened * s),
        interlaced=bool(chance[17] < o.interlaced * s),
        looseness=s * o.looseness,
        clutter=s * o.clutter,
    )


def triple(values: NDArray[np.float64]) -> Colours:
    """Three floats."""
    return float(values[0]), float(values[1]), float(values[2])


def cut_box(rng: np.random.Generator, height: int, width: int, looseness: float, square: float = 0.0) -> Box:
    """The box a detector or an annotator gives for a person of height × width pixels at the origin.

    On each side it misses up to 7 % of the height and 9 % of the width, or adds up to 14 % and 30 %; one in twelve
    loses the feet or, more seldom, the head. With `square` it is widened to that share of its height.
    """
    tall = np.clip(rng.normal(0.025, 0.05, 2) * looseness, -0.07, 0.14)
    fate = rng.random()
    if fate < 0.06 * looseness:
        tall[1] = -rng.uniform(0.07, 0.22)
    elif fate < 0.08 * looseness:
        tall[0] = -rng.uniform(0.05, 0.1)
    top, bottom = (tall * height).astype(int)
    left, right = (np.clip(rng.normal(0.07, 0.1, 2) * looseness, -0.09, 0.3) * width).astype(int)
    missing = int(square * (height + top + bottom)) - int(width + left + right)
    if missing > 0:
        share = float(np.clip(rng.normal(0.5, 0.12 * looseness), 0.1, 0.9))
        left, right = left + int(share * missing), right + missing - int(share * missing)
    return Box(-int(top), -int(left), int(height + top + bottom), int(width + left + right))


def shoot(cutout: Rgba, camera: Camera, scene: Scene, others: list[Rgba], rng: np.random.Generator) -> Rgb:
    """The delivered crop (h, w, 3) with the person of `cutout` in front of `scene`."""
    box = cut_box(rng, cutout.shape[0], cutout.shape[1], camera.looseness, camera.square)
    canvas = place(cutout, box, camera, scene, others, rng)
    scale = camera.rows / box.height
    image = Image.fromarray(canvas)
    if camera.rows < 0.97 * box.height:
        image = image.resize((max(12, round(box.width * scale)), camera.rows), Image.Resampling.BILINEAR)
    blur = camera.blur * image.height / 128
    if blur > 0.35:
        image = image.filter(
            ImageFilter.BoxBlur(blur) if camera.subsampling == "444" else ImageFilter.GaussianBlur(blur)
        )
    shown = np.asarray(image)
    if camera.motion > 1.5:
        shown = smear(shown, camera.motion * shown.shape[0] / 128, rng.normal(0, 0.3))
    shown = expose(shown, camera, rng)
    if camera.interlaced:
        shown[1::2] = np.roll(shown[1::2], 1, axis=1)
    image = Image.fromarray(shown)
    height, width = camera.stored if camera.stored[0] else (camera.rows, max(12, round(box.width * scale)))
    if image.size != (width, height):
        image = image.resize((width, height), Image.Resampling.BILINEAR)
    if camera.sharpened:
        image = image.filter(SHARPEN)
    return compress(np.ascontiguousarray(image), camera.quality, camera.subsampling)


def place(cutout: Rgba, box: Box, camera: Camera, scene: Scene, others: list[Rgba], rng: np.random.Generator) -> Rgb:
    """The crop before any optics, (box.height, box.width, 3): background, passers-by, shadow, person, things."""
    canvas = np.empty((box.height, box.width, 3), np.uint8)
    step = rng.uniform(0.7, 1.5)
    feet = rng.uniform(min(SIZE - 20, scene.ground + 25), SIZE - 10)
    top = max(-20.0, feet - (cutout.shape[0] - box.top) * step)
    cut_window(scene.picture, canvas, top, rng.uniform(0, max(1.0, SIZE - box.width * step)), step)
    chance = rng.random(8)
    crowded = chance[0] < 0.15  # people behind, smaller the farther they are
    for _ in range((2 if crowded else 1) if others and chance[1] < camera.clutter * 0.7 else 0):
        passer, scale = others[rng.integers(len(others))], rng.uniform(0.45, 1.0)
        y, x = beside(box, cutout, passer, rng, 0.25, scale)
        paste(canvas, passer, y, x, scale, rng.uniform(0.7, 1.2))
    cast_shadow(canvas, cutout, -box.top, -box.left, *camera.shadow)
    paste(canvas, cutout, -box.top, -box.left, 1.0, 1.0)
    if others and chance[2] < camera.clutter * 0.25:
        passer, scale = others[rng.integers(len(others))], rng.uniform(1.0, 1.15)
        y, x = beside(box, cutout, passer, rng, 0.65, scale)
        paste(canvas, passer, y, x, scale, rng.uniform(0.8, 1.15))
    elif chance[3] < camera.clutter * 0.25:
        hide(canvas, scene, rng)
    return canvas


def hide(canvas: Rgb, scene: Scene, rng: np.random.Generator) -> None:
    """Something in the way: a wall, a car's bonnet, a hedge or a table below; a pole or a door's edge at the side."""
    height, width = canvas.shape[:2]
    y, x = rng.integers(0, SIZE - 40, 2)
    tone = scene.picture[y : y + 40, x : x + 40].astype(np.int32) + rng.integers(-40, 40)
    tone = np.clip(np.tile(tone, (height // 40 + 1, width // 40 + 1, 1))[:height, :width], 0, 255).astype(np.uint8)
    if rng.random() < 0.6:
        edge = int(height * rng.uniform(0.68, 0.93))
        canvas[edge:] = tone[edge:]
    else:
        left, wide = int(width * rng.uniform(-0.1, 1.0)), int(width * rng.uniform(0.04, 0.3))
        canvas[:, max(0, left) : left + wide] = tone[:, max(0, left) : left + wide]


def beside(
    box: Box, cutout: Rgba, passer: Rgba, rng: np.random.Generator, distance: float, scale: float
) -> tuple[int, int]:
    """Where a passer-by stands: (top, left) in the box, at least `distance` widths aside; who is smaller is farther."""
    aside = max(box.width, cutout.shape[1]) * rng.uniform(distance, 0.9) * rng.choice([-1, 1])
    left = (box.width - passer.shape[1] * scale) / 2 + aside
    feet = cutout.shape[0] - box.top - (1 - scale) * rng.uniform(0.2, 0.9) * cutout.shape[0]
    return int(feet - passer.shape[0] * scale + box.height * rng.normal(0, 0.03)), int(left)


@cache
def film() -> NDArray[np.float32]:
    """Normal numbers (2**18,) for the noise of all pictures; each begins elsewhere in them."""
    return np.random.default_rng(77).standard_normal(2**18, np.float32)


LEVELS = np.linspace(0, 1, 512, dtype=np.float32)


def curves_of(camera: Camera) -> NDArray[np.float32]:
    """The tone curve of each colour, (3, 512), 0 to 255."""
    curves = np.empty((3, 512), np.float32)
    for k in range(3):
        tone = LEVELS ** np.float32(camera.gammas[k])
        tone = tone + np.float32(camera.contrast) * (tone - np.float32(0.5)) * 4 * tone * (1 - tone)
        curves[k] = 255 * ((1 - camera.haze) * tone + camera.haze * camera.veil[k])
    return curves


def expose(image: Rgb, camera: Camera, rng: np.random.Generator) -> Rgb:
    """Light, colour cast, saturation, tone curves, haze and noise."""
    grey = np.array([[0.3, 0.59, 0.11]])
    colour = camera.saturation * np.eye(3) + (1 - camera.saturation) * np.ones((3, 1)) @ grey
    matrix = np.array(camera.cast)[:, None] * (np.array(camera.mixing).reshape(3, 3) @ colour) * camera.exposure
    out = np.empty(image.shape, np.uint8)
    down, right = camera.slope
    develop(
        image,
        matrix.astype(np.float32),
        curves_of(camera),
        np.float32(down),
        np.float32(right),
        film(),
        np.float32(camera.noise),
        int(rng.integers(2**18)),
        out,
    )
    return out


def compress(image: Rgb, quality: int, subsampling: str = "420") -> Rgb:
    """The image after a JPEG encoder and decoder."""
    encoded = simplejpeg.encode_jpeg(image, quality=quality, colorsubsampling=subsampling)
    decoded: Rgb = simplejpeg.decode_jpeg(encoded)
    return decoded
