"""Rows rounded to 8 bits: a quarter of the memory to read, whole numbers to multiply, and a proven bound on how far the
product of two sketches can be from the product of what they stand for.

With q = q̂ + e and x = x̂ + f, where q̂ and x̂ are the sketches, the Cauchy-Schwarz inequality gives
|q·x - q̂·x̂| ≤ |q| |f| + |e| |x̂|.
"""

from dataclasses import dataclass

import numkong
import numpy as np
from numpy.typing import NDArray

from service.domain import CropIds, VectorArray

LARGEST = 127  # of a code; -128 is left out, so that both signs are alike
ROUNDED_AT_ONCE = 256  # rows: what is computed with on the way stays in the cache, and malloc keeps it at hand
ROUNDING = 1e-5  # bound on float32 rounding of an inner product of unit vectors (512-d: about 2e-6 seen)


@dataclass(slots=True, eq=False)
class Sketch:
    """The sketches of a block's rows. A row is its codes times its step; the step of a removed row is NaN, so that its
    product is larger than nothing."""

    codes: NDArray[np.int8]  # (size, dim)
    steps: VectorArray  # (size,)
    error: float = 0.0  # no row is further from its sketch
    reach: float = 0.0  # no sketch is longer

    @classmethod
    def of(cls, size: int, dim: int) -> "Sketch":
        """Room for so many rows. Its memory is the system's to give when rows come."""
        return cls(np.empty((size, dim), np.int8), np.empty(size, np.float32))

    @property
    def row_bytes(self) -> int:
        """Memory of a row."""
        return int(self.codes.strides[0] + self.steps.strides[0])

    def put(self, first: int, vectors: NDArray[np.floating]) -> None:
        """Sketch (n, dim) rows, from row `first` on; those that are NaN count as removed."""
        for start in range(0, len(vectors), ROUNDED_AT_ONCE):
            part = vectors[start : start + ROUNDED_AT_ONCE].astype(np.float32, copy=False)
            rows = slice(first + start, first + start + len(part))
            self.codes[rows], self.steps[rows], errors, lengths = rounded(part)
            self.error = max(self.error, float(errors.max(initial=0)))
            self.reach = max(self.reach, float(lengths.max(initial=0)))

    def drop(self, rows: CropIds) -> None:
        """Overwrite rows."""
        self.codes[rows] = 0
        self.steps[rows] = np.nan


def rounded(vectors: VectorArray) -> tuple[NDArray[np.int8], VectorArray, VectorArray, VectorArray]:
    """Of (n, dim) rows: codes (n, dim), steps (n,), how far each sketch is from its row (n,), and its length (n,)."""
    steps = np.abs(vectors).max(axis=1) / np.float32(LARGEST)
    gone = np.isnan(steps)
    divisors = np.where(steps > 0, steps, np.float32(1))
    left = vectors / divisors[:, None]
    left[gone] = 0
    codes = np.rint(left)
    left -= codes
    errors = np.sqrt(np.einsum("nd,nd->n", left, left)) * divisors
    lengths = np.sqrt(np.einsum("nd,nd->n", codes, codes)) * divisors
    return codes.astype(np.int8), np.where(gone, np.float32(np.nan), divisors), errors, lengths


class Probe:
    """Sketched queries."""

    def __init__(self, queries: VectorArray, *, error: float, reach: float) -> None:
        """(n, dim) queries of rows with at most this error and reach."""
        self.queries = queries
        self._codes, self.steps, errors, _ = rounded(queries)
        self._packed = numkong.dots_pack(self._codes)
        lengths = np.sqrt(np.einsum("nd,nd->n", queries, queries))
        self.margin: VectorArray = lengths * (error + ROUNDING * (reach + error)) + errors * reach

    def __len__(self) -> int:
        """How many queries."""
        return len(self.queries)

    def products(self, codes: NDArray[np.int8], steps: VectorArray) -> VectorArray:
        """About what the inner products of (m, dim) sketched rows and the queries are, (m, n): none is further off than
        `margin`, (n,). In units of the queries' own steps; see `in_units`."""
        if len(self) == 1:  # one by one reads them half as fast again as a product of matrices does
            products = np.asarray(numkong.cdist(self._codes, codes, "dot")).T
        else:
            products = np.asarray(numkong.dots_packed(codes, self._packed))
        scaled: VectorArray = np.multiply(products, steps[:, None], dtype=np.float32, casting="unsafe")
        return scaled

    def in_units(self, similarities: VectorArray) -> VectorArray:
        """Similarities (n,) as `products` has them: dividing these few is cheaper than multiplying all of those."""
        return similarities / self.steps
