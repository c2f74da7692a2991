"""How much a crop can be trusted: its size and its sharpness. Small or blurred crops of the right person poison a
gallery, because everybody looks like them."""

from dataclasses import dataclass

import numpy as np
from PIL import Image
from PIL.Image import Resampling

from service.domain import ImageArray, Quality
from service.images.decode import Size

SHARPNESS_HEIGHT = 128  # sharpness is judged at one size, else a large crop always looks softer than a small one
SHARPNESS_HALF = 100.0  # variance of the Laplacian (8-bit grey levels squared) that is called 0.5


@dataclass(frozen=True, slots=True)
class QualityGate:
    """The least a crop must have to enter the gallery."""

    min_width: int
    min_height: int
    min_sharpness: float

    def reasons(self, quality: Quality) -> list[tuple[str, str]]:
        """Why a crop is refused, as (code, what to do); empty when it is good enough."""
        found = []
        if quality.width < self.min_width or quality.height < self.min_height:
            size, least = f"{quality.width}×{quality.height}", f"{self.min_width}×{self.min_height}"
            found.append(("TOO_SMALL", f"{size} px; at least {least} is needed"))
        if quality.sharpness < self.min_sharpness:
            found.append(("TOO_BLURRY", f"sharpness {quality.sharpness:.3f}; at least {self.min_sharpness} is needed"))
        return found


def judge(image: ImageArray, size: Size | None = None) -> Quality:
    """Measure a (h, w, 3) uint8 crop: width and height in pixels, sharpness in 0–1. `size` is that of the crop itself
    where the image is a smaller one of it, of 128 px height or more.

    Sharpness is v / (v + 100) with v the variance of the Laplacian of the grey image, a focus measure
    (Pech-Pacheco et al., ICPR 2000), at 128 px height.
    """
    height, width = size or image.shape[:2]
    return Quality(width=width, height=height, sharpness=_sharpness(image))


def _sharpness(image: ImageArray) -> float:
    height, width = image.shape[:2]
    picture = Image.fromarray(image).convert("L")
    if height > SHARPNESS_HEIGHT:
        scaled_width = max(3, round(width * SHARPNESS_HEIGHT / height))
        picture = picture.resize((scaled_width, SHARPNESS_HEIGHT), Resampling.BILINEAR, reducing_gap=2.0)
    gray = np.asarray(picture, dtype=np.float32)
    if min(gray.shape) < 3:
        return 0.0
    center, rows, columns = gray[1:-1, 1:-1], gray[:-2, 1:-1] + gray[2:, 1:-1], gray[1:-1, :-2] + gray[1:-1, 2:]
    variance = float((rows + columns - 4.0 * center).var())
    return round(variance / (variance + SHARPNESS_HALF), 4)
