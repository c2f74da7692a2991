"""Training batches: P people × K pictures, each with its own camera, background and light, ever harder."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from models.people.camera import Rgb, draw_camera, shoot
from models.people.render import Rgba
from models.people.scene import Scene
from service.images.preprocess import resize

CALM = 0.25  # randomisation at the first step; 1 is full
RAMP = 0.5  # share of the training after which it is full


@dataclass(frozen=True, slots=True)
class Shape:
    """How many people and pictures per person a batch holds, and the size of the pictures in pixels."""

    people: int
    pictures: int
    height: int
    width: int


def strength_at(step: int, steps: int) -> float:
    """The curriculum: randomisation grows from CALM to 1 over the first part of the training."""
    return CALM + (1 - CALM) * min(1.0, step / max(1.0, RAMP * steps))


class Batches(Dataset[tuple[Tensor, Tensor]]):
    """Item k is the batch of step k: uint8 images (P · K, height, width, 3) and labels (P · K,).

    It follows from (seed, k) alone, whichever process draws it.
    """

    def __init__(self, cut_outs: list[list[Rgba]], scenes: list[Scene], shape: Shape, steps: int, seed: int) -> None:
        self.cut_outs, self.scenes, self.shape, self.steps, self.seed = cut_outs, scenes, shape, steps, seed

    def __len__(self) -> int:
        return self.steps

    def __getitem__(self, step: int) -> tuple[Tensor, Tensor]:
        rng = np.random.default_rng((self.seed, step))
        strength = strength_at(step, self.steps)
        people = rng.choice(len(self.cut_outs), self.shape.people, replace=False)
        images = [self.draw(rng, views, strength) for person in people for views in self.choose(rng, int(person))]
        labels = np.repeat(people, self.shape.pictures)
        return torch.from_numpy(np.stack(images)), torch.from_numpy(labels)

    def choose(self, rng: np.random.Generator, person: int) -> list[Rgba]:
        """The cut-outs of a person that make up this batch's pictures."""
        views = self.cut_outs[person]
        return [views[k] for k in rng.choice(len(views), self.shape.pictures, replace=len(views) < self.shape.pictures)]

    def draw(self, rng: np.random.Generator, cut_out: Rgba, strength: float) -> Rgb:
        """One finished picture, mirrored every other time."""
        passers = [
            views[rng.integers(len(views))]
            for views in (self.cut_outs[k] for k in rng.integers(len(self.cut_outs), size=2))
        ]
        picture = shoot(cut_out, draw_camera(rng, strength), self.scenes[rng.integers(len(self.scenes))], passers, rng)
        picture = resize(picture, self.shape.height, self.shape.width)
        return picture[:, ::-1] if rng.random() < 0.5 else picture
