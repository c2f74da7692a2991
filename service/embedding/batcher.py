"""Many callers, one worker thread or a few: whatever gathered while they were busy is the next batch. There is no
batching window, so a lone caller never waits. Knows nothing of what it batches; networks, queries and commits all go
through it.

The shape (admission, queue, batch, compute; no window; dropped callers; refusal at once) is that of inference servers
such as text-embeddings-inference.
"""

import asyncio
import threading
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Generic, TypeVar

from service.errors import Overloaded, Stopping

Item = TypeVar("Item")
Result = TypeVar("Result")


@dataclass(slots=True)
class _Entry(Generic[Item, Result]):
    item: Item
    future: "asyncio.Future[Result]"
    loop: asyncio.AbstractEventLoop


class Later(Enum):
    """An answer that is none yet: the item is to be run again."""

    LATER = 0


LATER = Later.LATER


class Batcher(Generic[Item, Result]):
    """Runs `run(items) -> results` on threads of its own, for items that async callers submit.

    `run` answers with one result or one exception for each item, or with LATER, and is then given it again, together
    with others that are as far; if it raises, all of the batch get that error.
    """

    def __init__(
        self,
        name: str,
        run: Callable[[list[Item]], Sequence[Result | Exception | Later]],
        *,
        max_batch: int,
        max_waiting: int,
        observe: Callable[[int], None] = lambda size: None,
        threads: int = 1,
        portion: int | None = None,
    ) -> None:
        """`max_waiting` bounds the new items; `observe` is told the size of every batch. Several `threads` share what
        waits among those that are idle; `run` must stand being called by all of them at once. New items are
        taken in portions; those for which `run` answers LATER are run again once they are a portion, no new ones
        wait, or a portion for each thread went before them."""
        self.name = name
        self._run = run
        self._max_batch = max_batch
        self._max_waiting = max_waiting
        self._observe = observe
        self._portion = portion or max_batch
        self._later: deque[_Entry[Item, Result]] = deque()
        self._passed = 0  # new items taken since one was first kept for later
        self._new: deque[_Entry[Item, Result]] = deque()
        self._changed = threading.Condition()
        self._stopping = False
        self._idle = 0
        self.threads = [threading.Thread(target=self._work, name=name, daemon=True) for _ in range(threads)]
        for thread in self.threads:
            thread.start()

    @property
    def waiting(self) -> int:
        """How many items wait for a place in a batch, their first or another."""
        return len(self._new) + len(self._later)

    @property
    def idle(self) -> int:
        """How many threads wait for something to do."""
        return self._idle

    async def submit(self, items: Sequence[Item]) -> list[Result]:
        """Wait for the results of all items, in their order. All are taken or none.

        Raises Overloaded at once when they do not fit, Stopping after `close`, or the first item's error.
        """
        loop = asyncio.get_running_loop()
        entries = [_Entry[Item, Result](item, loop.create_future(), loop) for item in items]
        with self._changed:
            if self._stopping:
                raise Stopping("the service is shutting down; send the request again in a few seconds")
            if self._new and len(self._new) + len(entries) > self._max_waiting:
                raise Overloaded(f"the {self.name} queue is full; send the request again after the time in Retry-After")
            self._new.extend(entries)
        # in the next turn of the loop: whoever comes in this one is in the batch as well
        loop.call_soon(self._wake)
        if len(entries) == 1:
            return [await entries[0].future]  # gathering one would take another round of the loop
        results = await asyncio.gather(*(entry.future for entry in entries), return_exceptions=True)
        for result in results:
            if isinstance(result, BaseException):
                raise result
        return [result for result in results if not isinstance(result, BaseException)]

    def _wake(self) -> None:
        with self._changed:
            self._changed.notify(len(self._new))

    def close(self) -> None:
        """Refuse new items, finish what was accepted, end the threads. May be called twice."""
        with self._changed:
            self._stopping = True
            self._changed.notify_all()
        for thread in self.threads:
            thread.join()

    def _work(self) -> None:
        while batch := self._next_batch():
            try:
                self._observe(len(batch))
                results: Sequence[Result | Exception | Later] = self._run([entry.item for entry in batch])
                if len(results) != len(batch):
                    raise RuntimeError(f"{self.name} gave {len(results)} results for {len(batch)} items")
            except Exception as error:  # the loop's edge: every caller is answered with its batch's error
                results = [error] * len(batch)
            self._settle(batch, results)

    def _settle(self, batch: list[_Entry[Item, Result]], results: "Sequence[Result | Exception | Later]") -> None:
        """Answer those who have a result, and keep the others until they are run again."""
        done = [(entry, result) for entry, result in zip(batch, results, strict=True) if not isinstance(result, Later)]
        if len(done) < len(batch):
            with self._changed:
                self._later.extend(entry for entry, result in zip(batch, results, strict=True) if result is LATER)
        _answer(done)

    def _next_batch(self) -> list[_Entry[Item, Result]]:
        with self._changed:
            while True:
                batch = self._take()
                if batch or self._stopping:
                    return batch
                self._idle += 1
                self._changed.wait()
                self._idle -= 1

    def _take(self) -> list[_Entry[Item, Result]]:
        """Those who are to be run again, once they are a portion, no new ones wait, or a portion of new ones for each
        thread went before them; else new ones."""
        if len(self._later) >= self._portion or self._passed >= self._portion * len(self.threads):
            return self._take_later() or self._take_new()
        return self._take_new() or self._take_later()

    def _take_later(self) -> list[_Entry[Item, Result]]:
        self._passed = 0
        return self._take_from(self._later, self._max_batch)

    def _take_new(self) -> list[_Entry[Item, Result]]:
        """Up to a portion of entries whose callers are still there, and no more than leave the idle threads as many
        each."""
        most = min(self._portion, max(1, len(self._new) // (1 + self._idle)))
        batch = self._take_from(self._new, most)
        if batch and self._later:
            self._passed += len(batch)
            self._changed.notify()  # an idle thread need not leave those for this one
        return batch

    @staticmethod
    def _take_from(queue: deque[_Entry[Item, Result]], most: int) -> list[_Entry[Item, Result]]:
        taken: list[_Entry[Item, Result]] = []
        while queue and len(taken) < most:
            entry = queue.popleft()
            if not entry.future.cancelled():
                taken.append(entry)
        return taken


def _answer(done: list[tuple[_Entry[Item, Result], Result | Exception]]) -> None:
    """Wake the callers: one hop into each event loop for the whole batch, not one for each item."""
    by_loop: dict[asyncio.AbstractEventLoop, list[tuple[asyncio.Future[Result], Result | Exception]]] = {}
    for entry, result in done:
        by_loop.setdefault(entry.loop, []).append((entry.future, result))
    for loop, answers in by_loop.items():
        try:
            loop.call_soon_threadsafe(_set_all, answers)
        except RuntimeError:  # that loop is closed: its callers are gone
            continue


def _set_all(answers: list[tuple["asyncio.Future[Result]", Result | Exception]]) -> None:
    for future, result in answers:
        if future.done():
            continue
        if isinstance(result, Exception):
            future.set_exception(result)
        else:
            future.set_result(result)
