"""How FAISS is brought in: once, with what must be said before its threads start."""

import os

# read once, when FAISS brings OpenMP in: threads that spin while they wait for each other turn a search of 0.1 ms into
# one of 8 ms as soon as the network wants the same cores
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
import faiss

FAISS_VERSION: str = faiss.__version__
FAISS_BUILD = f"{FAISS_VERSION}, {faiss.get_compile_options().strip()}"

BATCHED = 4  # queries from which on a matrix product is faster than one scan of the rows for each


def tune_faiss(dim: int) -> None:
    """Set FAISS's process-wide knobs for vectors of so many numbers, once, before the first search.

    Small batches otherwise re-read all rows for each query, and blocks of 1,024 rows starve the BLAS (26-42 against
    110-130 GFLOP/s on two cores).
    """
    faiss.cvar.distance_compute_blas_threshold = BATCHED * dim  # compared with queries × dim
    faiss.cvar.distance_compute_blas_database_bs = 16_384
