"""The rows of what was found, for many callers in one statement: a transaction costs more than the rows do."""

from collections.abc import Callable, Sequence
from itertools import chain

from service.db.engine import Database
from service.db.sightings import Joined, join_crops
from service.embedding.batcher import Batcher

LARGE = 1000  # crops; an answer of more has a statement of its own, so that nobody waits for another's


class Joiner:
    """Gives each caller the rows of its crops. A batch begins its transaction after the last of its callers came, so
    that none sees less than what was acknowledged before it asked."""

    def __init__(
        self,
        database: Database,
        *,
        max_batch: int,
        max_waiting: int,
        observe: Callable[[int], None] = lambda size: None,
    ) -> None:
        self._database = database
        self.batcher: Batcher[Sequence[int], dict[int, Joined]] = Batcher(
            "join", self._run, max_batch=max_batch, max_waiting=max_waiting, observe=observe
        )

    async def join(self, crop_ids: Sequence[int]) -> dict[int, Joined]:
        """Crops with their identities, by crop id, and maybe those of others; what is gone is missing.

        Raises DatabaseDown, Overloaded or Stopping.
        """
        if not crop_ids:
            return {}
        if len(crop_ids) > LARGE:
            return await self._database.read(join_crops, crop_ids)
        (joined,) = await self.batcher.submit([crop_ids])
        return joined

    def _run(self, wanted: list[Sequence[int]]) -> list[dict[int, Joined] | Exception]:
        joined = self._database.read_now(join_crops, list(dict.fromkeys(chain.from_iterable(wanted))))
        return [joined] * len(wanted)
