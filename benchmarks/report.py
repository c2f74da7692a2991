"""docs/performance.md and its plots, from results.json: `python -m benchmarks.report`. No figure is written by hand."""

import json
import sys
from typing import Any

from benchmarks.bounds import check_bounds
from benchmarks.growth import measure_growth
from benchmarks.machine import ROOT
from benchmarks.plots import draw_plots
from benchmarks.tables import (
    alone_table,
    bounds_table,
    enrolment_table,
    filter_table,
    growth_table,
    load_table,
    machine_table,
    memory_table,
    overload_table,
    runs_table,
    stage_table,
)
from benchmarks.tables_apart import gpu_section, peers_section, soak_section

RESULTS = ROOT / "benchmarks" / "results.json"
PAGE = ROOT / "docs" / "performance.md"
PLOTS = ROOT / "docs" / "performance"
APART = ROOT / "benchmarks" / "results"

HEAD = """# Performance

Written by `python -m benchmarks.report` from `benchmarks/results.json`; `make bench` measures anew, `make bench
QUICK=1` in five minutes. Everything at one size of the gallery was measured in one go on the same cores, the load
generator included. Figures are medians, with the least and the most over the repeats behind them.
[benchmarks/README.md](../benchmarks/README.md) tells what is measured and how, and what each key of results.json means.
"""


def read_apart(name: str) -> dict[str, Any] | None:
    """What peers, gpu or soak measured, each by a command of its own; None where it was not run."""
    path = APART / f"{name}.json"
    return json.loads(path.read_text()) if path.exists() else None


def conclude(results: dict[str, Any]) -> None:
    """Add what follows from the figures: growth, and the bounds, one of which the soak measures."""
    soak = read_apart("soak")
    results["soak"] = None if soak is None else {name: soak[name] for name in ("seconds", "slope_mb_per_hour")}
    results["growth"] = measure_growth(results.get("galleries", {}))
    results["bounds"] = check_bounds(results)


def write_results(results: dict[str, Any]) -> None:
    """benchmarks/results.json, with what follows from its figures."""
    conclude(results)
    fresh = RESULTS.with_suffix(".new")
    fresh.write_text(json.dumps(results, indent=1, ensure_ascii=False) + "\n")
    fresh.replace(RESULTS)


def write_report(results: dict[str, Any]) -> None:
    """Page and plots."""
    apart = {name: read_apart(name) for name in ("peers", "gpu", "soak")}
    PLOTS.mkdir(parents=True, exist_ok=True)
    drawn = draw_plots(results, PLOTS)
    PAGE.write_text(render(results, apart, drawn))


def render(results: dict[str, Any], apart: dict[str, dict[str, Any] | None], plots: list[str]) -> str:
    """The page. `plots` names those that were drawn; a section without figures is left out or says so."""
    galleries = results.get("galleries", {})
    loaded = {crops: found for crops, found in galleries.items() if "load" in found}
    with_parts = {crops: found for crops, found in galleries.items() if "faiss" in found.get("alone", {})}

    def plot(name: str, meaning: str) -> list[str]:
        return [f"![{meaning}](performance/{name}.png)"] if name in plots else []

    sections = [
        HEAD,
        *(["**A quick run**: smaller galleries and short runs; its spread is wide."] if results.get("quick") else []),
        "## The machine", machine_table(results), runs_table(galleries),
        "## Numbers to hold", bounds_table(results["bounds"]),
        "## The parts alone", alone_table(with_parts),
        "## The service under load", *plot("load", "Queries a second by clients"), load_table(loaded),
        "## Where a query spends its time", *plot("stages", "Stages of a query by clients"), stage_table(loaded),
        "## Filters", filter_table(galleries),
        "## Enrolment", enrolment_table(galleries),
        "## Restart and memory", memory_table(galleries),
        "## Overload", overload_table(results.get("overload")),
        "## Growth", *plot("growth", "Cost against the gallery's size"), growth_table(results.get("growth", {})),
        "## Memory under mixed load", soak_section(apart.get("soak")),
        "## Beside other systems", peers_section(apart.get("peers")),
        "## On a GPU", gpu_section(apart.get("gpu")),
    ]  # fmt: skip
    return "\n\n".join(section.strip() for section in sections if section) + "\n"


def main() -> int:
    """Writes the page anew, and what follows from the figures."""
    results = json.loads(RESULTS.read_text())
    write_results(results)
    write_report(results)
    return 0


if __name__ == "__main__":
    sys.exit(main())
