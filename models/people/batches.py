"""Training batches: P people × K pictures, each with its own camera, background and light, ever harder."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from models.batching import Lookalikes, strength_at
from models.people.camera import Rgb, draw_camera, shoot
from models.people.render import Rgba
from models.people.scene import Scene
from service.images.preprocess import resize

PORTRAITS = 1  # a stream of random numbers beside those of the steps
MILD = 0.3  # randomisation of portraits; 1 is full


@dataclass(frozen=True, slots=True)
class Shape:
    """How many people and pictures per person a batch holds, and the size of the pictures in pixels."""

    people: int
    pictures: int
    height: int
    width: int


class Batches(Dataset[tuple[Tensor, Tensor]]):
    """Item k is the batch of step k: uint8 images (P · K, height, width, 3) and labels (P · K,).

    It follows from (seed, k) alone, whichever process draws it. Randomisation grows from `calm` to 1, which is full, in
    the first `ramp` of the steps. With `lookalikes` these choose who comes together.
    """

    lookalikes: Lookalikes | None = None

    def __init__(
        self,
        cut_outs: list[list[Rgba]],
        scenes: list[Scene],
        shape: Shape,
        steps: int,
        seed: int,
        *,
        calm: float = 1.0,
        ramp: float = 0.5,
    ) -> None:
        self.cut_outs, self.scenes, self.shape, self.steps, self.seed = cut_outs, scenes, shape, steps, seed
        self.calm, self.ramp = calm, ramp

    def group(self, lookalikes: Lookalikes) -> None:
        """From now on, batches of people who look alike."""
        self.lookalikes = lookalikes

    def portraits(self, count: int) -> "Portraits":
        """`count` pictures of each label, label by label."""
        return Portraits(self, count)

    def __len__(self) -> int:
        return self.steps

    def __getitem__(self, step: int) -> tuple[Tensor, Tensor]:
        rng = np.random.default_rng((self.seed, step))
        strength = strength_at(step, self.steps, self.calm, self.ramp)
        people = self.who(rng)
        images = [self.draw(rng, views, strength) for person in people for views in self.choose(rng, person)]
        labels = np.repeat(people, self.shape.pictures)
        return torch.from_numpy(np.stack(images)), torch.from_numpy(labels)

    def who(self, rng: np.random.Generator) -> list[int]:
        """The different people (P,) of a batch."""
        if self.lookalikes:
            return self.lookalikes.choose(self.shape.people, rng)
        chosen: list[int] = rng.choice(len(self.cut_outs), self.shape.people, replace=False).tolist()
        return chosen

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
        picture = shoot(cut_out, draw_camera(rng, strength), self.scene(rng), passers, rng)
        picture = resize(picture, self.shape.height, self.shape.width)
        return picture[:, ::-1] if rng.random() < 0.5 else picture

    def scene(self, rng: np.random.Generator) -> Scene:
        """Any background."""
        return self.scenes[rng.integers(len(self.scenes))]


@dataclass(frozen=True, slots=True)
class Portraits:
    """`count` pictures of each label of some batches, label by label, by good cameras and with nobody else on them."""

    batches: Batches
    count: int

    def __len__(self) -> int:
        return len(self.batches.cut_outs) * self.count

    def __getitem__(self, index: int) -> Rgb:
        views, number = self.batches.cut_outs[index // self.count], index % self.count
        rng = np.random.default_rng((self.batches.seed, PORTRAITS, index))
        return shoot(views[number % len(views)], draw_camera(rng, MILD), self.batches.scene(rng), [], rng)
