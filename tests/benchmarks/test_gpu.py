"""What `make bench-gpu` does where there is no GPU, and what it makes of one that is none."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks import gpu
from benchmarks.figures import figure
from benchmarks.tables_apart import gpu_section
from service.index.kinds import kind_of
from service.index.segmented import SegmentedIndex
from tests.benchmarks.made import run
from tests.index.stand_in import StandIn

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.skipif(not gpu.why_not(), reason="there is a GPU")
def test_without_a_gpu_it_says_so_and_ends_well() -> None:
    ended = subprocess.run(
        [sys.executable, "-m", "benchmarks.gpu"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert ended.stdout.startswith("no GPU was measured: FAISS")


def test_a_part_that_fails_takes_nothing_with_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gpu, "RESULT", tmp_path / "results" / "gpu.json")
    found: dict[str, Any] = {"flat": {}, "not_measured": {}}

    def fail() -> None:
        kept.append(json.loads(gpu.RESULT.read_text()))
        raise Exception("CUDA failure 700")

    kept: list[Any] = []
    gpu.measure_all({("embed",): lambda: 1, ("flat", "cuvs", "10"): fail, ("flat", "classic", "10"): lambda: 2}, found)
    assert kept == [{"flat": {}, "not_measured": {}, "embed": 1}], "what is done is on the disk"
    expected = {"flat": {"classic": {"10": 2}}, "embed": 1, "not_measured": {"flat, cuvs, 10": "CUDA failure 700"}}
    assert json.loads(gpu.RESULT.read_text()) == expected


def test_rows_are_unit_vectors_of_which_none_is_there_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gpu, "AT_ONCE", 100)
    rows = np.concatenate(list(gpu.some_rows(250)))
    assert rows.shape == (250, gpu.DIM)
    assert np.abs(np.linalg.norm(rows, axis=1) - 1).max() < 1e-5
    scores = rows @ rows.T - 2 * np.eye(250)
    assert scores.max() < 0.9


def test_what_is_removed_lay_on_the_card_and_is_taken_off_it(monkeypatch: pytest.MonkeyPatch) -> None:
    card = StandIn()
    index = SegmentedIndex(gpu.DIM, kind_of("gpu", gpu.DIM, card), block_rows=4096)
    monkeypatch.setattr(gpu, "AT_ONCE", 4096)
    monkeypatch.setattr(gpu, "gpu_index", lambda dim: index)
    found = gpu.measure_index(16_384, seconds=0.01)
    assert {"fill", "search, 64 queries", "add 1000", "remove 1000", "purge"} <= set(found)
    assert len(index) == 16_384
    assert not index.holds_removed
    assert index.accelerated >= 16_384 - 10_000 - 4096, "what is left of them lies on the card again"
    assert sum(card.added) > 16_384


def test_a_page_tells_what_was_measured_and_what_was_not() -> None:
    one = {"ms": figure([2.0]), "gb_per_s": 2000.0, "of_bandwidth": 0.62}
    found = {
        "device": "a card", "machine": {"commit": "abc"}, "bandwidth_gb_per_s": 3200.0,
        "flat": {"cuvs": {"1000000": {"64": one}}}, "embed": {"mixed": figure([900.0])},
        "index": {"purge": figure([7.0])},
        "whole": {"32": run(2000.0, 12.0)}, "not_measured": {"flat, classic, 10000000": "no room"},
    }  # fmt: skip
    page = gpu_section(found)
    for told in ("| 1,000,000 | cuvs | 64 | 2.00 | 2,000 | 0.62 |", "| mixed | 900 |", "| purge | 7.00 |", "no room"):
        assert told in page
