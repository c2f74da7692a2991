"""Training batches: reproducible, P × K, easier at the start."""

import numpy as np
import torch

from models.people.batches import Batches, Shape
from models.people.crowd import cut_outs, draw_scenes
from models.people.style import STREET


def draw(seed: int) -> Batches:
    people = [cut_outs(1, k, STREET, 2) for k in range(4)]
    return Batches(people, draw_scenes(1, 2, STREET), Shape(3, 4, 64, 32), steps=10, seed=seed)


def test_a_batch_follows_from_seed_and_step_alone() -> None:
    first, again, other = draw(1), draw(1), draw(2)
    assert torch.equal(first[3][0], again[3][0])
    assert not torch.equal(first[3][0], first[4][0])
    assert not torch.equal(first[3][0], other[3][0])


def test_a_batch_holds_k_pictures_of_each_of_p_people() -> None:
    images, labels = draw(1)[0]
    assert images.shape == (12, 64, 32, 3)
    assert images.dtype == torch.uint8
    assert sorted(np.unique(labels.numpy(), return_counts=True)[1].tolist()) == [4, 4, 4]
