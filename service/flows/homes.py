"""Collections as queries need them, without asking the database each time."""

from service.db.engine import Database
from service.db.people import find_collection
from service.domain import Collection
from service.flows.writer import Writer


class Homes:
    """Remembers collections until the next transaction. Every write goes through the one writer, which counts its
    transactions before it acknowledges them: so what is remembered is never older than what was acknowledged.

    Used from the event loop only.
    """

    def __init__(self, database: Database, writer: Writer) -> None:
        self._database = database
        self._writer = writer
        self._known: dict[str, Collection] = {}
        self._as_of = -1  # the writer's transactions when the first of them was read

    async def find(self, name: str) -> Collection:
        """A collection without its counts. Raises NotFound or DatabaseDown."""
        now = self._writer.transactions
        if now != self._as_of:
            self._known, self._as_of = {}, now
        known = self._known.get(name)
        if known is None:
            known = await self._database.read(find_collection, name)
            if self._as_of == now:  # else a transaction came between, and this may be from before it
                self._known[name] = known
        return known
