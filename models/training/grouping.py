"""Batches of people who look alike to the network that training begins from."""

from pathlib import Path
from typing import Protocol

import numpy as np

from models.batching import REACH, Lookalikes
from models.data.images import Images
from models.evaluation.distances import Indexes, Vectors, nearest, row_blocks, unit
from models.evaluation.exported import load_start
from models.evaluation.features import extract, model_of
from models.training.flags import Flags
from models.training.memory import within_memory

PORTRAITS = 4  # pictures that say how somebody looks


class Grouped(Protocol):
    """Batches whose people can be chosen by who looks like whom."""

    def portraits(self, count: int) -> Images:
        """`count` pictures of each label, label by label."""
        ...

    def group(self, lookalikes: Lookalikes) -> None:
        """Choose so from now on."""
        ...


@within_memory()
def group_alike(flags: Flags, batches: Grouped) -> None:
    """Let people come together who look alike, where --alike asks for it. Raises Refused for a start that cannot be
    read."""
    if not flags.alike:
        return
    model = model_of(load_start(Path(flags.start)), flags.start, flags.device)
    vectors = extract(model, batches.portraits(PORTRAITS), workers=flags.drawers)
    people = unit(vectors.reshape(-1, PORTRAITS, vectors.shape[1]).mean(1))
    batches.group(Lookalikes(find_nearest(people, REACH * flags.alike), flags.alike))


def find_nearest(vectors: Vectors, count: int) -> Indexes:
    """Rows of the `count` others most alike to each of the unit vectors (n, dim), the nearest first; fewer where there
    are not so many."""
    found = []
    for rows in row_blocks(len(vectors), len(vectors)):
        distances = 1 - vectors[rows] @ vectors.T
        distances[np.arange(len(distances)), np.arange(rows.start, rows.stop)] = np.inf
        found.append(nearest(distances, min(count, len(vectors) - 1)))
    return np.concatenate(found)
