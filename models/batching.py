"""What batches of drawn people and of pictures from disk have in common: how hard they are, and who comes together."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

REACH = 3  # times as many as a group needs are kept as neighbours, so that groups are not always the same


def strength_at(step: int, steps: int, calm: float, ramp: float) -> float:
    """The curriculum: changes to pictures grow from `calm` times their strength to all of it in the first `ramp` of the
    steps.

    >>> [strength_at(step, 8, calm=0.5, ramp=0.5) for step in (0, 2, 4, 7)]
    [0.5, 0.75, 1.0, 1.0]
    """
    return calm + (1 - calm) * min(1.0, step / max(1.0, ramp * steps))


@dataclass(frozen=True, slots=True)
class Lookalikes:
    """Groups of people who are hard to tell apart: graph sampling (Liao & Shao, CVPR 2022), but with neighbours found
    once, by the network that training begins from."""

    nearest: NDArray[np.int64]  # (identities, REACH · group) labels of others, who looks most alike first
    group: int

    def choose(self, people: int, rng: np.random.Generator) -> list[int]:
        """Different labels (people,): somebody by chance with some of those who look alike, and so on."""
        chosen = dict[int, None]()
        while len(chosen) < people:
            first = int(rng.integers(len(self.nearest)))
            others = [one for one in rng.permutation(self.nearest[first]).tolist() if one not in chosen]
            size = min(self.group, people - len(chosen))
            chosen |= dict.fromkeys([first, *others][:size])
        return list(chosen)
