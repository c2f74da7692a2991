"""Whether the database answers, asked in a thread of its own: one that takes the question and stays silent, as a server
does that is stopped in the middle, must not keep the threads that others need, nor the one who asks."""

import asyncio
import threading
import time
from concurrent.futures import Future
from contextlib import suppress

from service.db.changes import current_generation
from service.db.database import Database
from service.db.outbox import count_waiting
from service.errors import DatabaseDown
from service.flows.readiness import check_not_older
from service.index.gallery import Galleries

ANSWER_S = 3.0  # below the 4 s that the health check of the container waits, and the 10 s of a scrape
SILENT = "the database has not answered for {:g} seconds; try again after the time in Retry-After"


class Pulse:
    """One question at a time, which all share who ask meanwhile: how many pictures are in the outbox, and whether the
    database is at least where the index is."""

    def __init__(self, database: Database, galleries: Galleries, *, answer_s: float = ANSWER_S) -> None:
        """A database that takes longer than `answer_s` counts as down."""
        self._database = database
        self._galleries = galleries
        self._answer_s = answer_s
        self._lock = threading.Lock()
        self._asked: Future[int] | None = None
        self._until = 0.0

    def ask(self) -> int:
        """Removed pictures not yet unlinked, for code that has a thread of its own. Raises DatabaseDown, or
        NotReady where it has gone back."""
        asked, left_s = self._question()
        try:
            return asked.result(left_s)
        except TimeoutError as error:
            raise DatabaseDown(SILENT.format(self._answer_s)) from error

    async def check(self) -> None:
        """Raises DatabaseDown where the database does not answer, also under load, when other reads are refused, and
        NotReady where it has gone back."""
        asked, left_s = self._question()
        try:
            async with asyncio.timeout(left_s):
                await asyncio.shield(asyncio.wrap_future(asked))
        except TimeoutError as error:
            raise DatabaseDown(SILENT.format(self._answer_s)) from error

    def end(self) -> None:
        """Let the question that is on its way be answered, if that does not take too long."""
        if self._asked is not None:
            with suppress(TimeoutError):
                self._asked.exception(self._answer_s)

    def _question(self) -> tuple["Future[int]", float]:
        """The one on its way, or a new one, and how long it may still take."""
        with self._lock:
            now = time.monotonic()
            if self._asked is None or self._asked.done():
                asked: Future[int] = Future()
                threading.Thread(target=self._put, args=(asked,), name="pulse", daemon=True).start()
                self._asked, self._until = asked, now + self._answer_s
            return self._asked, max(self._until - now, 0.0)

    def _put(self, asked: "Future[int]") -> None:
        try:
            known = self._galleries.generation  # before it is compared with: it only grows
            waiting, found = self._database.read_now(lambda on: (count_waiting(on), current_generation(on)))
            check_not_older(self._galleries, known, found)
            asked.set_result(waiting)
        except BaseException as error:  # whatever it is, those who wait hear of it
            asked.set_exception(error)
