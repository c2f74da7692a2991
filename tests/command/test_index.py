"""`reappear index advise`: on vectors from a file or from the service's database."""

import json
import os
import sys
from pathlib import Path

import httpx2 as httpx
import numpy as np
import pytest

from reappear.index import advise_kind
from service.errors import FileRefused
from tests.command.conftest import ADMIN_KEY, Run, run
from tests.index.brute_force import unit_vectors
from tests.pictures import jpeg
from tests.server import Server

ENVIRONMENT = {**os.environ, "COLUMNS": "200"}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "vectors.npy"
    np.save(path, unit_vectors(900, 32, seed=1))
    return path


def test_a_table_and_a_recommendation_for_vectors_from_a_file(file: Path, tmp_path: Path) -> None:
    done = run(
        "index", "advise", str(file), "--kind", "exact-fp16", "--plot", str(tmp_path / "plot.png"), **ENVIRONMENT
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert "700 vectors of 32 dimensions" in done.stdout
    assert "exact-fp16" in done.stdout
    assert "REAPPEAR_INDEX=exact: it answers in" in done.stdout
    assert (tmp_path / "plot.png").read_bytes().startswith(b"\x89PNG")


def test_figures_for_programs(file: Path) -> None:
    done = run("index", "advise", str(file), "--json", **ENVIRONMENT)
    told = json.loads(done.stdout)
    assert [one["kind"] for one in told["measured"]] == ["exact", "exact-fp16", "gpu"]
    assert told["measured"][0]["recall"] == 1
    assert told["kind"] == "exact"


def test_a_kind_that_cannot_be_had_is_named_with_the_reason(file: Path) -> None:
    done = run("index", "advise", str(file), "--kind", "gpu", **ENVIRONMENT)
    assert done.returncode == 0
    assert "gpu: REAPPEAR_INDEX=gpu needs a GPU build of FAISS" in done.stdout


def test_the_vectors_of_a_collection_are_read_from_the_database_beside_the_service(keyed: Server, command: Run) -> None:
    key = {"Authorization": f"Bearer {ADMIN_KEY}", "Content-Type": "image/jpeg"}
    for seed in range(3):
        httpx.post(f"{keyed.url}/gallery", content=jpeg(seed), headers=key).raise_for_status()
    done = command("index", "advise", "--kind", "exact")
    assert done.returncode == 0, done.stderr
    assert "2 vectors of 512 dimensions" in done.stdout
    assert command("index", "advise", "--collection", "nowhere").returncode == 3


def test_a_database_that_is_not_there_is_not_made(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'typo.db'}"
    done = run("index", "advise", **{**ENVIRONMENT, "REAPPEAR_DATABASE_URL": url})
    assert (done.returncode, "there is no database" in done.stderr) == (3, True)
    assert list(tmp_path.iterdir()) == []


def test_a_plot_without_matplotlib_is_refused_before_anything_is_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(FileRefused, match="--plot needs matplotlib"):
        advise_kind(Path("nowhere.npy"), plot=Path("plot.png"))


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (np.zeros((5, 4), np.float32), "zero or not finite"),
        (np.zeros(5, np.float32), "(n, dim) of float is needed"),
        (np.ones((1, 4), np.float32), "tell nothing"),
    ],
)
def test_vectors_that_cannot_be_used_are_refused_in_one_line(content: np.ndarray, said: str, tmp_path: Path) -> None:
    np.save(tmp_path / "bad.npy", content)
    done = run("index", "advise", str(tmp_path / "bad.npy"), **ENVIRONMENT)
    assert done.returncode == 3
    assert said in done.stderr
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize("plot", ["plot.xyz", "plot", "nowhere/plot.png", "."])
def test_a_plot_that_cannot_be_written_is_refused_before_anything_is_measured(plot: str, tmp_path: Path) -> None:
    with pytest.raises(FileRefused, match=r"cannot be written as a plot: name a \.png file"):
        advise_kind(Path("nowhere.npy"), plot=tmp_path / plot)
