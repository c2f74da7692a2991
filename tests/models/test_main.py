"""`python -m models` without a command: quick, and told what each command says of itself."""

import inspect
import os
import subprocess
import sys
from importlib import import_module

import pytest

from models.__main__ import COMMANDS, describe
from service.config import ROOT


@pytest.mark.parametrize("place", COMMANDS.values())
def test_what_a_command_is_for_is_read_from_its_docstring(place: str) -> None:
    module, _, function = place.partition(":")
    assert describe(place) == inspect.getdoc(getattr(import_module(module), function))


@pytest.mark.parametrize(("given", "kept"), [({}, "PASSIVE"), ({"OMP_WAIT_POLICY": "ACTIVE"}, "ACTIVE")])
def test_threads_wait_without_spinning_unless_told_otherwise(given: dict[str, str], kept: str) -> None:
    script = "import sys, os, models.__main__; print(os.environ['OMP_WAIT_POLICY'], 'torch' in sys.modules)"
    others = {name: value for name, value in os.environ.items() if name != "OMP_WAIT_POLICY"}
    command = [sys.executable, "-c", script]
    done = subprocess.run(command, cwd=ROOT, env=others | given, capture_output=True, text=True, check=True)
    assert done.stdout.split() == [kept, "False"], "it is read when PyTorch is imported"


@pytest.mark.parametrize(
    ("words", "absent"),
    [
        (["--help"], {"torch", "numba", "matplotlib", "onnxruntime", "numpy"}),
        (["people", "--help"], {"torch", "matplotlib", "onnxruntime"}),
        (["import", "--help"], {"torch", "matplotlib"}),
    ],
)
def test_only_what_a_command_needs_is_imported(words: list[str], absent: set[str]) -> None:
    script = (
        "import sys, atexit, models.__main__ as m; atexit.register(lambda: print(*sys.modules)); m.app(sys.argv[1:])"
    )
    done = subprocess.run([sys.executable, "-c", script, *words], cwd=ROOT, capture_output=True, text=True, check=True)
    assert "Usage: " in done.stdout
    assert absent.isdisjoint(done.stdout.splitlines()[-1].split())
