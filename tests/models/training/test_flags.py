"""Flags: their examples, and that the command line has every one of them."""

import doctest
from dataclasses import fields

from typer.testing import CliRunner

import models.training.flags
from models.__main__ import app
from models.runs import option
from models.training.flags import Flags


def test_the_examples_in_the_docstrings_hold() -> None:
    assert doctest.testmod(models.training.flags).failed == 0


def test_every_flag_is_an_option_with_its_meaning() -> None:
    said = CliRunner(env={"COLUMNS": "200"}).invoke(app, ["train", "--help"]).output
    for one in fields(Flags):
        assert one.name == "data" or option(one.name) in said
        assert one.metadata["help"]
