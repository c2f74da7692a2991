"""Flags: their examples, and that the command line has every one of them."""

import doctest
from dataclasses import fields, replace
from typing import Any

import pytest
from typer.testing import CliRunner

import models.training.flags
import models.training.notation
from models.__main__ import app
from models.errors import Refused
from models.runs import option
from models.training.flags import BOUNDS, Flags, check_flags


def test_the_examples_in_the_docstrings_hold() -> None:
    for module in (models.training.flags, models.training.notation):
        assert doctest.testmod(module).failed == 0


def test_every_flag_is_an_option_with_its_meaning() -> None:
    said = CliRunner(env={"COLUMNS": "200"}).invoke(app, ["train", "--help"]).output
    for one in fields(Flags):
        assert one.name == "data" or option(one.name) in said
        assert one.metadata["help"]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("threads", 0), ("drawers", -1), ("seed", -1), ("seed", 2**32), ("calm", -3.0), ("watched", -1), ("views", 0),
        ("scenes", 0), ("decay", -1.0), ("erase", 2.0), ("warm_up", -1), ("ramp", -0.1), ("hold_out", 1.0),
        ("rate", float("inf")), ("rate", float("nan")), ("factor", 0.0), ("average", 1.0), ("schedule", "cosinus"),
        ("milestones", "0.5;0.8"), ("milestones", "0.5,1"), ("augment", "wild"),
    ],
)  # fmt: skip
def test_a_value_that_no_training_can_have_is_refused_with_those_it_can(name: str, value: Any) -> None:
    with pytest.raises(Refused, match=f"^{option(name)} .*: (give|the shares)"):
        check_flags(replace(Flags(), **{name: value}))


def test_every_number_has_bounds_or_is_the_architectures() -> None:
    numbers = {one.name for one in fields(Flags) if type(one.default) in (int, float)}
    assert numbers - set(BOUNDS) == {"stripes", "dim", "height", "width", "last_stride"}
    assert check_flags(Flags()) == Flags()
