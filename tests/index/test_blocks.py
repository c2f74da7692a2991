"""Which rows of blocks a search may see."""

import numpy as np
import pytest

from service.index.blocks import Block, views
from tests.index.contract import unit_vectors


@pytest.mark.parametrize("gap", [1, 3, 1000])
@pytest.mark.parametrize("share", [0.01, 0.02, 0.3, 1.0])
def test_an_allow_list_is_looked_up_alike_however_far_apart_ids_are(gap: int, share: float) -> None:
    """Close together by a table, far apart one by one; ids that are below, above and between those that are there."""
    rng = np.random.default_rng(3)
    ids = rng.permutation(5000) * gap
    block = Block.of(5000, 4, np.float32)
    block.append(ids, unit_vectors(5000, 4, seed=1))
    block.remove(np.arange(0, 5000, 7))
    asked = np.sort(rng.choice(np.arange(-3, 5010) * gap, int(5000 * share), replace=False))
    expected = np.flatnonzero(np.isin(block.ids, asked) & (block.ids != -1))
    (view,) = views([block], asked)
    found = np.arange(5000)[block.ids != -1] if view.rows is None else np.sort(view.rows)
    assert found.tolist() == expected.tolist()
