"""From a decoded image to the tensor a network takes. Training, evaluation and serving share this one function,
so that a vector never depends on which of them made it."""

import numpy as np
from PIL import Image
from PIL.Image import Resampling

from service.domain import ImageArray
from service.images.decode import Size
from service.images.quality import SHARPNESS_HEIGHT


def needed(height: int, width: int) -> Size:
    """How large a picture must be decoded, for a network of that input and for its sharpness."""
    return max(height, SHARPNESS_HEIGHT), width


def resize(image: ImageArray, height: int, width: int) -> ImageArray:
    """Resize a (h, w, 3) uint8 image to (height, width, 3), bilinear with antialiasing, without keeping the aspect.

    Person re-identification networks are trained on crops stretched to one size (Luo et al., CVPR Workshops 2019).
    """
    if image.shape[:2] == (height, width):
        return image
    return np.asarray(Image.fromarray(image).resize((width, height), Resampling.BILINEAR))
