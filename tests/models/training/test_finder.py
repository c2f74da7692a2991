"""The learning-rate finder."""

import doctest
import json
from dataclasses import replace
from pathlib import Path

import pytest

import models.training.finder
from models.errors import Refused
from models.training.finder import suggest, write_rate
from tests.models.tiny import TINY


def test_the_examples_in_the_docstrings_hold() -> None:
    assert doctest.testmod(models.training.finder).failed == 0


def test_it_suggests_a_rate_below_the_one_where_the_loss_explodes(people: Path, tmp_path: Path) -> None:
    found = write_rate(replace(TINY, data=str(people), people=6, pictures=4), tmp_path / "rate", tries=40)
    least = found.rates[found.losses.index(min(found.losses))]
    assert len(found.rates) == len(found.losses) <= 40
    assert found.rates[0] == 1e-6
    assert 1e-4 < found.suggested <= 0.11 * least
    assert json.loads((tmp_path / "rate" / "rate.json").read_text())["suggested"] == found.suggested
    assert (tmp_path / "rate" / "rate.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize("losses", [[1.0] * 20, [1.0 + k for k in range(20)], [3.0, 2.0, 1.0], []])
def test_a_loss_that_never_falls_is_refused(losses: list[float]) -> None:
    with pytest.raises(Refused, match="no learning rate"):
        suggest([10.0**k for k in range(-len(losses), 0)], losses)
