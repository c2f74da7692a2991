"""The service's own indexes, set up as the service sets them up. The one place to change when that changes."""

from service.config import usable_cores
from service.domain import VectorIndex
from service.index.exact import ExactIndex, tune_faiss


def exact_index(dim: int) -> VectorIndex:
    """The exact index on the CPU, the default."""
    tune_faiss()
    return ExactIndex(dim, threads=usable_cores())


def gpu_index(dim: int) -> VectorIndex | None:
    """The exact index on the GPU; None where this version has none."""
    return None
