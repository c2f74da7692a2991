"""docs/performance.md is made of results.json, and both are documented."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from benchmarks.bounds import check_bounds
from benchmarks.growth import measure_growth
from benchmarks.plots import draw_plots
from benchmarks.report import render
from tests.benchmarks.made import results

ROOT = Path(__file__).resolve().parents[2]
NOTHING_APART: dict[str, dict[str, Any] | None] = {"peers": None, "gpu": None, "soak": None}


def whole() -> dict[str, Any]:
    found = results()
    found["growth"] = measure_growth(found["galleries"])
    found["bounds"] = check_bounds(found)
    return found


def test_each_bound_stands_on_the_page_with_its_value() -> None:
    found = whole()
    page = render(found, NOTHING_APART, [])
    for bound in found["bounds"]:
        assert bound["what"] in page
        assert bound["how"] in page
    assert page.count("**does not hold**") == sum(bound["holds"] is False for bound in found["bounds"])


def test_the_page_says_what_was_not_measured() -> None:
    page = render(whole(), NOTHING_APART, [])
    assert "No figure on this page was taken on a GPU" in page
    assert "make bench-peers" in page


def test_a_run_of_one_gallery_makes_a_page_too() -> None:
    found = whole() | {"galleries": {}, "overload": None, "growth": {}, "bounds": check_bounds({})}
    assert "not measured" in render(found, NOTHING_APART, [])


@pytest.mark.parametrize("missing", [{"alone"}, {"load", "restart", "memory", "latency", "enrolment", "first_start_s"}])
def test_a_size_with_only_its_parts_or_its_service_makes_a_page(missing: set[str]) -> None:
    found = whole()
    for name in missing:
        del found["galleries"]["100000"][name]
    found["growth"], found["bounds"] = measure_growth(found["galleries"]), check_bounds(found)
    sections = render(found, NOTHING_APART, []).split("\n## ")
    parts, load = (next(one for one in sections if one.startswith(name)) for name in ("The parts", "The service"))
    assert ("| 100,000 |" in parts) is ("alone" not in missing)
    assert ("| 100,000 |" in load) is ("load" not in missing)


def test_plots_are_drawn_of_what_there_is(tmp_path: Path) -> None:
    assert draw_plots(whole(), tmp_path) == ["load", "stages", "growth"]
    assert (tmp_path / "growth.png").stat().st_size > 1000
    assert draw_plots({"galleries": {}}, tmp_path) == []
    assert not list(tmp_path.iterdir())


def test_a_peer_that_failed_is_told_of() -> None:
    figure = {"median": 1.0, "min": 1.0, "max": 1.0, "runs": 1}
    one = {"through": "HTTP", "search_1_ms": figure, "recall": 1.0, "recall_filtered": 0.5}
    peers = {
        "crops": 10, "dim": 512, "machine": results()["machine"], "notes": "",
        "systems": {"one": one, "other": {"error": "it cannot be installed"}},
    }  # fmt: skip
    page = render(whole(), NOTHING_APART | {"peers": peers}, [])
    assert "it cannot be installed" in page
    assert "0.500" in page


@pytest.mark.parametrize("section", ["bounds", "growth"])
def test_the_keys_of_bounds_are_documented(section: str) -> None:
    text = (ROOT / "benchmarks" / "README.md").read_text()
    assert f"`{section}" in text
    for bound in check_bounds({}):
        assert f"`{bound['key']}`" in text


def test_the_results_that_are_kept_make_the_page_that_is_kept() -> None:
    found = json.loads((ROOT / "benchmarks" / "results.json").read_text())
    documented = set(re.findall(r"^\| `(\w+)", (ROOT / "benchmarks" / "README.md").read_text(), re.MULTILINE))
    assert set(found) <= documented | {"took_s"}
    page = (ROOT / "docs" / "performance.md").read_text()
    for bound in check_bounds(found):
        assert bound["how"] in page


def test_every_key_that_is_kept_is_documented() -> None:
    """Names of sizes, ways, stages and the like are values, not keys."""
    told = set(re.findall(r"[a-z0-9_]+", (ROOT / "benchmarks" / "README.md").read_text()))
    kept = json.loads((ROOT / "benchmarks" / "results.json").read_text())
    by_value = {
        "ways",
        "p50_ms_ways",
        "libraries",
        "histogram",
        "statuses",
        "enrolment",
        "pauses",
        "growth",
        "stages",
        "resident_mb",
    }

    def keys(found: object, under: str = "") -> set[str]:
        if isinstance(found, list):
            return set().union(*map(keys, found))
        if not isinstance(found, dict):
            return set()
        return (set() if under in by_value else set(found)).union(*(keys(inner, name) for name, inner in found.items()))

    assert {name for name in keys(kept) if not name.isdecimal()} - told == set()
