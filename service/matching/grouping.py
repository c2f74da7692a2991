"""From similar crops to candidates: identities, each once, with the crops that speak for them."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np

from service.domain import CropIds, VectorArray


class Hit(NamedTuple):  # every query makes a hundred: a tuple is made in a third of the time of a frozen dataclass
    """A crop that matched, and how well."""

    crop: int
    similarity: float


class Group(NamedTuple):
    """An identity and its hits, best first. Its similarity is that of its best crop."""

    identity: int
    hits: tuple[Hit, ...]

    @property
    def similarity(self) -> float:
        """The similarity of the best hit."""
        return self.hits[0].similarity


def hits_of(similarities: VectorArray, ids: CropIds) -> list[Hit]:
    """One query's row of a search, (k,) each, as hits, without padding."""
    hits = map(Hit, ids.tolist(), np.minimum(similarities, 1.0).tolist())
    return [hit for hit in hits if hit.crop >= 0]


def group(hits: Iterable[Hit], owners: Iterable[int | None]) -> list[Group]:
    """Group hits, best first, by the identities that own them; hits without one are dropped."""
    by_identity: dict[int, list[Hit]] = {}
    for hit, identity in zip(hits, owners, strict=True):
        if identity is not None:
            by_identity.setdefault(identity, []).append(hit)
    return [Group(identity, tuple(found)) for identity, found in by_identity.items()]


def order(groups: Sequence[Group]) -> list[Group]:
    """Best first; ties by the lower crop id of the best hits."""
    return sorted(groups, key=lambda found: (-found.hits[0].similarity, found.hits[0].crop))
