import subprocess
import sys

PROGRAM = """
import ctypes, os
from benchmarks.machine import resident_bytes
from service.heaps import trim_heaps
libc = ctypes.CDLL(None)
libc.malloc.restype, libc.free.argtypes = ctypes.c_void_p, [ctypes.c_void_p]
before = resident_bytes(os.getpid())
places = [libc.malloc(10_000) for _ in range(10_000)]
for place in places:
    ctypes.memset(place, 1, 10_000)
for place in places[:-1]:  # below one that is in use: malloc gives only the top of a heap back by itself
    libc.free(place)
kept = resident_bytes(os.getpid()) - before
trim_heaps()
print(kept, resident_bytes(os.getpid()) - before)
"""


def test_what_was_freed_below_what_is_in_use_goes_back_to_the_system() -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True)
    kept_mb, left_mb = (int(number) / 1e6 for number in done.stdout.split())
    assert kept_mb > 80
    assert left_mb < 20
