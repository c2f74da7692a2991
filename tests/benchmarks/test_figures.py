"""Medians, fits, and what is read from the service's metrics."""

import numpy as np
import pytest
from prometheus_client import generate_latest

from benchmarks.figures import figure, fit_power
from benchmarks.growth import measure_growth
from benchmarks.raw import finds_the_same
from benchmarks.serving import parse_stages, stages_between
from benchmarks.soak import slope
from service.telemetry import Telemetry
from tests.benchmarks.made import gallery


def test_a_figure_is_a_median_with_its_spread() -> None:
    assert figure([3.0, 1.0, 2.0]) == {"median": 2.0, "min": 1.0, "max": 3.0, "runs": 3}
    with pytest.raises(ValueError, match="nothing"):
        figure([])


@pytest.mark.parametrize("exponent", [0.0, 0.5, 1.0, 2.0])
def test_the_exponent_of_a_power_law_is_found(exponent: float) -> None:
    sizes = [10_000, 100_000, 300_000, 1_000_000]
    fit = fit_power(sizes, [3 * size**exponent for size in sizes])
    assert fit is not None
    assert fit["exponent"] == pytest.approx(exponent, abs=1e-3)
    assert fit["factor"] == pytest.approx(3, rel=1e-3)
    assert fit["r2"] == 1.0


def test_two_points_and_zeros_give_no_exponent() -> None:
    assert fit_power([1, 2], [1, 2]) is None
    assert fit_power([1, 2, 3], [0, 1, 2]) is None


def test_growth_takes_galleries_of_ten_thousand_and_more() -> None:
    galleries = {str(crops): gallery(crops) for crops in (1_000, 10_000, 100_000, 1_000_000)}
    galleries["1000"]["restart"]["ready_s"]["median"] = 500.0  # would turn the fit round
    grown = measure_growth(galleries)
    assert grown["restart_s"]["fit"]["exponent"] == pytest.approx(1.0, abs=1e-3)
    assert [x for x, _ in grown["restart_s"]["points"]] == [1_000, 10_000, 100_000, 1_000_000]
    assert grown["enrol_ms"]["fit"]["exponent"] == pytest.approx(0.0, abs=1e-3)
    assert [x for x, _ in grown["join_ms"]["points"]] == [1, 10, 100]


def test_stages_are_what_came_between_two_looks_at_the_metrics() -> None:
    telemetry = Telemetry()
    telemetry.observe_stage("embed", 0.004)
    before = parse_stages(generate_latest(telemetry.registry).decode())
    for seconds in (0.003, 0.003, 0.15):
        telemetry.observe_stage("embed", seconds)
    telemetry.observe_stage("join", 0.0001)
    found = stages_between(before, parse_stages(generate_latest(telemetry.registry).decode()))
    assert found == {
        "embed": {"count": 3, "mean_ms": 52.0, "histogram": {"5": 2, "200": 1}},
        "join": {"count": 1, "mean_ms": 0.1, "histogram": {"0.2": 1}},
    }


def test_a_wrong_row_is_another_result() -> None:
    chance = np.random.default_rng(1)
    matrix = chance.standard_normal((500, 16)).astype(np.float32)
    matrix /= np.linalg.norm(matrix, axis=1, keepdims=True)
    queries = matrix[:3] + np.float32(0.01)
    scores = queries @ matrix.T
    ids = np.argsort(-scores, axis=1)[:, :5]
    similarities = np.take_along_axis(scores, ids, 1)
    assert finds_the_same(matrix, queries, similarities, ids)
    ids[1, 4] = np.argmin(scores[1])
    assert not finds_the_same(matrix, queries, similarities, ids)


def test_the_slope_of_memory_is_per_hour() -> None:
    assert slope([(0.0, 100.0), (1800.0, 101.0), (3600.0, 102.0)]) == pytest.approx(2.0)
    assert slope([(0.0, 100.0)]) == 0.0
