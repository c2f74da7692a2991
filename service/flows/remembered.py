"""What the database said, without asking it each time."""

import asyncio
from collections.abc import Callable
from typing import Any, Generic, TypeVar

from service.db.database import Database
from service.flows.writer import Writer

Value = TypeVar("Value")


class Remembered(Generic[Value]):
    """Remembers what a query found until the next transaction that may change it. Every write goes through the one
    writer, which counts its transactions before it acknowledges them: so what is remembered, or being read, is never
    older than what was acknowledged.

    Used from the event loop only.
    """

    def __init__(self, query: Callable[..., Value], database: Database, writer: Writer, *, most: int) -> None:
        """`query` takes a connection and what `find` is given; the answers to `most` of them are kept."""
        self._query = query
        self._database = database
        self._writer = writer
        self._most = most
        self._readings: dict[str, asyncio.Task[Value]] = {}
        self._as_of = -1  # the writer's transactions when the first of them began

    async def find(self, *wanted: Any) -> Value:
        """What the query finds. Raises what it raises, or DatabaseDown."""
        key = repr(wanted)  # True, 1 and 1.0 are equal, but not to a filter
        now = self._writer.transactions
        if now != self._as_of:
            self._readings, self._as_of = {}, now
        reading = self._readings.get(key)
        if reading is None:
            if len(self._readings) >= self._most:
                del self._readings[next(iter(self._readings))]
            reading = asyncio.create_task(self._read(key, wanted, self._readings))
            self._readings[key] = reading
        return await asyncio.shield(reading)  # who leaves does not take it from the others

    async def _read(self, key: str, wanted: tuple[Any, ...], readings: dict[str, asyncio.Task[Value]]) -> Value:
        try:
            return await self._database.read(self._query, *wanted)
        except BaseException:
            if readings.get(key) is asyncio.current_task():
                del readings[key]  # only what there is is remembered
            raise
