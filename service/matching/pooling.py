"""From several vectors of one person to one."""

import numpy as np

from service.domain import VectorArray
from service.errors import BadInput


def pool(vectors: VectorArray) -> VectorArray:
    """The normalised mean of (n, dim) unit vectors, (dim,). Raises BadInput where they cancel out."""
    mean: VectorArray = vectors.mean(axis=0, dtype=np.float64).astype(np.float32)
    return unit(mean)


def unit(vector: VectorArray) -> VectorArray:
    """A (dim,) vector at unit length. Raises BadInput for one that is not finite or has no length."""
    if not np.isfinite(vector).all():
        raise BadInput("the vector must have finite numbers only")
    length = float(np.linalg.norm(vector.astype(np.float64)))
    if length < 1e-12:
        raise BadInput("the vector must not be zero")
    return (vector / length).astype(np.float32)
