"""What makes the search of many rows faster than comparing each: a FAISS index over them, of which candidates are
asked for. It knows rows by number, in the order they were built from, and cannot change."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol

import faiss
import numpy as np
from numpy.typing import NDArray

from service.domain import VectorArray
from service.errors import IndexRefused
from service.index.blocks import GONE
from service.index.scan import Found

CODES = 256  # clusters that most codes are trained to
POINTS_PER_CLUSTER = 39  # fewer, and FAISS warns
TRAINED_ON = 131_072  # rows: enough for 2,048 lists at 64 each, and a quarter of a GB at 512 dimensions


@dataclass(frozen=True, slots=True)
class Source:
    """The rows that an accelerator is built from: `parts` gives them as often as asked, some thousand at a time."""

    count: int
    dim: int
    parts: Callable[[], Iterator[VectorArray]]  # contiguous float32


class Accelerator(Protocol):
    """Candidates out of the rows it was built from. Searches may run side by side."""

    limit: int  # most candidates of one search
    bytes: int  # memory it takes, beside the rows themselves

    def search(self, queries: VectorArray, wanted: int) -> Found:
        """Scores and numbers of rows, (n, wanted) each, GONE where it has no more."""
        ...


class FaissAccelerator:
    """A FAISS index in host memory, made from a factory string."""

    def __init__(self, index: Any) -> None:
        self._index = index
        self.limit = int(index.ntotal)
        self.bytes = _written_bytes(index)

    def search(self, queries: VectorArray, wanted: int) -> Found:
        """See Accelerator."""
        scores, rows = self._index.search(queries, wanted)
        return np.where(rows < 0, -np.inf, scores), np.where(rows < 0, GONE, rows)


def build_by_factory(factory: str, parameters: str, source: Source) -> FaissAccelerator:
    """Train and fill what a factory string describes. Raises IndexRefused where FAISS cannot make it of these rows."""
    index = empty_index(factory, parameters, source.dim)
    try:
        if not index.is_trained:
            index.train(_sample(source))
        for part in source.parts():
            index.add(part)
    except RuntimeError as error:
        raise IndexRefused(
            f"REAPPEAR_INDEX={factory} cannot be built of {source.count} rows: {_said(error)}"
        ) from error
    return FaissAccelerator(index)


def empty_index(factory: str, parameters: str, dim: int) -> Any:
    """What a factory string describes, with FAISS's search parameters ("nprobe=64") or ours. Raises IndexRefused."""
    try:
        index = faiss.index_factory(dim, factory, faiss.METRIC_INNER_PRODUCT)
        ivf = faiss.try_extract_index_ivf(index)
        if parameters:
            space: Any = faiss.ParameterSpace()
            space.set_index_parameters(index, parameters)
        elif ivf is not None:
            ivf.nprobe = max(1, ivf.nlist // 16)
        elif hasattr(index, "hnsw"):
            index.hnsw.efSearch = 128
    except (RuntimeError, TypeError) as error:
        raise IndexRefused(
            f"REAPPEAR_INDEX={factory}{f';{parameters}' if parameters else ''} is not understood by FAISS for {dim} "
            f"dimensions: {_said(error)}. Use exact, exact-fp16, gpu or a factory string such as IVF1024,SQ8;nprobe=64"
        ) from error
    return index


def least_rows(index: Any) -> int:
    """How many rows an index must be trained on, at the least, to be any good."""
    ivf = faiss.try_extract_index_ivf(index)
    clusters = ivf.nlist if ivf is not None else 0 if index.is_trained else CODES
    return POINTS_PER_CLUSTER * int(clusters)


def _sample(source: Source) -> NDArray[np.float32]:
    """Rows to train on: every so many of all."""
    step = max(1, -(-source.count // TRAINED_ON))
    rows, seen = np.empty((-(-source.count // step), source.dim), np.float32), 0
    for part in source.parts():
        chosen = part[-seen % step :: step]
        first = -(-seen // step)
        rows[first : first + len(chosen)] = chosen
        seen += len(part)
    return rows


def _written_bytes(index: Any) -> int:
    """How large it is when written, which is what it takes in memory but for allocators."""
    written = 0

    def count(part: bytes) -> int:
        nonlocal written
        written += len(part)
        return len(part)

    library: Any = faiss
    library.write_index(index, library.PyCallbackIOWriter(count))
    return written


def last_line(error: Exception) -> str:
    """The last line that FAISS said."""
    return (str(error).strip().splitlines() or [type(error).__name__])[-1]


def _said(error: Exception) -> str:
    """The last thing that FAISS said, without where in its source."""
    return last_line(error).rpartition(": ")[2][:200]
