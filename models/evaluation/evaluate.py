"""What a network is judged by that comes with no folder: unseen synthetic people, and where shared data lies."""

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from models.people.crowd import Picture, draw_pictures
from models.people.style import Style

Describe = Callable[[list[NDArray[np.uint8]]], NDArray[np.float32]]  # images (h, w, 3) to unit vectors (n, dim)

UNSEEN_SEED = 900_000  # training draws its people from small seeds
IDENTITIES, CAMERAS, SHOTS = 200, 4, 2


def draw_unseen(style: Style, shots: int = SHOTS, identities: int = IDENTITIES) -> list[Picture]:
    """People, cameras and backgrounds that no training has seen: identities × 4 cameras × `shots` pictures."""
    pictures = draw_pictures(UNSEEN_SEED, identities, CAMERAS, shots, style)
    return list(
        tqdm(pictures, total=identities * CAMERAS * shots, desc=f"drawing unseen people, {style.name}", disable=None)
    )


def shared_data() -> Path:
    """Where shared data lies: $REAPPEAR_SHARED_DATA, or ../shared/data."""
    return Path(os.environ.get("REAPPEAR_SHARED_DATA", "../shared/data"))
