"""Images in, vectors out, whatever the others in the batch are."""

import asyncio
import threading

import numpy as np

from service.domain import ImageArray, VectorArray
from service.embedding.embedder import Embedder

POISON = 13


class FirstPixels:
    """A Network whose vector is the picture's first three values. It fails on any batch with a poisonous picture."""

    def __init__(self) -> None:
        self.batches: list[int] = []
        self.held = threading.Event()
        self.held.set()

    def run(self, images: ImageArray, threads: int | None = None) -> VectorArray:
        self.batches.append(len(images))
        assert self.held.wait(10)
        if (images[:, 0, 0, 0] == POISON).any():
            raise ValueError("a poisonous picture")
        return images[:, 0, 0, :].astype(np.float32)


def picture(value: int) -> ImageArray:
    return np.full((4, 2, 3), value, np.uint8)


def test_vectors_come_back_in_the_order_of_the_images() -> None:
    network = FirstPixels()
    embedder = Embedder(network, max_batch=4, max_waiting=100)
    vectors = asyncio.run(embedder.embed([picture(value) for value in range(10)]))
    embedder.batcher.close()
    assert vectors.dtype == np.float32
    assert vectors.tolist() == [[value] * 3 for value in range(10)]
    assert network.batches == [4, 4, 2]


def test_vectors_come_back_in_the_order_of_the_images_where_batches_overtake_each_other() -> None:
    embedder = Embedder(FirstPixels(), max_batch=2, max_waiting=1000, at_once=2)
    vectors = asyncio.run(embedder.embed([picture(value) for value in range(14, 254)]))
    embedder.batcher.close()
    assert vectors[:, 0].tolist() == list(range(14, 254))


def test_one_bad_picture_harms_none_of_its_neighbours() -> None:
    network = FirstPixels()
    embedder = Embedder(network, max_batch=8, max_waiting=100)

    async def scene() -> list[VectorArray | BaseException]:
        network.held.clear()
        first = asyncio.create_task(embedder.embed([picture(1)]))
        while not network.batches:  # noqa: ASYNC110 - another thread makes it true
            await asyncio.sleep(0.001)
        rest = [asyncio.create_task(embedder.embed([picture(value)])) for value in (2, POISON, 3)]
        while embedder.batcher.waiting < 3:  # noqa: ASYNC110
            await asyncio.sleep(0.001)
        network.held.set()
        return await asyncio.gather(first, *rest, return_exceptions=True)

    one, two, bad, three = asyncio.run(asyncio.wait_for(scene(), 10))
    embedder.batcher.close()
    for vector, value in ((one, 1), (two, 2), (three, 3)):
        assert isinstance(vector, np.ndarray)
        assert vector.tolist() == [[value] * 3]
    assert isinstance(bad, ValueError)
    assert network.batches == [1, 3, 1, 1, 1], "they shared a batch, which was then tried one by one"
