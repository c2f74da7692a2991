"""What glibc's malloc keeps for later; where there is another one, nothing is done."""

import ctypes
from contextlib import suppress

M_ARENA_MAX, M_MMAP_THRESHOLD, M_TRIM_THRESHOLD = -8, -3, -1  # of glibc's malloc.h
HEAPS = 2
AT_HAND = 16 << 20  # bytes at the end of a heap: more than what a search needs for its parts
APART = 8 << 20  # what is so large or larger goes back to the system at once


def share_heaps() -> None:
    """Have threads share the heaps of malloc: each of its own keeps what its thread once needed, and ten of them kept
    60 MB at 100,000 crops and 300 MB at a million. And have those keep what one search has freed for the next: left to
    itself, glibc learns how much that is from what else was freed, and where it was little, each search takes its few
    MB from the system anew (docs/decisions/0039-what-a-search-frees.md)."""
    with suppress(AttributeError, OSError):
        libc = ctypes.CDLL(None)
        for name, value in ((M_ARENA_MAX, HEAPS), (M_MMAP_THRESHOLD, APART), (M_TRIM_THRESHOLD, AT_HAND)):
            libc.mallopt(name, value)


def trim_heaps() -> None:
    """Give back what nobody has asked for again: 110 MB after a million crops were loaded."""
    with suppress(AttributeError, OSError):
        ctypes.CDLL(None).malloc_trim(0)
