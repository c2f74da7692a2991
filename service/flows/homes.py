"""Collections as queries need them, without asking the database each time."""

import asyncio

from service.db.engine import Database
from service.db.people import find_collection
from service.domain import Collection
from service.flows.writer import Writer


class Homes:
    """Remembers collections until the next transaction. Every write goes through the one writer, which counts its
    transactions before it acknowledges them: so what is remembered, or being read, is never older than what was
    acknowledged.

    Used from the event loop only.
    """

    def __init__(self, database: Database, writer: Writer) -> None:
        self._database = database
        self._writer = writer
        self._readings: dict[str, asyncio.Task[Collection]] = {}
        self._as_of = -1  # the writer's transactions when the first of them began

    async def find(self, name: str) -> Collection:
        """A collection without its counts. Raises NotFound or DatabaseDown."""
        now = self._writer.transactions
        if now != self._as_of:
            self._readings, self._as_of = {}, now
        reading = self._readings.get(name)
        if reading is None:
            reading = asyncio.create_task(self._read(name, self._readings))
            self._readings[name] = reading
        return await asyncio.shield(reading)  # who leaves does not take it from the others

    async def _read(self, name: str, readings: dict[str, asyncio.Task[Collection]]) -> Collection:
        try:
            return await self._database.read(find_collection, name)
        except BaseException:
            del readings[name]  # only what there is is remembered
            raise
