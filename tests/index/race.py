"""Searches while somebody writes."""

import sys
import threading
import time
from collections.abc import Callable

import numpy as np

from service.domain import CropIds, VectorArray, VectorIndex
from tests.index.brute_force import unit_vectors

RACE_S = 0.8
ENOUGH, PATIENCE_S = 6, 30.0  # searches and writes, else nothing is said; on a busy machine they take longer


class Race:
    """One writer adds and removes; searchers write down what was finished before each search and hold it to that.

    The vector of an id is a row of a table, so that a torn or misplaced vector shows as a wrong similarity. No id comes
    back, as no crop does.
    """

    LIVE = 300

    def __init__(self, index: VectorIndex, tolerance: float, allowing: bool) -> None:
        self.index = index
        self.tolerance = tolerance
        self.allowing = allowing
        self.table = unit_vectors(12_000, index.dim, seed=8)
        self.added = 0  # ids below it are added
        self.adding = 0  # ids below it may be
        self.removed: frozenset[int] = frozenset()
        self.removing: frozenset[int] = frozenset()
        self.stop = threading.Event()
        self.failures: list[str] = []
        self.searches = self.writes = 0

    def run(self) -> None:
        self.write(self.LIVE, 0)
        interval = sys.getswitchinterval()
        sys.setswitchinterval(1e-5)  # many more interleavings in the same time
        try:
            threads = [threading.Thread(target=self.guarded, args=(self.keep_writing,))]
            threads += [threading.Thread(target=self.guarded, args=(self.keep_searching, seed)) for seed in range(2)]
            for thread in threads:
                thread.start()
            deadline = time.monotonic() + PATIENCE_S
            self.stop.wait(RACE_S)
            while min(self.searches, self.writes) < ENOUGH and time.monotonic() < deadline and not self.stop.wait(0.05):
                pass
            self.stop.set()
            for thread in threads:
                thread.join()
        finally:
            sys.setswitchinterval(interval)

    def guarded(self, work: Callable[..., None], *arguments: int) -> None:
        try:
            work(*arguments)
        except Exception as error:
            self.failures.append(repr(error))
            self.stop.set()

    def keep_writing(self) -> None:
        rng = np.random.default_rng(9)
        while not self.stop.is_set() and self.added < len(self.table) - 100:
            self.write(int(rng.integers(1, 60)), int(rng.integers(1, 60)))
            time.sleep(0.001)  # else the searchers never get the interpreter

    def write(self, more: int, less: int) -> None:
        new = np.arange(self.added, self.added + more)
        self.adding = self.added + more
        self.index.add(new, self.table[new])
        self.added = self.adding
        live = np.array(sorted(set(range(self.added)) - self.removed), np.int64)
        old = np.random.default_rng(self.added).choice(live, min(less, max(0, len(live) - self.LIVE)), replace=False)
        self.removing = self.removed | frozenset(old.tolist())
        self.index.remove(old)
        self.removed = self.removing
        self.writes += 1

    def keep_searching(self, seed: int) -> None:
        rng = np.random.default_rng((10, seed))
        even = np.arange(0, len(self.table), 2)
        even.setflags(write=seed == 0)  # what cannot be written to may be remembered
        while not self.stop.is_set():
            added, removed = self.added, self.removed
            queries = self.table[rng.integers(added, size=int(rng.integers(1, 6)))]
            allow = even if self.allowing else None
            similarities, ids = self.index.search(queries, self.LIVE * 3, allow)
            adding, removing = self.adding, self.removing
            must, may = set(range(added)) - removing, set(range(adding)) - removed
            if self.allowing:
                must, may = {one for one in must if one % 2 == 0}, {one for one in may if one % 2 == 0}
            for query, row, row_ids in zip(queries, similarities, ids, strict=True):
                self.judge(query, row, row_ids, must, may)
            self.searches += 1

    def judge(self, query: VectorArray, row: VectorArray, row_ids: CropIds, must: set[int], may: set[int]) -> None:
        there = row_ids >= 0
        found = row_ids[there]
        names = set(found.tolist())
        if len(names) != len(found):
            self.failures.append(f"an id twice: {sorted(found.tolist())}")
        if missing := must - names:
            self.failures.append(f"added before the search began, and not found: {sorted(missing)[:5]}")
        if ghosts := names - may:
            self.failures.append(f"removed before the search began, and found: {sorted(ghosts)[:5]}")
        wrong = ~(np.abs(self.table[found] @ query - row[there]) <= self.tolerance * 10)
        if wrong.any():
            self.failures.append(f"torn or misplaced vectors: {found[wrong].tolist()[:5]}")
        if (np.diff(row[there]) > 0).any():
            self.failures.append("not best first")
        if self.failures:
            self.stop.set()
