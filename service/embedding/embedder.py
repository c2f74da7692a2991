"""Prepared images in, vectors out, in batches that callers share."""

from collections.abc import Callable, Sequence
from typing import Protocol

import numpy as np

from service.domain import ImageArray, VectorArray
from service.embedding.batcher import Batcher


class Network(Protocol):
    """What the embedder needs of a network; `OnnxModel` is the real one."""

    def run(self, images: ImageArray, threads: int | None = None) -> VectorArray:
        """Embed uint8 (n, height, width, 3) images into float32 (n, dim) vectors, on all cores or on so many."""
        ...


class Embedder:
    """Gives each caller the vectors of its own images, whatever they shared a batch with."""

    def __init__(
        self, network: Network, *, max_batch: int, max_waiting: int, observe: Callable[[int], None] = lambda size: None,
        at_once: int = 1,
    ) -> None:  # fmt: skip
        """Of those who wait for `embed` so many batches run `at_once`: while the last shares of one run, other cores
        begin with the next."""
        self._network = network
        self._max_batch = max_batch
        self._observe = observe
        self.batcher: Batcher[ImageArray, VectorArray] = Batcher(
            "embed", self._run, max_batch=max_batch, max_waiting=max_waiting, observe=observe, threads=at_once
        )

    async def embed(self, images: Sequence[ImageArray]) -> VectorArray:
        """Embed prepared (height, width, 3) images into (n, dim). Raises Overloaded or Stopping."""
        return np.stack(await self.batcher.submit(images))

    def embed_now(self, images: Sequence[ImageArray], threads: int) -> list[VectorArray | Exception]:
        """The (dim,) vectors of images, while the caller waits; an image that cannot be embedded gives its error."""
        parts = [images[start : start + self._max_batch] for start in range(0, len(images), self._max_batch)]
        vectors: list[VectorArray | Exception] = []
        for part in parts:
            self._observe(len(part))
            vectors += self._run(part, threads)
        return vectors

    def _run(self, images: Sequence[ImageArray], threads: int | None = None) -> Sequence[VectorArray | Exception]:
        try:
            vectors = self._network.run(np.stack(images), threads)
        except Exception as error:
            if len(images) == 1:
                return [error]
            return [self._run([image])[0] for image in images]  # only the culprit keeps its error
        return [vector if np.isfinite(vector).all() else self._broken() for vector in vectors]

    @staticmethod
    def _broken() -> Exception:
        return FloatingPointError("the network gave a vector that is not finite")
