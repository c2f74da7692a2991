"""What is remembered of the database is never older than what was acknowledged."""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, cast

import pytest

from service.db.database import Database
from service.domain import Collection
from service.errors import NotFound
from service.flows.remembered import Remembered
from service.flows.writer import Writer


class Ledger:
    """A database of one collection that counts its readers, and the transactions of its writer."""

    def __init__(self) -> None:
        self.threshold = 0.5
        self.transactions = 0
        self.reads = 0
        self.meanwhile: Callable[[], None] = lambda: None

    async def read(self, query: Callable[..., Any], name: str) -> Collection:
        self.reads += 1
        if name != "default":
            raise NotFound("no such collection")
        found = Collection(1, name, self.threshold, None, None, True, datetime(2026, 1, 1, tzinfo=UTC))
        await asyncio.sleep(0)
        self.meanwhile()
        return found

    def change(self, threshold: float) -> None:
        self.threshold = threshold
        self.transactions += 1


async def until(condition: Callable[[], bool]) -> None:
    while not condition():  # noqa: ASYNC110 - in steps of the loop, not of time
        await asyncio.sleep(0)


def homes_of(ledger: Ledger) -> Remembered[Collection]:
    return Remembered(lambda connection: None, cast(Database, ledger), cast(Writer, ledger), most=10)


class Echo:
    """A database that finds what it is asked for, and a writer that never writes."""

    transactions = 0

    def __init__(self, asked: list[Any]) -> None:
        self._asked = asked

    async def read(self, query: Callable[..., Any], wanted: Any) -> Any:
        self._asked.append(wanted)
        return wanted


def remembering(echo: Echo, most: int) -> Remembered[Any]:
    return Remembered(lambda connection: None, cast(Database, echo), cast(Writer, echo), most=most)


def test_a_collection_is_read_once_until_something_is_written() -> None:
    ledger = Ledger()
    homes = homes_of(ledger)

    async def scene() -> None:
        for _ in range(3):
            assert (await homes.find("default")).match_threshold == 0.5
        assert ledger.reads == 1
        ledger.change(0.9)
        assert (await homes.find("default")).match_threshold == 0.9
        assert ledger.reads == 2

    asyncio.run(scene())


def test_what_was_read_while_something_was_written_is_not_remembered() -> None:
    ledger = Ledger()
    homes = homes_of(ledger)

    async def scene() -> None:
        ledger.meanwhile = lambda: ledger.change(0.9)
        assert (await homes.find("default")).match_threshold == 0.5, "as it was when this query began"
        ledger.meanwhile = lambda: None
        assert (await homes.find("default")).match_threshold == 0.9

    asyncio.run(scene())


def test_a_slow_reader_does_not_overwrite_what_a_later_one_remembered() -> None:
    ledger = Ledger()
    homes = homes_of(ledger)

    async def scene() -> None:
        slow = asyncio.create_task(homes.find("default"))
        await until(lambda: ledger.reads == 1)  # it has read, and has not remembered yet
        ledger.change(0.9)
        assert (await homes.find("default")).match_threshold == 0.9
        assert (await slow).match_threshold == 0.5
        assert (await homes.find("default")).match_threshold == 0.9

    asyncio.run(scene())


def test_a_collection_that_is_not_there_is_not_remembered_as_such() -> None:
    homes = homes_of(Ledger())

    async def scene() -> None:
        for _ in range(2):
            with pytest.raises(NotFound):
                await homes.find("other")

    asyncio.run(scene())


def test_those_who_ask_at_once_share_a_reading_and_who_leaves_does_not_end_it() -> None:
    ledger = Ledger()
    homes = homes_of(ledger)

    async def scene() -> None:
        first, *others = [asyncio.create_task(homes.find("default")) for _ in range(5)]
        await asyncio.sleep(0)
        first.cancel()
        assert [(await one).match_threshold for one in others] == [0.5] * 4
        assert first.cancelled()
        assert ledger.reads == 1

    asyncio.run(scene())


def test_only_the_last_answers_are_kept() -> None:
    asked: list[Any] = []
    remembered = remembering(Echo(asked), most=2)

    async def scene() -> None:
        for wanted in ("a", "b", "a", "c", "b", "a"):
            assert await remembered.find(wanted) == wanted
        assert asked == ["a", "b", "c", "a"], "a was the oldest when c came"

    asyncio.run(scene())


def test_what_is_equal_but_not_the_same_is_asked_for_apart() -> None:
    asked: list[Any] = []
    remembered = remembering(Echo(asked), most=10)

    async def scene() -> None:
        for wanted in (True, 1, 1.0, "1", (1,), (True,)):
            for _ in range(2):
                found = await remembered.find(wanted)
                assert (type(found), found) == (type(wanted), wanted)
        assert len(asked) == 6

    asyncio.run(scene())


def test_an_evicted_reading_that_fails_leaves_the_newer_one_of_the_same_alone() -> None:
    asked: list[Any] = []
    fails = asyncio.Event()

    class FailsFirst(Echo):
        async def read(self, query: Callable[..., Any], wanted: Any) -> Any:
            found = await super().read(query, wanted)
            if len(asked) == 1:
                await fails.wait()
                raise NotFound("not there any more")
            return found

    remembered = remembering(FailsFirst(asked), most=1)

    async def scene() -> None:
        slow = asyncio.create_task(remembered.find("a"))
        await until(lambda: asked == ["a"])
        assert [await remembered.find("b"), await remembered.find("a")] == ["b", "a"]
        fails.set()
        with pytest.raises(NotFound):
            await slow
        assert await remembered.find("a") == "a"
        assert asked == ["a", "b", "a"]

    asyncio.run(scene())
