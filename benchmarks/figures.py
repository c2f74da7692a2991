"""Repeated measurements and what is told of them. A figure is always a median with the least and the most."""

import statistics
import time
from collections.abc import Callable, Sequence

import numpy as np

Figure = dict[str, float]  # median, min, max, runs


def figure(values: Sequence[float], digits: int = 3) -> Figure:
    """Median, least, most and number of repeated measurements. Raises ValueError for none."""
    if not values:
        raise ValueError("there is nothing to tell of")
    return {
        "median": round(statistics.median(values), digits), "min": round(min(values), digits),
        "max": round(max(values), digits), "runs": len(values),
    }  # fmt: skip


def times_of(act: Callable[[], object], *, seconds: float, least: int = 5, warm_up: int = 2) -> list[float]:
    """Seconds of each call, called for some time and a few times at least, after calls that do not count."""
    for _ in range(warm_up):
        act()
    found: list[float] = []
    until = time.perf_counter() + seconds
    while len(found) < least or time.perf_counter() < until:
        began = time.perf_counter()
        act()
        found.append(time.perf_counter() - began)
    return found


def rates_of(act: Callable[[float], int], *, seconds: float, repeats: int) -> list[float]:
    """Things done a second, for each repeat. `act` works for about the seconds that it is given, returns how many."""
    act(min(seconds, 0.3))
    found = []
    for _ in range(repeats):
        began = time.perf_counter()
        done = act(seconds)
        found.append(done / (time.perf_counter() - began))
    return found


def fit_power(sizes: Sequence[float], values: Sequence[float]) -> dict[str, float] | None:
    """Exponent and factor of value = factor · size^exponent by least squares of the logarithms, and r²; None where
    there are fewer than three points, or a value is not positive."""
    if len(sizes) < 3 or min(values) <= 0 or min(sizes) <= 0:
        return None
    x, y = np.log(np.asarray(sizes, float)), np.log(np.asarray(values, float))
    exponent, offset = np.polyfit(x, y, 1)
    rest, spread = ((y - (exponent * x + offset)) ** 2).sum(), ((y - y.mean()) ** 2).sum()
    return {
        "exponent": round(float(exponent), 3), "factor": float(f"{np.exp(offset):.4g}"),
        "r2": round(float(1 - rest / spread), 3) if spread > 1e-12 else 1.0,
    }  # fmt: skip
