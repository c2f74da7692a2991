"""Pictures from disk as tensors: random batches to train on, and plain blocks in order to describe."""

import signal
from collections.abc import Iterator, Sequence, Sized
from dataclasses import replace
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from models.batching import Lookalikes, strength_at
from models.data.augment import FULL, Augmentation, augment
from models.data.images import Files, Images, load
from models.data.sample import Sample
from models.data.sampler import IdentitySampler, spread
from models.errors import Refused
from service.images.preprocess import needed, resize

AUGMENT, PORTRAITS = 3, 4  # streams of random numbers beside those of the sampler
AHEAD = 4  # batches that each worker process prepares

Item = TypeVar("Item")


class DiskBatches(Dataset[tuple[Tensor, Tensor]]):
    """Item k is the batch of step k: uint8 images (P · K, height, width, 3) and labels (P · K,) int64 from 0.

    It follows from (seed, k) alone, whichever process makes it, so that a run goes on at step k as if never stopped.
    Label i means the identity `identities[i]`.
    """

    def __init__(
        self,
        samples: Sequence[Sample],
        *,
        people: int,
        pictures: int,
        height: int,
        width: int,
        steps: int,
        seed: int,
        augmentation: Augmentation = FULL,
        calm: float = 1.0,
        ramp: float = 0.5,
    ) -> None:
        """The augmentation's strength grows from `calm` times its own to all of it in the first `ramp` of the steps.

        Raises Refused where there are fewer identities than `people`.
        """
        self.samples = tuple(samples)
        self.sampler = IdentitySampler(samples, people, pictures, seed)
        self.height, self.width, self.steps, self.seed = height, width, steps, seed
        self.augmentation, self.calm, self.ramp = augmentation, calm, ramp

    def group(self, lookalikes: Lookalikes) -> None:
        """From now on, batches of people who look alike."""
        self.sampler.lookalikes = lookalikes

    def portraits(self, count: int) -> Files:
        """`count` pictures of each label, label by label, as they are."""
        labels = enumerate(self.sampler.by_camera)
        chosen = [spread(one, count, np.random.default_rng((self.seed, PORTRAITS, label))) for label, one in labels]
        return Files([self.samples[index] for indices in chosen for index in indices])

    @property
    def identities(self) -> tuple[int, ...]:
        """The identity of each label."""
        return self.sampler.identities

    def __len__(self) -> int:
        return self.steps

    def __getitem__(self, step: int) -> tuple[Tensor, Tensor]:
        if not 0 <= step < self.steps:
            raise IndexError(f"step {step} of {self.steps}")
        rng = np.random.default_rng((self.seed, AUGMENT, step))
        augmentation = self.augmentation_at(step)
        images = np.empty((self.sampler.people * self.sampler.pictures, self.height, self.width, 3), np.uint8)
        for image, index in zip(images, self.sampler.batch(step), strict=True):
            picture = load(self.samples[index].path, needed(self.height, self.width))
            image[:] = augment(resize(picture, self.height, self.width), augmentation, rng)
        labels = np.repeat(np.array(self.sampler.labels(step), np.int64), self.sampler.pictures)
        return torch.from_numpy(images), torch.from_numpy(labels)

    def augmentation_at(self, step: int) -> Augmentation:
        """The augmentation at the strength of this step."""
        share = strength_at(step, self.steps, self.calm, self.ramp)
        return replace(self.augmentation, strength=self.augmentation.strength * share)


class Blocks(Dataset[NDArray[np.uint8]]):
    """Item k is block k of some pictures, in order: uint8 (up to `block`, height, width, 3). Nothing is random."""

    def __init__(self, images: Images, height: int, width: int, block: int = 256) -> None:
        self.images, self.height, self.width, self.block = images, height, width, block

    def __len__(self) -> int:
        return -(-len(self.images) // self.block)

    def __getitem__(self, number: int) -> NDArray[np.uint8]:
        if not 0 <= number < len(self):
            raise IndexError(f"block {number} of {len(self)}")
        places = range(number * self.block, min((number + 1) * self.block, len(self.images)))
        return np.stack([resize(self.images[k], self.height, self.width) for k in places])


def stream(
    items: Dataset[Item], workers: int = 0, first: int = 0, last: int | None = None, *, pinned: bool = False
) -> Iterator[Item]:
    """The items from `first` to before `last` (all, unless told otherwise) in order, made by worker processes; 0 makes
    them in this one. `pinned` tensors reach a GPU faster. Their making draws nothing from the global generators.

    What a worker refuses is refused here in one line, as it was said there.
    """
    assert isinstance(items, Sized)
    order = range(first, len(items) if last is None else last)
    loader: DataLoader[Item] = DataLoader(
        items,
        batch_size=None,
        sampler=order,
        num_workers=workers,
        prefetch_factor=AHEAD if workers else None,
        collate_fn=_same,
        pin_memory=pinned,
        worker_init_fn=_leave_interrupts,
        generator=torch.Generator(),  # else it draws from the global one, and a run that resumes goes on differently
    )
    try:
        yield from loader
        return
    except Refused as error:  # the loader puts the worker's traceback into the message
        kind = type(error)
        reason = str(error).strip().rpartition(f"{kind.__name__}: ")[2]
        error.__traceback__ = None  # a cycle that keeps the worker processes alive, and later ones inherit it
    raise kind(reason)


def _leave_interrupts(worker: int) -> None:
    """Ctrl-C reaches every process of the terminal; only the one that goes on answers it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _same(item: Item) -> Item:
    return item
