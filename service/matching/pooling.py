"""From several vectors of one person to one."""

import numpy as np
from numpy.typing import NDArray

from service.domain import VectorArray
from service.errors import BadInput


def pool(vectors: VectorArray) -> VectorArray:
    """The normalised mean of (n, dim) unit vectors, (dim,). Raises BadInput where they cancel out."""
    mean: VectorArray = vectors.mean(axis=0, dtype=np.float64).astype(np.float32)
    return unit(mean)


def unit(vector: NDArray[np.floating]) -> VectorArray:
    """A (dim,) vector at unit length. Raises BadInput for one that is not finite or has no length."""
    if not np.isfinite(vector).all():
        raise BadInput("the vector must have finite numbers only")
    largest = float(np.abs(vector).max())
    if largest == 0:
        raise BadInput("the vector must not be zero")
    scaled = vector.astype(np.float64) / largest  # else squares of very long or short vectors leave the range of floats
    return (scaled / np.linalg.norm(scaled)).astype(np.float32)
