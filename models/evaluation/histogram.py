"""The baseline to beat: HSV histograms of six horizontal stripes (in the manner of Farenzena et al., CVPR 2010)."""

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from service.images.preprocess import resize

STRIPES = 6
BINS = (8, 4, 4)  # of hue, saturation and value
SIZE = (128, 64)  # height and width, pixels


def describe_colours(images: list[NDArray[np.uint8]]) -> NDArray[np.float32]:
    """RGB images (h, w, 3) to unit vectors (n, 768): the square roots of each stripe's shares (Hellinger's kernel)."""
    return np.stack([describe_one(image) for image in images])


def describe_one(image: NDArray[np.uint8]) -> NDArray[np.float32]:
    """One image (h, w, 3) to a unit vector (768,)."""
    pixels = np.asarray(Image.fromarray(resize(image, *SIZE)).convert("HSV")).astype(np.int64)
    hue, saturation, value = (pixels[..., k] * BINS[k] // 256 for k in range(3))
    bins = (hue * BINS[1] + saturation) * BINS[2] + value
    count = int(np.prod(BINS))
    stripes = [np.bincount(stripe.ravel(), minlength=count) for stripe in np.array_split(bins, STRIPES)]
    shares = np.sqrt(np.concatenate(stripes).astype(np.float32))
    return np.asarray(shares / np.linalg.norm(shares))
