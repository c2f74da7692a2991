import subprocess
import sys

TRIMMED = """
import os
from benchmarks.machine import resident_bytes
from service.heaps import trim_heaps
from tests.holes import holes
with holes() as before:
    kept = resident_bytes(os.getpid()) - before
    trim_heaps()
    print(kept, resident_bytes(os.getpid()) - before)
"""
SEARCHED = """
import resource
import numpy as np
from service.heaps import share_heaps
from service.index.segmented import SegmentedIndex
share_heaps()
vectors = np.random.default_rng(1).standard_normal((100_000, 128), dtype=np.float32)
vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
index = SegmentedIndex(128)
index.add(np.arange(len(vectors)), vectors)
for _ in range(3):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    index.search(vectors[:32], 26)
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def _run(program: str) -> list[int]:
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    return [int(number) for number in done.stdout.split()]


def test_what_was_freed_below_what_is_in_use_goes_back_to_the_system() -> None:
    kept_mb, left_mb = (number / 1e6 for number in _run(TRIMMED))
    assert kept_mb > 80
    assert left_mb < 20


def test_a_search_finds_the_memory_that_the_one_before_has_freed() -> None:
    (pages,) = _run(SEARCHED)
    assert pages < 500, "taken from the system anew; as glibc has it there are 7,000"
