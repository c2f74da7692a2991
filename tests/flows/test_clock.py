"""A clock that somebody sets forward lets nothing be over early."""

from datetime import UTC, datetime, timedelta, tzinfo

import pytest

from service.flows import clock


class Moved(datetime):
    """A machine's clock that was set a year forward."""

    @classmethod
    def now(cls, tz: tzinfo | None = None) -> datetime:  # type: ignore[override]
        return datetime.now(tz) + timedelta(days=365)


def test_a_clock_set_forward_ends_nothing_early(monkeypatch: pytest.MonkeyPatch) -> None:
    steady = clock.Clock()
    monkeypatch.setattr(clock, "datetime", Moved)
    for moment in (steady.now(), steady.earliest()):
        assert abs((moment - datetime.now(UTC)).total_seconds()) < 5


def test_a_clock_is_doubtful_where_the_service_did_not_run_for_long() -> None:
    assert not clock.Clock().doubtful, "there is nothing yet"
    assert not clock.Clock(datetime.now(UTC) - timedelta(days=29)).doubtful
    assert not clock.Clock(datetime.now(UTC) + timedelta(days=365)).doubtful
    assert clock.Clock(datetime.now(UTC) - timedelta(days=31)).doubtful


def test_a_clock_set_back_ends_nothing_early_either(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clock, "datetime", Moved)
    steady = clock.Clock()
    monkeypatch.undo()
    assert abs((steady.earliest() - datetime.now(UTC)).total_seconds()) < 5
    assert steady.now() > datetime.now(UTC) + timedelta(days=364)
