"""What `make bench-gpu` does where there is no GPU."""

import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.gpu import why_not

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.skipif(not why_not(), reason="there is a GPU")
def test_without_a_gpu_it_says_so_and_ends_well() -> None:
    ended = subprocess.run(
        [sys.executable, "-m", "benchmarks.gpu"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert ended.stdout.startswith("no GPU was measured: FAISS")
