"""Memory that malloc keeps, though it was freed."""

import ctypes
import os
from collections.abc import Iterator
from contextlib import contextmanager

from benchmarks.machine import resident_bytes


@contextmanager
def holes() -> Iterator[int]:
    """100 MB freed below what is in use: malloc gives only the top of a heap back by itself. The resident memory from
    before."""
    libc = ctypes.CDLL(None)
    libc.malloc.restype, libc.free.argtypes = ctypes.c_void_p, [ctypes.c_void_p]
    before = resident_bytes(os.getpid())
    places = [libc.malloc(10_000) for _ in range(10_000)]
    for place in places:
        ctypes.memset(place, 1, 10_000)
    for place in places[:-1]:
        libc.free(place)
    yield before
    libc.free(places[-1])
