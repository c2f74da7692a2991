"""A folder of a few two-coloured people and flags that train on it in a second."""

from pathlib import Path

import numpy as np
import torch
from PIL import Image

from models.training.flags import Flags

torch.set_num_threads(1)


def make_folder(folder: Path, people: int = 8, cameras: int = 2, shots: int = 2, first: int = 0) -> Path:
    """One folder per person, from the number `first` on: PNG of 64×32 pixels named cC_S.png."""
    for who in range(first, first + people):
        top, bottom = np.random.default_rng(who).integers(0, 255, (2, 3))
        (folder / f"p{who:02d}").mkdir(parents=True)
        for camera in range(cameras):
            for shot in range(shots):
                noise = np.random.default_rng((who, camera, shot)).normal(0, 10, (64, 32, 3))
                image = np.concatenate([np.tile(top, (32, 32, 1)), np.tile(bottom, (32, 32, 1))]) * (1 - 0.2 * camera)
                shades = np.clip(image + noise, 0, 255).astype(np.uint8)
                Image.fromarray(shades).save(folder / f"p{who:02d}" / f"c{camera}_{shot}.png")
    return folder


TINY = Flags(
    people=3, pictures=2, steps=4, height=64, width=32, dim=32, stripes=2, threads=1, drawers=0, note_every=2,
    warm_up=1, rate=1e-3, watched=4,
)  # fmt: skip
