"""What a query must answer, from vectors and one matrix product; and the comparison of an answer with it."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

EXACT = 1e-6  # where pictures were embedded one by one on both sides
BATCHED = (
    5e-5  # where they shared batches: a batch of one and of more give similarities up to 1.4e-5 apart (256 pictures)
)


@dataclass(frozen=True, slots=True)
class KnownCrop:
    """A crop as its sender knows it."""

    crop: int
    identity: str
    vector: "np.ndarray"
    camera: str | None = None
    attributes: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Expected:
    """An identity with all of its crops and their similarities, best first."""

    identity: str
    hits: list[tuple[int, float]]

    @property
    def similarity(self) -> float:
        """Of the best crop."""
        return self.hits[0][1]


def rank(query: "np.ndarray", crops: Iterable[KnownCrop]) -> list[Expected]:
    """All identities, best first, ties by the lower crop."""
    by_identity: dict[str, list[tuple[int, float]]] = {}
    for one in crops:
        similarity = float(one.vector.astype(np.float64) @ query.astype(np.float64))
        by_identity.setdefault(one.identity, []).append((one.crop, similarity))
    groups = [
        Expected(identity, sorted(hits, key=lambda hit: (-hit[1], hit[0]))) for identity, hits in by_identity.items()
    ]
    return sorted(groups, key=lambda one: (-one.similarity, one.hits[0][0]))


def mean(vectors: Sequence["np.ndarray"]) -> "np.ndarray":
    """One vector for several pictures of one person."""
    total = np.sum(vectors, axis=0, dtype=np.float64)
    return total / np.linalg.norm(total)


def check_candidates(
    candidates: list[dict[str, Any]], truth: list[Expected], *, k: int, hits: int, tolerance: float
) -> int:
    """Hold candidates to the truth, place by place; returns how many places named an identity beyond doubt.

    Where neighbours in the truth are closer than twice the tolerance either may come first; everywhere else the
    identity must be the very one. The same holds for the hits of each.
    """
    assert [one["rank"] for one in candidates] == list(range(1, min(k, len(truth)) + 1))
    by_identity = {one.identity: one for one in truth}
    found = [(one["identity"], one["similarity"]) for one in candidates]
    certain = _check_order(found, [(one.identity, one.similarity) for one in truth], tolerance)
    for one in candidates:
        found_hits = [(hit["crop"], hit["similarity"]) for hit in one["hits"]]
        assert len(found_hits) == min(hits, len(by_identity[one["identity"]].hits))
        assert found_hits[0][1] == one["similarity"]
        _check_order(found_hits, by_identity[one["identity"]].hits, tolerance)
    return certain


def _check_order(found: Sequence[tuple[Any, float]], truth: Sequence[tuple[Any, float]], tolerance: float) -> int:
    names, similarities = [name for name, _ in found], [similarity for _, similarity in found]
    assert len(set(names)) == len(names), f"twice in one answer: {names}"
    assert similarities == sorted(similarities, reverse=True)
    own, certain = dict(truth), 0
    for place, (name, similarity) in enumerate(found):
        assert abs(similarity - truth[place][1]) <= tolerance, f"place {place + 1}: {found[place]}, not {truth[place]}"
        assert abs(similarity - own[name]) <= tolerance, f"{name} has the similarity of another"
        neighbours = [*truth[max(0, place - 1) : place], *truth[place + 1 : place + 2]]
        if all(abs(truth[place][1] - other) > 2 * tolerance for _, other in neighbours):
            assert name == truth[place][0]
            certain += 1
    return certain
