"""How cost grows with the gallery and with k: points from results.json and the exponent of a power law through them."""

from math import log
from typing import Any

from benchmarks.figures import fit_power

Points = list[tuple[float, float]]
SMALLEST = 10_000  # of a gallery: below it what does not depend on its size prevails
SERIES = {  # key: (what, unit, against)
    "search_ms": ("search at 1 client", "ms", "crops"),
    "search_32_ms": ("32 queries in one search, index alone", "ms", "crops"),
    "resident_mb": ("resident memory when ready", "MB", "crops"),
    "restart_s": ("ready after restart", "s", "crops"),
    "enrol_ms": ("enrolment per crop, 1 client, p50", "ms", "crops"),
    "query_ms": ("query at 1 client, p50", "ms", "crops"),
    "join_ms": ("join, largest gallery with figures", "ms", "k"),
    "search_k_ms": ("search, same gallery", "ms", "k"),
}


def measure_growth(galleries: dict[str, Any]) -> dict[str, Any]:
    """Of each series its points and the fitted exponent (None where there are too few points)."""
    sizes = {int(crops): found for crops, found in sorted(galleries.items(), key=lambda item: int(item[0]))}
    by_k: dict[str, Any] = next(
        (found["by_k"] for _, found in sorted(sizes.items(), reverse=True) if found.get("by_k")), {}
    )
    points: dict[str, Points] = {
        "search_ms": _points(sizes, "latency", "stages", "search", "mean_ms"),
        "search_32_ms": _points(sizes, "alone", "index", "queries", "32", "best_ms", "median"),
        "resident_mb": _points(sizes, "memory", "ready", "resident_mb"),
        "restart_s": _points(sizes, "restart", "ready_s", "median"),
        "enrol_ms": _points(sizes, "enrolment", "single, 1 client", "ms_per_crop"),
        "query_ms": _points(sizes, "latency", "p50_ms", "median"),
        "join_ms": _points({int(k): found for k, found in by_k.items()}, "stages", "join", "mean_ms"),
        "search_k_ms": _points({int(k): found for k, found in by_k.items()}, "stages", "search", "mean_ms"),
    }
    return {
        key: {
            "what": what,
            "unit": unit,
            "against": against,
            "points": points[key],
            "fit": _fit(points[key], against),
            "last": _last(points[key]),
        }
        for key, (what, unit, against) in SERIES.items()
        if points[key]
    }


def _points(found: dict[int, Any], *path: str) -> Points:
    out: Points = []
    for size, value in sorted(found.items()):
        for name in path:
            value = value.get(name) if isinstance(value, dict) else None
        if value is not None:
            out.append((float(size), float(value)))
    return out


def _last(points: Points) -> float | None:
    """The exponent between the last two points."""
    if len(points) < 2:
        return None
    (x, y), (further, more) = points[-2:]
    if y <= 0 or more <= 0:
        return None
    return round(log(more / y) / log(further / x), 3)


def _fit(points: Points, against: str) -> dict[str, float] | None:
    kept = [point for point in points if against == "k" or point[0] >= SMALLEST]
    return fit_power([x for x, _ in kept], [y for _, y in kept])
