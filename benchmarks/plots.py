"""Plots of docs/performance.md as PNG, from results.json."""

from pathlib import Path
from typing import Any

import matplotlib as mpl

mpl.use("Agg")
from matplotlib import pyplot

from benchmarks.growth import SMALLEST
from benchmarks.serving import STAGES
from benchmarks.tables import by_size, count

DPI = 110
GROWTH = ("search_ms", "resident_mb", "restart_s", "enrol_ms")


def draw_plots(results: dict[str, Any], folder: Path) -> list[str]:
    """Draws those that have figures; returns their names."""
    loaded = {crops: found for crops, found in results.get("galleries", {}).items() if "load" in found}
    drawn = []
    for name, draw, enough in (
        ("load", _load, loaded), ("stages", _stages, loaded), ("growth", _growth, results.get("growth")),
    ):  # fmt: skip
        path = folder / f"{name}.png"
        path.unlink(missing_ok=True)
        if enough:
            picture = draw(enough)
            picture.savefig(path, dpi=DPI, bbox_inches="tight", metadata={"Software": None})
            pyplot.close(picture)
            drawn.append(name)
    return drawn


def _load(galleries: dict[str, Any]) -> Any:
    picture, axes = pyplot.subplots(1, len(galleries), figsize=(4 * len(galleries), 3.2), squeeze=False)
    for axis, (crops, found) in zip(axes[0], by_size(galleries), strict=True):
        for who, marker in (("service", "o-"), ("naive", "s--")):
            for kind, by_clients in found["load"].get(who, {}).items():
                clients = [int(number) for number in by_clients]
                rates = [one["answered_per_s"] for one in by_clients.values()]
                low = [rate["median"] - rate["min"] for rate in rates]
                high = [rate["max"] - rate["median"] for rate in rates]
                axis.errorbar(
                    clients, [rate["median"] for rate in rates], yerr=[low, high], fmt=marker, label=f"{who}, {kind}"
                )
        axis.set(title=f"{count(crops)} crops", xlabel="clients", ylabel="answers a second", xscale="log", ylim=0)
        axis.set_xticks([1, 8, 32, 128], ["1", "8", "32", "128"])
        axis.grid(alpha=0.3)
    axes[0][0].legend(fontsize=8)
    picture.tight_layout()
    return picture


def _stages(galleries: dict[str, Any]) -> Any:
    picture, axes = pyplot.subplots(1, len(galleries), figsize=(4 * len(galleries), 3.2), squeeze=False)
    for axis, (crops, found) in zip(axes[0], by_size(galleries), strict=True):
        by_clients = found["load"]["service"].get("raw", {})
        below = [0.0] * len(by_clients)
        for stage in STAGES:
            means = [one["stages"].get(stage, {}).get("mean_ms", 0.0) for one in by_clients.values()]
            axis.bar(list(by_clients), means, bottom=below, label=stage)
            below = [low + mean for low, mean in zip(below, means, strict=True)]
        axis.set(title=f"{count(crops)} crops", xlabel="clients", ylabel="mean ms of a query")
    axes[0][0].legend(fontsize=8)
    picture.tight_layout()
    return picture


def _growth(growth: dict[str, Any]) -> Any:
    series = [growth[key] for key in GROWTH if key in growth]
    picture, axes = pyplot.subplots(1, max(1, len(series)), figsize=(3.6 * max(1, len(series)), 3.2), squeeze=False)
    for axis, one in zip(axes[0], series, strict=False):
        sizes = [x for x, _ in one["points"]]
        axis.loglog(sizes, [y for _, y in one["points"]], "o", label="measured")
        if one["fit"] is not None:
            fit = one["fit"]
            label = f"exponent {fit['exponent']:.2f}"
            fitted = [x for x in sizes if one["against"] == "k" or x >= SMALLEST]
            axis.loglog(fitted, [fit["factor"] * x ** fit["exponent"] for x in fitted], "--", label=label)
        axis.set(title=one["what"], xlabel=one["against"], ylabel=one["unit"])
        axis.legend(fontsize=8)
        axis.grid(alpha=0.3, which="both")
    picture.tight_layout()
    return picture
