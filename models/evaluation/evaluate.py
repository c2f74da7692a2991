"""Judges whatever turns images into vectors, on pictures in memory: synthetic people and real vehicles."""

import os
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from models.evaluation.metrics import Scores, score
from models.people.crowd import Picture, draw_pictures
from models.people.style import Style
from service.embedding.onnx_model import OnnxModel
from service.images.decode import PictureLimits, decode

Describe = Callable[[list[NDArray[np.uint8]]], NDArray[np.float32]]  # images (h, w, 3) to unit vectors (n, dim)

UNSEEN_SEED = 900_000  # training draws its people from small seeds
IDENTITIES, CAMERAS, SHOTS = 200, 4, 2
LIMITS = PictureLimits(max_bytes=4_000_000, max_pixels=16_000_000)


def draw_unseen(style: Style, shots: int = SHOTS, identities: int = IDENTITIES) -> list[Picture]:
    """People, cameras and backgrounds that no training has seen: identities × 4 cameras × `shots` pictures."""
    pictures = draw_pictures(UNSEEN_SEED, identities, CAMERAS, shots, style)
    return list(
        tqdm(pictures, total=identities * CAMERAS * shots, desc=f"drawing unseen people, {style.name}", disable=None)
    )


def read_vehicles(shared: Path) -> list[Picture]:
    """The test part of vehicle-reid: real vehicles, two cameras, named KIND_NUMBER_camC.jpg."""
    files = sorted((shared / "vehicle-reid" / "images" / "test").glob("*.jpg"))
    parts = [re.fullmatch(r"(.+)_cam(\d+)", file.stem) for file in files]
    names = sorted({part[1] for part in parts if part})
    return [
        Picture(decode(file.read_bytes(), LIMITS), names.index(part[1]), int(part[2]))
        for file, part in zip(files, parts, strict=True)
        if part
    ]


def judge(describe: Describe, pictures: list[Picture], query_camera: int | None = 0) -> Scores:
    """Cosine, Market rule. Queries are the pictures of one camera, or all (None); the gallery is all pictures.

    So answers come from other cameras, while strangers come from every camera.
    """
    vectors, ids, cameras = arrays(describe, pictures)
    queries = np.ones(len(ids), bool) if query_camera is None else cameras == query_camera
    return score(1 - vectors[queries] @ vectors.T, ids[queries], cameras[queries], ids, cameras)


def arrays(
    describe: Describe, pictures: list[Picture]
) -> tuple[NDArray[np.float32], NDArray[np.int64], NDArray[np.int64]]:
    """Vectors (n, dim), identities (n,) and cameras (n,) of pictures."""
    ids = np.array([picture.identity for picture in pictures])
    return describe([picture.image for picture in pictures]), ids, np.array([picture.camera for picture in pictures])


def describe_by(model: OnnxModel, batch: int = 32) -> Describe:
    """The exported network as the service runs it."""

    def describe(images: list[NDArray[np.uint8]]) -> NDArray[np.float32]:
        ready = [model.prepare(image) for image in images]
        return np.concatenate([model.run(np.stack(ready[k : k + batch])) for k in range(0, len(ready), batch)])

    return describe


def shared_data() -> Path:
    """Where shared data lies: $REAPPEAR_SHARED_DATA, or ../shared/data."""
    return Path(os.environ.get("REAPPEAR_SHARED_DATA", "../shared/data"))
