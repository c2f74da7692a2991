"""The parts alone, each in a process of its own."""

import pytest

from benchmarks.raw import measure_alone
from service.config import usable_cores


@pytest.mark.parametrize(("part", "way"), [("decode", "scaled"), ("embed", f"{usable_cores()} threads, batch 8")])
def test_a_part_can_be_measured_one_way(part: str, way: str) -> None:
    found = measure_alone(part, seconds=0.02, repeats=1, way=way)
    assert found["best"] == way
    assert list(found["ways"]) == [way]
    assert found["per_s"]["median"] > 0
    assert found["p50_ms"] > 0
