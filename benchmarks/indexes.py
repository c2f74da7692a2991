"""The service's own indexes, set up as the service sets them up. The one place to change when that changes."""

from service.config import usable_cores
from service.domain import VectorIndex
from service.errors import IndexRefused
from service.heaps import share_heaps
from service.index.faiss_setup import tune_faiss
from service.index.kinds import kind_of
from service.index.segmented import SegmentedIndex


def exact_index(dim: int, threads: int | None = None) -> VectorIndex:
    """The exact index on the CPU, the default; a search takes so many threads, or all cores."""
    share_heaps()
    tune_faiss(dim)
    return SegmentedIndex(dim, threads=threads or usable_cores())


def gpu_index(dim: int) -> VectorIndex | None:
    """The exact index on the GPU; None where there is none."""
    try:
        return SegmentedIndex(dim, kind_of("gpu", dim), threads=usable_cores())
    except IndexRefused:
        return None
