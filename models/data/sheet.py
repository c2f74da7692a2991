"""A contact sheet: what the network sees, for the eyes."""

import io
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from models.files import write_whole

GAP = 2  # pixels between pictures
WHITE = 255


def write_sheet(images: Tensor, path: Path, columns: int) -> None:
    """Write uint8 images (N, h, w, 3), such as a batch's, as a PNG with `columns` to a row. Raises Refused, and leaves
    nothing, where it cannot."""
    buffer = io.BytesIO()
    Image.fromarray(lay_out(images.numpy(), columns)).save(buffer, "PNG")
    write_whole(path, buffer.getvalue())


def lay_out(images: NDArray[np.uint8], columns: int) -> NDArray[np.uint8]:
    """The images (N, h, w, 3) row by row on white, as one image."""
    count, height, width = images.shape[:3]
    rows = -(-count // columns)
    sheet = np.full((rows * (height + GAP) - GAP, columns * (width + GAP) - GAP, 3), WHITE, np.uint8)
    for k, image in enumerate(images):
        top, left = k // columns * (height + GAP), k % columns * (width + GAP)
        sheet[top : top + height, left : left + width] = image
    return sheet
