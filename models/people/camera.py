"""Turns a person's cut-out into the picture that a camera and a detector deliver: background, other people, things in
the way, an imprecise box, light, colour cast, blur, noise and compression."""

from dataclasses import dataclass
from io import BytesIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from models.people.render import Rgba

Rgb = NDArray[np.uint8]  # (h, w, 3)


@dataclass(frozen=True, slots=True)
class Camera:
    """What one camera does to every picture."""

    cast: tuple[float, float, float]  # gain of red, green and blue
    mixing: tuple[float, ...]  # 9 numbers, row by row: leaks between the colours
    exposure: float
    gamma: float
    haze: float  # share of white laid over the picture
    slope: tuple[float, float]  # light grows across the picture, down and to the right
    blur: float  # radius in pixels of the delivered picture
    noise: float  # standard deviation, in 1/255
    quality: int  # of the JPEG
    height: int  # pixels of the delivered picture
    looseness: float  # how imprecisely boxes are cut, 0 to 1
    clutter: float  # probability of another person or a thing in the picture


@dataclass(frozen=True, slots=True)
class Box:
    """Part of a plane in pixels; may begin above or left of the origin."""

    top: int
    left: int
    height: int
    width: int


def draw_camera(rng: np.random.Generator, strength: float = 1.0) -> Camera:
    """A camera at random; strength 0 gives a perfect one, 1 the full range."""
    s = strength
    cast = np.exp(rng.normal(0, 0.22 * s, 3))
    mixing = (np.eye(3) + rng.normal(0, 0.06 * s, (3, 3))).ravel()
    return Camera(
        cast=(float(cast[0]), float(cast[1]), float(cast[2])),
        mixing=tuple(float(v) for v in mixing),
        exposure=float(np.exp(rng.normal(0.1, 0.28 * s))),
        gamma=float(np.exp(rng.normal(0, 0.22 * s))),
        haze=rng.uniform(0, 0.22 * s),
        slope=(rng.normal(0, 0.25 * s), rng.normal(0, 0.25 * s)),
        blur=max(0.0, rng.normal(0.2, 0.8)) * s,
        noise=rng.uniform(0, 9 * s),
        quality=int(rng.uniform(95 - 60 * s, 96)),
        height=int(rng.uniform(150 - 85 * s, 200)),
        looseness=s,
        clutter=0.35 * s,
    )


def cut_box(rng: np.random.Generator, height: int, width: int, looseness: float) -> Box:
    """The box a detector gives for a person of height × width pixels at the origin.

    On each side it misses up to 6 % of the height and 9 % of the width, or adds up to 12 % and 30 %.
    """
    top, bottom = (np.clip(rng.normal(0.02, 0.045, 2) * looseness, -0.06, 0.12) * height).astype(int)
    left, right = (np.clip(rng.normal(0.08, 0.1, 2) * looseness, -0.09, 0.3) * width).astype(int)
    return Box(-int(top), -int(left), int(height + top + bottom), int(width + left + right))


def shoot(cutout: Rgba, camera: Camera, scene: Rgb, others: list[Rgba], rng: np.random.Generator) -> Rgb:
    """The delivered crop, (about camera.height, w, 3), with the person of `cutout` in front of `scene`."""
    box = cut_box(rng, cutout.shape[0], cutout.shape[1], camera.looseness)
    canvas = window(scene, box, rng)
    behind, before = rng.random(2) < camera.clutter * 0.5
    if behind and others:
        passer = others[rng.integers(len(others))]
        paste(canvas, passer, *beside(box, passer, rng, 0.3))
    paste(canvas, cutout, -box.top, -box.left)
    if before and others:
        passer = others[rng.integers(len(others))]
        paste(canvas, passer, *beside(box, passer, rng, 0.75))
    elif rng.random() < camera.clutter * 0.3:
        edge = int(box.height * rng.uniform(0.72, 0.95))
        canvas[edge:] = rng.uniform(20, 220) + rng.normal(0, 20, 3)
    scale = camera.height / box.height
    size = (max(16, round(box.width * scale)), camera.height)
    image = Image.fromarray(canvas.astype(np.uint8)).resize(size, Image.Resampling.BILINEAR)
    if camera.blur > 0.3:
        image = image.filter(ImageFilter.GaussianBlur(camera.blur))
    return compress(expose(np.asarray(image), camera, rng), camera.quality)


def window(scene: Rgb, box: Box, rng: np.random.Generator) -> NDArray[np.float32]:
    """A part of the scene as large as the box, float32 (box.height, box.width, 3), stretched where that is larger."""
    height, width = min(box.height, scene.shape[0]), min(box.width, scene.shape[1])
    y, x = rng.integers(scene.shape[0] - height + 1), rng.integers(scene.shape[1] - width + 1)
    part = scene[y : y + height, x : x + width]
    if part.shape[:2] != (box.height, box.width):
        part = np.asarray(Image.fromarray(part).resize((box.width, box.height)))
    return part.astype(np.float32)


def beside(box: Box, passer: Rgba, rng: np.random.Generator, distance: float) -> tuple[int, int]:
    """Where a passer-by stands: (top, left) in the box, its middle at least `distance` widths from the person's."""
    aside = box.width * rng.uniform(distance, 1.0) * rng.choice([-1, 1])
    left = (box.width - passer.shape[1]) / 2 + aside
    return int((box.height - passer.shape[0]) / 2 + box.height * rng.normal(0, 0.08)), int(left)


def paste(canvas: NDArray[np.float32], cutout: Rgba, top: int, left: int) -> None:
    """Lays the cut-out over the canvas with its upper left corner at (top, left), which may lie outside."""
    r0, c0 = max(top, 0), max(left, 0)
    r1, c1 = min(top + cutout.shape[0], canvas.shape[0]), min(left + cutout.shape[1], canvas.shape[1])
    if r1 <= r0 or c1 <= c0:
        return
    part = cutout[r0 - top : r1 - top, c0 - left : c1 - left]
    alpha = part[..., 3:] * np.float32(1 / 255)
    under = canvas[r0:r1, c0:c1]
    under += alpha * (part[..., :3] - under)


def expose(image: Rgb, camera: Camera, rng: np.random.Generator) -> Rgb:
    """Light, colour cast, haze, gamma and noise."""
    height, width = image.shape[:2]
    matrix = (np.array(camera.cast)[:, None] * np.array(camera.mixing).reshape(3, 3) * camera.exposure / 255).astype(
        np.float32
    )
    light = image.astype(np.float32) @ matrix.T
    down, right = camera.slope
    fall = 1 + down * np.linspace(-0.5, 0.5, height)[:, None] + right * np.linspace(-0.5, 0.5, width)[None, :]
    light *= fall.astype(np.float32)[..., None]
    np.clip(light, 1e-3, 1, out=light)
    np.power(light, np.float32(camera.gamma), out=light)
    light *= np.float32(255 * (1 - camera.haze))
    light += np.float32(255 * camera.haze)
    if camera.noise > 0.5:
        light += rng.standard_normal(light.shape, np.float32) * np.float32(camera.noise)
    return np.asarray(np.clip(light, 0, 255)).astype(np.uint8)


def compress(image: Rgb, quality: int) -> Rgb:
    """The image after a JPEG encoder and decoder."""
    buffer = BytesIO()
    Image.fromarray(image).save(buffer, "jpeg", quality=quality)
    return np.asarray(Image.open(buffer).convert("RGB"))
