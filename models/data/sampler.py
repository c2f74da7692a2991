"""Which pictures make up a training batch: P identities × K pictures of each (Hermans et al., 2017)."""

from collections import defaultdict
from collections.abc import Sequence
from itertools import zip_longest

import numpy as np

from models.batching import Lookalikes
from models.data.sample import Sample
from models.errors import Refused

ORDER, CHOICE = 1, 2  # streams of random numbers of one seed


class IdentitySampler:
    """Batches by step, each a function of (seed, step) alone.

    An epoch walks through all identities in an order of its own. Its last batch, where identities run out, is filled
    up with the epoch's first ones. With `lookalikes` there are no epochs: they choose who comes together.
    """

    lookalikes: Lookalikes | None = None

    def __init__(self, samples: Sequence[Sample], people: int, pictures: int, seed: int) -> None:
        """`people` identities and `pictures` of each to a batch. Raises Refused where there are fewer identities."""
        self.people, self.pictures, self.seed = people, pictures, seed
        cameras = defaultdict[int, defaultdict[int, list[int]]](lambda: defaultdict(list))
        for index, sample in enumerate(samples):
            cameras[sample.identity][sample.camera].append(index)
        self.identities = tuple(sorted(cameras))
        self.by_camera = [[sorted(cameras[who][camera]) for camera in sorted(cameras[who])] for who in self.identities]
        if min(people, pictures) < 1:
            raise Refused(f"a batch of {people} people × {pictures} pictures is empty; ask for at least one of each")
        if len(self.identities) < people:
            raise Refused(
                f"there are {len(self.identities)} identities to train on, fewer than the {people} of a batch; "
                "ask for fewer people per batch or add pictures of more people"
            )

    @property
    def steps_per_epoch(self) -> int:
        """Batches until every identity has been seen."""
        return -(-len(self.identities) // self.people)

    def batch(self, step: int) -> list[int]:
        """Indices (P · K,) of the samples of a step, identity by identity."""
        rng = np.random.default_rng((self.seed, CHOICE, step))
        return [index for label in self.labels(step) for index in spread(self.by_camera[label], self.pictures, rng)]

    def labels(self, step: int) -> list[int]:
        """The P different places in `identities` of a step."""
        if self.lookalikes:
            return self.lookalikes.choose(self.people, np.random.default_rng((self.seed, ORDER, step)))
        epoch, place = divmod(step, self.steps_per_epoch)
        order = np.random.default_rng((self.seed, ORDER, epoch)).permutation(len(self.identities))
        chosen = order[place * self.people : (place + 1) * self.people]
        return [*chosen.tolist(), *order[: self.people - len(chosen)].tolist()]


def spread(cameras: list[list[int]], count: int, rng: np.random.Generator) -> list[int]:
    """`count` of one identity's pictures, given by camera: from as many cameras as possible, then as many different
    pictures as possible, and only then again, each about equally often."""
    shuffled = [
        [one[k] for k in rng.permutation(len(one))] for one in (cameras[k] for k in rng.permutation(len(cameras)))
    ]
    rounds = [index for turn in zip_longest(*shuffled) for index in turn if index is not None]
    return (rounds * -(-count // len(rounds)))[:count]
