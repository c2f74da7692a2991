"""Batches of a few fixed sizes, for runtimes that prepare each new size anew: on CUDA every size costs a search for the
best algorithms, and memory that is never given back."""

from collections.abc import Callable

import numpy as np

from service.domain import ImageArray, VectorArray

SIZES = (1, 2, 4, 8, 16, 32)


def bucket_of(count: int) -> int:
    """The size in which `count` images are run: the next of SIZES, past the largest its next multiple."""
    largest = SIZES[-1]
    return next((size for size in SIZES if size >= count), -(-count // largest) * largest)


def run_in_bucket(run: Callable[[ImageArray], VectorArray], images: ImageArray) -> VectorArray:
    """`run` of (n, height, width, 3) images, filled up with copies of the last; (n, dim) without those."""
    count = len(images)
    missing = bucket_of(count) - count
    if not missing:
        return run(images)
    return run(np.concatenate([images, np.repeat(images[-1:], missing, axis=0)]))[:count]
