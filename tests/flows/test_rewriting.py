"""When something waits to be overwritten, and when no more."""

import asyncio
from collections.abc import Callable
from typing import cast

import pytest

from service.db.database import Database
from service.errors import DatabaseDown
from service.flows.rewriting import Rewriting
from service.flows.writer import Writer


class Disk:
    """As much of a database as can be rewritten: says what happens meanwhile, and whether nobody was in the way."""

    def __init__(self, dialect: str, *outcomes: Callable[[], bool]) -> None:
        self.dialect = dialect
        self._outcomes = iter(outcomes)

    def rewrite(self, *, all_of_it: bool) -> bool:
        assert all_of_it, "nothing gathers here"
        return next(self._outcomes)()


def done() -> bool:
    return True


def in_the_way() -> bool:
    return False


def down() -> bool:
    raise DatabaseDown("not now")


def try_now(rewriting: Rewriting, disk: Disk) -> None:
    rewriting.try_now(cast(Database, disk))


def catch_up(rewriting: Rewriting, disk: Disk) -> None:
    """As on PostgreSQL, where no writer takes part."""
    asyncio.run(rewriting.catch_up(cast(Database, disk), cast(Writer, None)))


def test_what_a_crash_left_waits_from_the_start_until_it_is_rewritten() -> None:
    rewriting = Rewriting(0)
    disk = Disk("postgresql", in_the_way, down, done)
    for waits in (True, True, False):
        assert not rewriting.done
        assert rewriting.waiting_s > 0
        catch_up(rewriting, disk)
        assert rewriting.done is not waits
    assert rewriting.waiting_s == 0
    catch_up(rewriting, disk)  # nothing waits: it does not even ask


def test_a_removal_is_rewritten_once_asked_for_and_not_while_nobody_asks() -> None:
    rewriting = Rewriting(0)
    try_now(rewriting, Disk("sqlite", done))
    assert rewriting.done
    try_now(rewriting, Disk("sqlite"))  # nobody asked
    rewriting.ask()
    assert not rewriting.done
    try_now(rewriting, Disk("postgresql"))  # there it takes too long to wait for
    assert not rewriting.done
    for outcome in (in_the_way, down):
        rewriting.ask()
        try_now(rewriting, Disk("sqlite", outcome))
        assert not rewriting.done
    rewriting.ask()
    try_now(rewriting, Disk("sqlite", done))
    assert rewriting.done


@pytest.mark.parametrize("dialect", ["sqlite", "postgresql"])
def test_a_removal_during_a_rewrite_is_not_taken_for_rewritten(dialect: str) -> None:
    rewriting = Rewriting(0)

    def removed_meanwhile() -> bool:
        rewriting.ask()
        return True

    act = try_now if dialect == "sqlite" else catch_up
    act(rewriting, Disk(dialect, removed_meanwhile))
    assert not rewriting.done
    act(rewriting, Disk(dialect, done))
    assert rewriting.done


def test_only_what_was_removed_during_a_rewrite_waits_on_after_it(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [1000.0]
    monkeypatch.setattr("service.flows.rewriting.time.monotonic", lambda: now[0])
    rewriting = Rewriting(60)

    def removed_meanwhile() -> bool:
        now[0] += 5
        rewriting.ask()
        return True

    now[0] += 100
    catch_up(rewriting, Disk("postgresql", removed_meanwhile))
    assert not rewriting.done
    assert (rewriting.waiting_s, rewriting.due) == (5, False)
    now[0] += 60
    catch_up(rewriting, Disk("postgresql", done))
    assert rewriting.done
