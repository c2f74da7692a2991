"""Judges whatever turns images into vectors, on pictures in memory: a second way to the figures of the evaluation."""

import re
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from models.data.images import load
from models.evaluation.evaluate import Describe
from models.evaluation.metrics import Scores, score
from models.people.crowd import Picture
from service.embedding.onnx_model import OnnxModel


def read_vehicles(shared: Path) -> list[Picture]:
    """The test part of vehicle-reid: real vehicles, two cameras, named KIND_NUMBER_camC.jpg."""
    files = sorted((shared / "vehicle-reid" / "images" / "test").glob("*.jpg"))
    parts = [re.fullmatch(r"(.+)_cam(\d+)", file.stem) for file in files]
    names = sorted({part[1] for part in parts if part})
    return [
        Picture(load(file), names.index(part[1]), int(part[2])) for file, part in zip(files, parts, strict=True) if part
    ]


def judge(describe: Describe, pictures: list[Picture], query_camera: int | None = 0) -> Scores:
    """Cosine, Market rule. Queries are the pictures of one camera, or all (None); the gallery is all pictures.

    So answers come from other cameras, while strangers come from every camera.
    """
    ids = np.array([picture.identity for picture in pictures])
    cameras = np.array([picture.camera for picture in pictures])
    vectors = describe([picture.image for picture in pictures])
    queries = np.ones(len(ids), bool) if query_camera is None else cameras == query_camera
    return score(1 - vectors[queries] @ vectors.T, ids[queries], cameras[queries], ids, cameras)


def describe_by(model: OnnxModel, batch: int = 32) -> Describe:
    """The exported network as the service runs it."""

    def describe(images: list[NDArray[np.uint8]]) -> NDArray[np.float32]:
        ready = [model.prepare(image) for image in images]
        return np.concatenate([model.run(np.stack(ready[k : k + batch])) for k in range(0, len(ready), batch)])

    return describe
