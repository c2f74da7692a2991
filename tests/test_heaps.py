import subprocess
import sys

PROGRAM = """
import os
from benchmarks.machine import resident_bytes
from service.heaps import trim_heaps
from tests.holes import holes
with holes() as before:
    kept = resident_bytes(os.getpid()) - before
    trim_heaps()
    print(kept, resident_bytes(os.getpid()) - before)
"""


def test_what_was_freed_below_what_is_in_use_goes_back_to_the_system() -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True)
    kept_mb, left_mb = (int(number) / 1e6 for number in done.stdout.split())
    assert kept_mb > 80
    assert left_mb < 20
