"""Are these two the same? 1:1, and the bare vector of one picture."""

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from service.domain import Quality, Thresholds, VectorArray
from service.errors import BadInput
from service.flows.admission import Lane
from service.flows.parts import Parts
from service.flows.pictures import Upload
from service.flows.query import Probe, embedded, identity_vectors, see
from service.matching.decision import Decision, decide, thresholds_in_force
from service.telemetry import Stopwatch

BLOCK = 256  # vectors


@dataclass(frozen=True, slots=True)
class Comparison:
    """How similar two probes are, and what that means."""

    similarity: float
    decision: Decision
    thresholds: Thresholds


async def compare(
    parts: Parts, collection_name: str, a: Probe, b: Probe, threshold: float | None, watch: Stopwatch
) -> Comparison:
    """Compare two probes; of an identity the best of its crops counts. Raises as a query does."""
    with parts.admission.enter(2, Lane.QUERY):
        collection = await parts.homes.find(collection_name)
        left, left_subject = await _vectors(parts, collection.id, a, watch)
        right, right_subject = await _vectors(parts, collection.id, b, watch)
    thresholds = thresholds_in_force(threshold, collection, parts.model.thresholds)
    similarity = await asyncio.to_thread(_best, left, right)
    parts.audit.saw("compare", collection_name, [one for one in (left_subject, right_subject) if one is not None])
    return Comparison(similarity, decide(similarity, thresholds), thresholds)


async def embed(parts: Parts, upload: Upload, watch: Stopwatch) -> tuple[VectorArray, Quality]:
    """The (dim,) vector of one picture and its quality. Raises BadPicture, Overloaded or Stopping."""
    with parts.admission.enter(1, Lane.QUERY):
        sought = await see(parts, 0, Probe([upload]), watch)
        vector, (quality,) = await parts.courses.take(embedded(sought), watch)
    parts.audit.saw("embed", None)
    return vector, quality


def _best(left: VectorArray, right: VectorArray) -> float:
    """The highest similarity of any pair of (n, dim) and (m, dim) vectors, in blocks that fit the memory; 1 at most,
    like a query's, whatever rounding makes of it."""
    pairs = ((one, other.T) for one in _wide(left) for other in _wide(right))
    return min(1.0, float(max((one @ other).max() for one, other in pairs)))


def _wide(vectors: VectorArray) -> Iterator[NDArray[np.float64]]:
    for start in range(0, len(vectors), BLOCK):
        yield vectors[start : start + BLOCK].astype(np.float64)


async def _vectors(parts: Parts, collection: int, probe: Probe, watch: Stopwatch) -> tuple[VectorArray, str | None]:
    """The (n, dim) vectors of a probe, and the client's id of whom it is, where that is known."""
    if probe.identity is None:
        sought = await see(parts, collection, probe, watch)
        if sought.of_pictures:
            vector, _ = await parts.courses.take(embedded(sought), watch)
            return vector[None], None
        assert sought.vector is not None  # only an identity may have none
        return sought.vector[None], sought.subject
    vectors = await parts.database.read(identity_vectors, collection, probe.identity, parts.model.id)
    if not len(vectors):
        raise BadInput(f"identity {probe.identity!r} has no crops to compare with; enrol one first")
    return vectors, probe.identity
