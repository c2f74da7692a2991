"""Pictures for tests that need any picture, not real ones: a body of three coloured parts before a textured wall."""

import io

import numpy as np
from PIL import Image


def person(seed: int, *, view: int = 0, height: int = 128, width: int = 64) -> "np.ndarray":
    """A (height, width, 3) uint8 image. The seed chooses the clothes, the view the noise, light and place."""
    clothes = np.random.default_rng(seed).integers(0, 256, (3, 3))
    rng = np.random.default_rng((seed, view))
    image = rng.integers(60, 160, (height, width, 3)).astype(np.float64)
    left, right = int(width * rng.uniform(0.2, 0.3)), int(width * rng.uniform(0.7, 0.8))
    for part, (top, bottom) in enumerate(((0.05, 0.2), (0.2, 0.55), (0.55, 0.95))):
        image[int(top * height) : int(bottom * height), left:right] = clothes[part]
    image = image * rng.uniform(0.8, 1.2) + rng.normal(0, 6, image.shape)
    return image.clip(0, 255).astype(np.uint8)


def encode(image: "np.ndarray", form: str = "JPEG", **options: object) -> bytes:
    """An image as the bytes of a file."""
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, format=form, **options)
    return buffer.getvalue()


def jpeg(seed: int, *, view: int = 0, height: int = 128, width: int = 64) -> bytes:
    """A JPEG of a person."""
    return encode(person(seed, view=view, height=height, width=width), quality=92)
