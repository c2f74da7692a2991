"""The inputs of the golden numbers: labels of Market-1501 with made-up vectors, and a small re-ranking problem."""

import os
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from models.evaluation.evaluate import shared_data

Array = NDArray[Any]


@dataclass(frozen=True, slots=True)
class Problem:
    """Vectors (n, dim) and labels (n,) of queries and gallery."""

    queries: Array
    gallery: Array
    query_ids: Array
    query_cameras: Array
    ids: Array
    cameras: Array

    @property
    def labels(self) -> tuple[Array, Array, Array, Array]:
        """In the order that `score` takes them."""
        return self.query_ids, self.query_cameras, self.ids, self.cameras


def unit(vectors: Array) -> Array:
    return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True))


def market() -> Problem:
    """G2: the full layout of Market-1501, 3,368 × 19,732."""
    path = shared_data() / "market1501-labels" / "labels.npz"
    if not path.exists() and not os.environ.get("CI"):
        pytest.skip(f"{path} is absent; set REAPPEAR_SHARED_DATA to the folder with the shared data")
    labels = np.load(path)
    stream = np.random.RandomState(12345)
    centres, places = stream.randn(1600, 32), stream.randn(8, 32)

    def features(who: Array, camera: Array, seed: int) -> Array:
        noise = np.random.RandomState(seed).randn(len(who), 32) * np.where(who > 0, 1, 1.35)[:, None]
        return unit(np.where((who > 0)[:, None], centres[np.maximum(who, 0)], 0) + 0.6 * places[camera] + 0.9 * noise)

    query_ids, query_cameras = labels["query_identity"], labels["query_camera"]
    ids, cameras = labels["gallery_identity"], labels["gallery_camera"]
    queries, gallery = features(query_ids, query_cameras, 1), features(ids, cameras, 2)
    return Problem(queries, gallery, query_ids, query_cameras, ids, cameras)


def sixty_people() -> Problem:
    """R1: 60 people × 10 crops, the first of each is a query."""
    stream = np.random.RandomState(7)
    ids = np.repeat(np.arange(60), 10)
    centres, places = stream.randn(60, 16), stream.randn(6, 16)
    cameras = np.tile(np.arange(10) % 6 + 1, 60)
    vectors = unit(centres[ids] + 0.6 * places[cameras - 1] + 1.0 * stream.randn(600, 16))
    assert vectors[0, :4] == pytest.approx([0.30822567, -0.10881184, -0.09613176, 0.11600779], abs=1e-8)
    assert vectors.sum() == pytest.approx(35.90276374525268, abs=1e-9)
    asked = np.arange(600) % 10 == 0
    return Problem(vectors[asked], vectors[~asked], ids[asked], cameras[asked], ids[~asked], cameras[~asked])
