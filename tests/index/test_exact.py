from collections.abc import Callable

import numpy as np
import pytest

from service.index.exact import ExactIndex, tune_faiss
from tests.index.contract import DIM, VectorIndexContract


@pytest.fixture(autouse=True, scope="module")
def _tuned() -> None:
    tune_faiss()


class TestExactIndex(VectorIndexContract):
    """Blocks so small that everything crosses them, middling ones that fill and are compacted, and one for all."""

    @pytest.fixture(params=[3, 64, 4096], ids=lambda rows: f"blocks of {rows}")
    def make_index(self, request: pytest.FixtureRequest) -> Callable[[int], ExactIndex]:
        return lambda dim: ExactIndex(dim, block_rows=request.param)


def test_a_removed_vector_leaves_the_memory_at_once() -> None:
    index = ExactIndex(DIM, block_rows=16)
    vectors = np.random.default_rng(0).normal(size=(16, DIM)).astype(np.float32)
    index.add(np.arange(16), vectors)
    (block,) = index._blocks
    index.remove(np.array([3]))
    assert vectors[2].tobytes() in block.vectors.tobytes()
    assert vectors[3].tobytes() not in block.vectors.tobytes()


def test_blocks_shrink_away_as_their_vectors_are_removed() -> None:
    index, rng = ExactIndex(DIM, block_rows=16), np.random.default_rng(1)
    index.add(np.arange(160), rng.normal(size=(160, DIM)).astype(np.float32))
    assert len(index._blocks) == 10
    index.remove(np.arange(41))
    assert [block.count for block in index._blocks] == [7, *[16] * 7]
    index.remove(np.arange(160))
    assert index._blocks == []
