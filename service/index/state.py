"""What there is of an index at one moment, and where in it to look for the nearest."""

from collections.abc import Sequence
from dataclasses import dataclass

import faiss
import numpy as np
from numpy.typing import NDArray

from service.domain import VectorArray
from service.index.blocks import Block, View
from service.index.scan import best_of, scan
from service.index.segments import Segment


@dataclass(frozen=True, slots=True, eq=False)
class State:
    """What a search sees; never changed, only replaced."""

    loose: tuple[Block, ...] = ()  # compared row by row; only the last one takes rows
    segments: tuple[Segment, ...] = ()

    @property
    def blocks(self) -> tuple[Block, ...]:
        """All blocks, numbered as places name them."""
        return (*self.loose, *(block for segment in self.segments for block in segment.blocks))

    @property
    def closed(self) -> tuple[Block, ...]:
        """Loose blocks that take no more rows."""
        return self.loose if self.loose and self.loose[-1].full else self.loose[:-1]


def candidates(
    queries: VectorArray, state: State, seen: Sequence[View], wanted: int, threads: int
) -> NDArray[np.int64]:
    """Places of the `wanted` best rows for each query, in no order, GONE where there are not so many."""
    first = len(state.loose)
    found = [scan(queries, seen[:first], 0, wanted, threads)] if first else []
    for segment in state.segments:
        faiss.omp_set_num_threads(threads)  # counted for each calling thread apart
        end = first + len(segment.blocks)
        found.append(segment.best(queries, wanted, first) or scan(queries, seen[first:end], first, wanted, threads))
        first = end
    return best_of(found, wanted)[1]
