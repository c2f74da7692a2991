"""A network on a GPU in batches of a few fixed sizes. Each size has a session of its own: on CUDA, ONNX Runtime keeps
one plan for a convolution, that of the batch before, and makes all of them anew for a batch of another size. Pictures
stay at one place in the card's memory (IOBinding)."""

from collections.abc import Callable, Iterator
from threading import Lock

import numpy as np
import onnxruntime

from service.domain import ImageArray, VectorArray
from service.embedding.manifest import Manifest

SIZES = (1, 4, 16, 32)

OpenSession = Callable[[int], onnxruntime.InferenceSession]


class Bucket:
    """A session for batches of one size, which it runs one after the other."""

    def __init__(self, session: onnxruntime.InferenceSession, manifest: Manifest, size: int, device: str) -> None:
        """`device` is where the session runs, "cuda" or "cpu"."""
        taken = manifest.input
        self._images = np.zeros((size, taken.height, taken.width, 3), np.uint8)
        self._there = onnxruntime.OrtValue.ortvalue_from_numpy(self._images, device, 0)
        self._session = session
        self._binding = session.io_binding()
        self._binding.bind_ortvalue_input(taken.name, self._there)
        self._binding.bind_output(manifest.output.name, device)
        self._alone = Lock()

    def run(self, images: ImageArray) -> VectorArray:
        """Embed up to as many (n, height, width, 3) images as its size into float32 (n, dim); the rest of the batch is
        whatever was in it before."""
        with self._alone:
            self._images[: len(images)] = images
            self._there.update_inplace(self._images)
            self._session.run_with_iobinding(self._binding)
            (vectors,) = self._binding.copy_outputs_to_cpu()
        return np.array(vectors[: len(images)], dtype=np.float32)


class Buckets:
    """All sizes of a network."""

    def __init__(self, open_session: OpenSession, manifest: Manifest, device: str) -> None:
        """`open_session` is asked for one of each size."""
        self._each = {size: Bucket(open_session(size), manifest, size, device) for size in SIZES}

    def run(self, images: ImageArray) -> VectorArray:
        """Embed uint8 (n, height, width, 3) images into float32 (n, dim)."""
        return np.concatenate([self._each[size].run(part) for size, part in parts_of(images)])


def parts_of(images: ImageArray) -> Iterator[tuple[int, ImageArray]]:
    """Images in parts of the largest size at most, each with the smallest size that holds it."""
    for start in range(0, len(images), SIZES[-1]):
        part = images[start : start + SIZES[-1]]
        yield next(size for size in SIZES if size >= len(part)), part


def share_of(bound_mb: int, size: int) -> int:
    """What a session of a size gets of a bound of memory, in MiB, 0 for none: half of it is shared evenly, for weights
    and libraries, half by the size of a batch."""
    return max(int(bound_mb * (1 / len(SIZES) + size / sum(SIZES)) / 2), min(bound_mb, 1))
