"""A graph in ONNX Runtime as evaluation wants it: images in, unit vectors out. It needs no torch."""

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from models.errors import Refused
from models.evaluation.evaluate import Describe
from models.evaluation.graphs import first_line
from service.images.preprocess import resize

BATCH = 32
AGREEMENT = 0.9999  # least cosine between vectors that should be the same


def size_of(session: onnxruntime.InferenceSession) -> tuple[int, int]:
    """Height and width, pixels, that a graph with an input (N, H, W, 3) takes."""
    _, height, width, _ = session.get_inputs()[0].shape
    return int(height), int(width)


def prepare(images: list[NDArray[np.uint8]], size: tuple[int, int]) -> NDArray[np.uint8]:
    """RGB images (h, w, 3) of any size to one array (n, height, width, 3)."""
    return np.stack([resize(image, *size) for image in images])


def run(session: onnxruntime.InferenceSession, images: NDArray[np.uint8], batch: int = BATCH) -> NDArray[np.float32]:
    """uint8 (n, height, width, 3) to float32 (n, dim), in batches. Raises Refused when the graph cannot be run."""
    name = session.get_inputs()[0].name
    try:
        parts = [session.run(None, {name: images[k : k + batch]})[0] for k in range(0, len(images), batch)]
        return np.asarray(np.concatenate(parts), np.float32)
    except Exception as error:
        raise Refused(f"the graph does not run on a batch of {min(batch, len(images))}: {first_line(error)}") from error


def describe_by_graph(session: onnxruntime.InferenceSession) -> Describe:
    """The graph as evaluation wants it."""
    size = size_of(session)
    return lambda images: run(session, prepare(images, size))


def least_cosine(some: NDArray[np.float32], others: NDArray[np.float32]) -> float:
    """The least cosine between rows of two arrays (n, dim) of unit vectors; −1 when one is not finite."""
    if some.shape != others.shape or not (np.isfinite(some).all() and np.isfinite(others).all()):
        return -1.0
    return float((some * others).sum(axis=1).min())
