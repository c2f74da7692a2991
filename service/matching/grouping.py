"""From similar crops to candidates: identities, each once, with the crops that speak for them."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from service.domain import CropIds, VectorArray


@dataclass(frozen=True, slots=True)
class Hit:
    """A crop that matched, and how well."""

    crop: int
    similarity: float


@dataclass(frozen=True, slots=True)
class Group:
    """An identity and its hits, best first. Its similarity is that of its best crop."""

    identity: int
    hits: tuple[Hit, ...]

    @property
    def similarity(self) -> float:
        """The similarity of the best hit."""
        return self.hits[0].similarity


def hits_of(similarities: VectorArray, ids: CropIds) -> list[Hit]:
    """One query's row of a search, (k,) each, as hits, without padding."""
    pairs = zip(ids.tolist(), similarities.tolist(), strict=True)
    return [Hit(crop, min(similarity, 1.0)) for crop, similarity in pairs if crop >= 0]


def group(hits: Iterable[Hit], owner: Callable[[int], int | None]) -> list[Group]:
    """Group hits, best first, by the identity that owns them; hits without one are dropped."""
    by_identity: dict[int, list[Hit]] = {}
    for hit in hits:
        identity = owner(hit.crop)
        if identity is not None:
            by_identity.setdefault(identity, []).append(hit)
    return [Group(identity, tuple(found)) for identity, found in by_identity.items()]


def order(groups: Sequence[Group]) -> list[Group]:
    """Best first; ties by the lower crop id of the best hits."""
    return sorted(groups, key=lambda found: (-found.similarity, found.hits[0].crop))
