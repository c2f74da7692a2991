"""A lone picture by two cores. In batches each core has pictures of its own; one picture alone leaves the others idle.
Two threads that share each layer of a network wait for each other hundreds of times, and only spinning is quick enough
for that; so they spin while a picture is in hand, and for no longer (docs/decisions/0037-a-lone-picture.md)."""

import os
import threading
from collections.abc import Callable
from contextlib import suppress
from math import inf
from time import perf_counter

from service.domain import ImageArray, VectorArray

SLOW = 1.25  # times what one thread takes: somebody else has the core, or threads hear of each other slowly
REST = 200  # pictures at most that are then left to one thread: one first, twice as many each time again
TRIES = 10  # of either way, to know which is faster now

Run = Callable[[ImageArray], VectorArray]


def spare_core() -> int | None:
    """A core for the second thread, the last of those that this process may use; None where there is only one."""
    cores = sorted(os.sched_getaffinity(0))
    return cores[-1] if len(cores) > 1 else None


class Lone:
    """Runs a network whose second thread stays on a core of its own, for one picture at a time."""

    def __init__(self, run: Run, *, core: int) -> None:
        """`core` is where the second thread is."""
        self._run = run
        self._core = core
        self._most_s = inf
        self._resting = 0
        self._rest = 1
        self._one = threading.Lock()

    def learn(self, alone: Run, images: ImageArray) -> None:
        """Try it and one thread with a picture, to know from then on what is slow, and rest where it is no faster."""
        ways: list[Callable[[ImageArray], VectorArray | None]] = [alone, self.run]
        least = [inf, inf]
        for way in (0, 1) * TRIES:
            began = perf_counter()
            if ways[way](images) is not None:
                least[way] = min(least[way], perf_counter() - began)
        self._most_s = SLOW * least[0]
        self._resting = 0 if least[1] < least[0] else REST

    def run(self, images: ImageArray) -> VectorArray | None:
        """The vector, (1, dim), of a (1, height, width, 3) picture. None where one thread had better make it: another
        picture is in hand, this thread cannot leave the other's core, or it took too long a while ago."""
        if not self._one.acquire(blocking=False):
            return None
        try:
            return self._run_apart(images)
        finally:
            self._one.release()

    def _run_apart(self, images: ImageArray) -> VectorArray | None:
        allowed = os.sched_getaffinity(0)
        others = allowed - {self._core}
        if self._resting or not others or others == allowed:
            self._resting = max(0, self._resting - 1)
            return None
        began = perf_counter()  # with what the move takes, which is long where the cores are busy
        try:
            os.sched_setaffinity(0, others)  # woken on the core of the other one, it would take turns with it
        except OSError:  # not a thing that may be done here, or the cores have just changed
            self._resting = REST
            return None
        try:
            return self._run(images)
        finally:
            with suppress(OSError):
                os.sched_setaffinity(0, allowed)
            slow = perf_counter() - began > self._most_s
            self._resting = self._rest if slow else 0
            self._rest = min(2 * self._rest, REST) if slow else max(self._rest // 2, 1)
