"""What the scripts of all peers share. Standard library and NumPy only: each runs in an environment of its own."""

import json
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

K = 10
CAMERA = "camera-3"  # one crop in 16
CAMERAS = 16
BATCH = 32
DELETES = 20


def camera_of(row: int) -> str:
    """As `benchmarks.filling` gives them: crop ids begin at 1."""
    return f"camera-{(row + 1) % CAMERAS}"


def figure(values: Sequence[float]) -> dict[str, float]:
    """Median, least, most, and how many."""
    return {
        "median": round(statistics.median(values), 3), "min": round(min(values), 3), "max": round(max(values), 3),
        "runs": len(values),
    }  # fmt: skip


def times_ms(act: Callable[[int], Any], *, seconds: float, most: int) -> list[float]:
    """Milliseconds of each call; the first two do not count."""
    act(0), act(1)
    found: list[float] = []
    until = time.perf_counter() + seconds
    while len(found) < 3 or (time.perf_counter() < until and len(found) < most):
        began = time.perf_counter()
        act(len(found))
        found.append((time.perf_counter() - began) * 1000)
    return found


def recall(found: Sequence[Sequence[int]], truth: "np.ndarray") -> float:
    """Share of the exact best ids that were found."""
    hits = sum(len(set(ids) & set(exact[:K].tolist())) for ids, exact in zip(found, truth, strict=True))
    return round(hits / (len(truth) * K), 4)


def tell(result: dict[str, Any]) -> None:
    """The last line is the answer."""
    sys.stdout.write("\n" + json.dumps(result) + "\n")
