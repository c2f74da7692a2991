"""`python -m benchmarks.pauses`: how long a search waits where the index seals and compacts beside it. Prints JSON."""

import argparse
import gc
import json
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

from benchmarks.figures import figure
from benchmarks.filling import made_vectors
from benchmarks.raw import K, some_queries
from service.__main__ import COLLECT_AFTER
from service.config import usable_cores
from service.heaps import share_heaps
from service.index.faiss_setup import tune_faiss
from service.index.kinds import kind_of
from service.index.segmented import BLOCK_ROWS, SegmentedIndex, give_way

DIM = 512
KINDS = ("exact", "IVF256,SQ8;nprobe=32")  # one that compacts, one that seals as well
BLOCKS = 2
ADDED_AT_ONCE, REMOVED_AT_ONCE = 512, 64
COMMIT_S = 0.001  # between two changes: the least that a transaction takes
FIRST = 5_000  # that are there before
IDLE_S = 1.0
REPEATS = 3


def main() -> int:
    """Prints one JSON object: by kind the times of searches beside nothing and beside changes, in milliseconds."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.pauses", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="once instead of three times")
    repeats = 1 if parser.parse_args().quick else REPEATS
    share_heaps()
    tune_faiss(DIM)
    gc.collect()
    gc.freeze()  # as the service does once it has started
    gc.set_threshold(COLLECT_AFTER)
    runs = [{kind: measure_pauses(kind, BLOCKS * BLOCK_ROWS) for kind in KINDS} for _ in range(repeats)]
    print(json.dumps({kind: _middle([run[kind] for run in runs]) for kind in KINDS}))
    return 0


def measure_pauses(name: str, rows: int) -> dict[str, Any]:
    """One searching thread; beside it another adds as many rows, which are sealed, and removes three of five, which
    are packed. `pause_ms` is by how much the longest search meanwhile took longer than the middle one of all the rows
    beside nothing."""
    with ThreadPoolExecutor(1, initializer=give_way) as background:
        index = SegmentedIndex(DIM, kind_of(name, DIM), threads=usable_cores(), background=background.submit)
        vectors = np.concatenate([part for _, part in made_vectors(rows, max(1, rows // 8), DIM)])
        queries = some_queries(vectors, 64)
        index.add(np.arange(FIRST), vectors[:FIRST])
        changing = threading.Thread(target=_change, args=(index, vectors))
        changing.start()
        meanwhile = _searched(index, queries, changing.is_alive)
        working = background.submit(lambda: None)  # behind all that was asked for
        meanwhile += _searched(index, queries, lambda: not working.done())
        until = time.monotonic() + IDLE_S
        idle = _searched(index, queries, lambda: time.monotonic() < until)
        built = index.accelerated
        index.close()
    full = SegmentedIndex(DIM, kind_of("exact", DIM), threads=usable_cores())
    full.add(np.arange(rows), vectors)
    until = time.monotonic() + IDLE_S
    largest = _searched(full, queries, lambda: time.monotonic() < until)
    return {
        "rows": rows, "accelerated": built, "idle_ms": _times(idle), "meanwhile_ms": _times(meanwhile),
        "whole_p50_ms": round(float(np.median(largest)) * 1000, 3),
        "pause_ms": round((max(meanwhile) - float(np.median(largest))) * 1000, 3),
    }  # fmt: skip


def _middle(runs: list[dict[str, Any]]) -> dict[str, Any]:
    """The run in the middle by its pause, with the pauses of all: a machine that others use stops at times as well."""
    chosen = sorted(runs, key=lambda run: float(run["pause_ms"]))[len(runs) // 2]
    return chosen | {"pause_ms": figure([run["pause_ms"] for run in runs])}


def _change(index: SegmentedIndex, vectors: np.ndarray) -> None:
    for start in range(FIRST, len(vectors), ADDED_AT_ONCE):
        part = vectors[start : start + ADDED_AT_ONCE]
        index.add(np.arange(start, start + len(part)), part)
        time.sleep(COMMIT_S)
    ids = np.arange(len(vectors))
    for part in np.array_split(ids[ids % 5 < 3], len(ids) // REMOVED_AT_ONCE):
        index.remove(part)
        time.sleep(COMMIT_S)


def _searched(index: SegmentedIndex, queries: np.ndarray, goes_on: Any) -> list[float]:
    taken, number = [], 0
    while goes_on() or not taken:
        query = queries[number % len(queries)][None]
        began = time.perf_counter()
        index.search(query, K)
        taken.append(time.perf_counter() - began)
        number += 1
    return taken


def _times(taken: list[float]) -> dict[str, float]:
    p50, p99, most = (round(float(value) * 1000, 3) for value in np.percentile(taken, [50, 99, 100]))
    return {"searches": len(taken), "p50": p50, "p99": p99, "max": most}


if __name__ == "__main__":
    sys.exit(main())
