"""`python -m models` without a command: quick, and told what each command says of itself."""

import inspect
import os
import signal
import subprocess
import sys
import time
from importlib import import_module
from pathlib import Path

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


def test_what_is_not_installed_is_told_with_what_installs_it(tmp_path: Path) -> None:
    without = "import sys; sys.modules['tqdm'] = None; import models.__main__ as m; m.run_alone(m.app)"
    command = [sys.executable, "-c", without, "people", "--out", str(tmp_path / "drawn")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 3
    assert done.stderr.startswith("models: tqdm is not installed")
    assert "make .venv/train" in done.stderr


def test_processes_that_draw_end_with_a_command_that_is_ended(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "models", "people", "--out", str(tmp_path / "drawn"), "--workers", "2"]
    running = subprocess.Popen(command, cwd=ROOT, stderr=subprocess.DEVNULL)
    begun = time.monotonic()
    while not any(tmp_path.rglob("*.jpg")) and time.monotonic() < begun + 60:
        time.sleep(0.2)
    children = [
        Path("/proc", one) for one in Path(f"/proc/{running.pid}/task/{running.pid}/children").read_text().split()
    ]
    assert len(children) >= 2
    running.send_signal(signal.SIGTERM)
    assert running.wait(60) == 128 + signal.SIGTERM
    while any(one.exists() for one in children) and time.monotonic() < begun + 90:
        time.sleep(0.2)
    assert not [one for one in children if one.exists()]
