"""Blocks of rows, counted while they are worked on."""

from typing import Any

import numpy as np
import pytest

from models.evaluation import distances
from models.evaluation.distances import cosine_blocks
from tests.models.golden import unit


def test_the_bar_has_counted_every_query_when_the_last_block_is_done(monkeypatch: pytest.MonkeyPatch) -> None:
    bars = list[Any]()

    class Bar(distances.tqdm):  # type: ignore[misc]  # untyped
        def __init__(self, **told: Any) -> None:
            super().__init__(**told | {"disable": False})
            bars.append(self)

    monkeypatch.setattr(distances, "tqdm", Bar)
    vectors = unit(np.random.default_rng(0).normal(size=(7, 3)))
    blocks = list(cosine_blocks(vectors, vectors[:5], block=10))
    assert [len(block) for block in blocks] == [2, 2, 2, 1]
    assert np.concatenate(blocks) == pytest.approx(1 - vectors @ vectors[:5].T)
    assert [(bar.n, bar.total) for bar in bars] == [(7, 7)]
