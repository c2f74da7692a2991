"""The arithmetic behind `holds: true|false`, on figures whose ratios can be told in one's head."""

from typing import Any

import pytest

from benchmarks.bounds import OWN, RAW, allowed_per_s, alone_p50_ms, check_bounds
from tests.benchmarks.made import alone, figure, results


def bounds_of(found: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {one["key"]: one for one in check_bounds(found)}


def test_parts_that_take_turns_allow_the_reciprocal_of_the_sum_of_their_times() -> None:
    assert allowed_per_s(alone()) == pytest.approx(1 / (1 / 4000 + 1 / 1000 + 1 / 4000))


def test_the_batch_that_searches_most_a_second_counts() -> None:
    found = alone()
    found["faiss"]["queries"]["1"]["best_ms"]["median"] = 0.1  # 10,000 a second, more than 32 in 8 ms
    assert allowed_per_s(found) == pytest.approx(1 / (1 / 4000 + 1 / 1000 + 1 / 10_000))


def test_the_faster_of_faiss_and_our_index_counts() -> None:
    found = alone()
    found["index"]["queries"]["32"]["best_ms"]["median"] = 4.0
    assert allowed_per_s(found) == pytest.approx(1 / (1 / 4000 + 1 / 1000 + 1 / 8000))


def test_a_lone_query_takes_the_sum_of_its_parts() -> None:
    assert alone_p50_ms(alone()) == pytest.approx(0.25 + 1.5 + 1.0)


@pytest.mark.parametrize(
    ("key", "value", "holds"),
    [
        ("query_throughput", 0.9, True),  # 450 of 500
        ("query_throughput_own_index", 0.75, False),  # 450 of 600
        ("latency_added", 1.25, True),  # 4 ms over HTTP, 2.75 alone
        ("latency_added_own_index", 1.5, True),
        ("search_sgemm", 0.8, True),  # 8 ms and 10
        ("search_defaults", 3.0, True),  # 30 ms and 10
        ("search_same", 1.0, True),
        ("bulk_enrolment", 0.65, False),  # 650 of 1,000
        ("restart_100k", 2.5, True),
        ("restart_1m", 25.0, False),
        ("memory_100k", 0.8, True),
        ("memory_1m", 0.8, True),
        ("overload_tail", 2.5, True),
        ("overload_answers", 0.0, True),
        ("search_pause", 17.0, True),
        ("overload_refusals", 60.0, False),
    ],
)
def test_each_bound_has_its_value_and_whether_it_holds(key: str, value: float, holds: bool) -> None:
    bound = bounds_of(results())[key]
    assert bound["value"] == pytest.approx(value)
    assert bound["holds"] is holds


def test_ratios_are_of_what_was_measured_one_after_the_other() -> None:
    """The third turn was on a machine a tenth as fast: a ratio of medians over all turns would be another one."""
    bound = bounds_of(results())["query_throughput"]
    assert bound["how"] == "450 of 500 queries a second; 3 turns, 0.30 to 1.00"


def test_what_was_not_measured_neither_holds_nor_fails() -> None:
    for bound in check_bounds({"galleries": {}}):
        assert bound["value"] is None
        assert bound["holds"] is None
        assert "not measured" in bound["how"]


@pytest.mark.parametrize(("seconds", "holds"), [(60, None), (3600, True)])
def test_memory_is_called_flat_only_after_an_hour(seconds: int, holds: bool | None) -> None:
    found = results() | {"soak": {"seconds": seconds, "slope_mb_per_hour": 3.0}}
    assert bounds_of(found)["memory_flat"]["holds"] is holds


def test_other_index_results_break_a_bound() -> None:
    found = results()
    found["galleries"]["1000000"]["alone"]["index"]["same_results"] = False
    assert bounds_of(found)["search_same"]["holds"] is False


def test_our_index_counts_by_searches_side_by_side_where_those_are_faster() -> None:
    found = alone()
    before = allowed_per_s(found, OWN)
    found["index"]["queries"]["32"]["side_by_side_ms"] = figure(
        found["index"]["queries"]["32"]["best_ms"]["median"] / 2
    )
    assert allowed_per_s(found, OWN) > before
    assert allowed_per_s(found, RAW) < allowed_per_s(found, OWN)


def test_an_overload_without_refusals_shows_nothing_of_them() -> None:
    found = results()
    found["overload"]["demands"][0]["value"] = None
    assert {one["key"]: one["holds"] for one in check_bounds(found)}["overload_refusals"] is None
