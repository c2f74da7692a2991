"""What is told of processes."""

import pytest

from benchmarks import machine
from benchmarks.machine import IDLE_S, IDLE_SHARE, wait_until_idle


@pytest.fixture
def slept(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """For how long was waited, in place of waiting."""
    times: list[float] = []
    monkeypatch.setattr(machine.time, "sleep", times.append)
    return times


def test_who_is_measured_next_is_not_begun_with_before_the_last_is_idle(
    slept: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    looks = iter([1.0, 1.3, 1.3, 1.3 + 1.5 * IDLE_SHARE * IDLE_S, 2.0, 2.0 + IDLE_SHARE * IDLE_S / 2])
    monkeypatch.setattr(machine, "cpu_seconds", lambda pid: next(looks))
    wait_until_idle(1)
    assert slept == [IDLE_S] * 3


def test_who_never_becomes_idle_is_told_of(slept: list[float], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "cpu_seconds", lambda pid: float(len(slept)))
    monkeypatch.setattr(machine.time, "monotonic", lambda: float(len(slept)))
    with pytest.raises(TimeoutError, match="process 7 is still busy after 4 s"):
        wait_until_idle(7, patience_s=4)
    assert len(slept) == 4
