"""Random changes to training pictures, uint8 RGB (h, w, 3) in and out, at the size the network takes.

The strongest thing that one camera does unlike another is its colour cast. Everything that maps one value to another
is one look-up table, and everything that mixes colours one matrix, which is many times faster than one after another.
"""

from dataclasses import dataclass

import numpy as np
import simplejpeg
from numpy.typing import NDArray
from PIL import Image, ImageFilter

Rgb = NDArray[np.uint8]  # (h, w, 3)
TO_YIQ = np.array([[0.299, 0.587, 0.114], [0.5959, -0.2746, -0.3213], [0.2115, -0.5227, 0.3112]])
FROM_YIQ = np.linalg.inv(TO_YIQ)


@dataclass(frozen=True, slots=True)
class Augmentation:
    """Probabilities (0–1 per picture) and ranges of each change; `strength` multiplies the ranges, not the odds."""

    flip: float = 0.0  # probability of a mirror image
    crop: float = 0.0  # probability of pad-and-crop
    pad: float = 0.04  # of the height, added at each side before the crop: 10 of 256 pixels (Luo et al., CVPRW 2019)
    jitter: float = 0.0  # probability of colour jitter
    brightness: float = 0.2  # factor 1 ± this
    contrast: float = 0.2  # factor 1 ± this, about the mean grey
    saturation: float = 0.2  # factor 1 ± this
    hue: float = 0.03  # ± turns of the colour circle
    cast: float = 0.0  # probability of a camera's colour cast
    gain: float = 0.15  # standard deviation of the logarithm of the gain of each channel
    gamma: float = 0.15  # standard deviation of the logarithm of gamma
    blur: float = 0.0  # probability of a Gaussian blur
    radius: float = 0.01  # largest standard deviation, of the height: 1.3 of 128 pixels
    jpeg: float = 0.0  # probability of another JPEG compression
    quality: int = 35  # lowest JPEG quality; at strength 0 it is 95
    strength: float = 1.0


NONE = Augmentation()
LIGHT = Augmentation(flip=0.5, crop=0.5, jitter=0.3, brightness=0.1, contrast=0.1, saturation=0.1, hue=0.01)
FULL = Augmentation(flip=0.5, crop=0.5, jitter=0.7, cast=0.5, blur=0.2, jpeg=0.3)
PRESETS = {"none": NONE, "light": LIGHT, "full": FULL}


def augment(image: Rgb, how: Augmentation, rng: np.random.Generator) -> Rgb:
    """A changed copy of the same size, or the image itself where chance changes nothing.

    The order is that of the world: view, light and lens, then compression.
    """
    flip, crop, jitter, cast, blur, jpeg = rng.random(6) < (
        how.flip, how.crop, how.jitter, how.cast, how.blur, how.jpeg
    )  # fmt: skip
    if flip:
        image = image[:, ::-1]
    if crop:
        image = pad_and_crop(image, round(how.pad * how.strength * image.shape[0]), rng)
    if jitter:
        image = jitter_colours(image, how, rng)
    if cast:
        image = cast_colours(image, how, rng)
    if blur:
        sigma = rng.uniform(0, how.radius * how.strength) * image.shape[0]
        image = np.asarray(Image.fromarray(image).filter(ImageFilter.GaussianBlur(sigma)))
    if jpeg:
        lowest = round(95 - (95 - how.quality) * how.strength)
        image = compress(image, int(rng.integers(max(1, lowest), 96)))
    return image


def pad_and_crop(image: Rgb, pad: int, rng: np.random.Generator) -> Rgb:
    """The image moved by up to `pad` pixels each way; edges are repeated into what it uncovers."""
    height, width = image.shape[:2]
    top, left = rng.integers(0, 2 * pad + 1, 2)
    padded = np.pad(image, ((pad, pad), (pad, pad), (0, 0)), mode="edge")
    return padded[top : top + height, left : left + width]


def jitter_colours(image: Rgb, how: Augmentation, rng: np.random.Generator) -> Rgb:
    """Brightness, contrast, saturation and hue; the hue turns in the YIQ plane, which keeps the grey value."""
    brightness, contrast, saturation = 1 + how.strength * rng.uniform(-1, 1, 3) * (
        how.brightness, how.contrast, how.saturation
    )  # fmt: skip
    angle = 2 * np.pi * how.hue * how.strength * rng.uniform(-1, 1)
    cos, sin = saturation * np.cos(angle), saturation * np.sin(angle)
    turn = FROM_YIQ @ np.array([[1, 0, 0], [0, cos, -sin], [0, sin, cos]]) @ TO_YIQ
    scaled = (turn * (brightness * contrast)).astype(np.float32)
    mean = float((image.reshape(-1, 3).mean(0) @ TO_YIQ[0]) * brightness)
    mixed: NDArray[np.float32] = image.astype(np.float32) @ scaled.T + np.float32(mean * (1 - contrast) + 0.5)
    np.clip(mixed, 0, 255, out=mixed)
    return mixed.astype(np.uint8)


def cast_colours(image: Rgb, how: Augmentation, rng: np.random.Generator) -> Rgb:
    """A gain per channel and one gamma, as another sensor and white balance give."""
    gains = np.exp(how.gain * how.strength * rng.standard_normal(3))
    gamma = np.exp(how.gamma * how.strength * rng.standard_normal())
    levels = np.clip(np.arange(256)[:, None] / 255 * gains, 0, 1) ** gamma
    table = (levels * 255 + 0.5).astype(np.uint8)  # (256, 3)
    return np.stack([table[:, channel][image[..., channel]] for channel in range(3)], axis=2)


def compress(image: Rgb, quality: int) -> Rgb:
    """The image after a JPEG encoder, with the usual halved colour resolution, and decoder."""
    encoded = simplejpeg.encode_jpeg(np.ascontiguousarray(image), quality=quality, colorsubsampling="420")
    decoded: Rgb = simplejpeg.decode_jpeg(encoded)
    return decoded
