"""A few seconds of the coverage-guided fuzzer, so that it cannot rot; `make fuzz` runs it for as long as you like."""

import re
import resource
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SECONDS = 4
MOST_MB = 1_000
SEED = 20261121

pytest.importorskip("atheris", reason="atheris has wheels for Linux on x86-64 and Python up to 3.13 only")


def test_the_fuzzer_finds_its_way_into_the_decoder_and_nothing_breaks(tmp_path: Path) -> None:
    corpus, found = tmp_path / "corpus", tmp_path / "found"
    found.mkdir()
    inherited = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024  # a child's peak begins at its parent's
    options = [
        f"-seed={SEED}", f"-max_total_time={SECONDS}", "-timeout=20", f"-rss_limit_mb={inherited + MOST_MB}",
        f"-artifact_prefix={found}/", str(corpus),
    ]  # fmt: skip
    command = [sys.executable, "-m", "tests.fuzz.target", *options]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr[-5000:]
    assert list(found.iterdir()) == []
    runs = int(re.findall(r"Done (\d+) runs", ended.stderr)[0])
    covered = [int(number) for number in re.findall(r"cov: (\d+)", ended.stderr)]
    assert runs > 200, "too few to say anything"
    assert covered[-1] > 300, "it does not see the code it tries"
