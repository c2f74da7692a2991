"""`python -m benchmarks.raw PART`: decode, embed and search alone, with nothing around them, each in a process of its
own, so that no thread pool fights another's. Prints JSON; rates are in things a second on all cores."""

import argparse
import json
import os
import statistics
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.figures import Figure, figure, rates_of, times_of
from benchmarks.machine import ROOT
from service.config import Settings, usable_cores
from service.domain import VectorArray
from service.embedding.manifest import read_manifest

MODEL_DIR: Path = Settings.model_fields["model_dir"].default
PARTS = ("decode", "embed", "faiss", "sgemm", "index")
QUERIES = (1, 8, 32)
K = 26  # what a query for 10 identities asks the index for at least
TOP = 10
EMBED_BATCHES = (1, 8, 16, 32, 64)
SGEMM_ROWS = (16_384, 131_072)
BLAS_BLOCKS = (1024, 16_384, 65_536)
SAME = 1e-5  # float32 rounding of an inner product of unit vectors


def measure_alone(
    part: str, *, seconds: float, repeats: int, vectors: Path | None = None, way: str | None = None
) -> dict[str, Any]:
    """Run one part in a process of its own, of decode and embed maybe only one way. Raises CalledProcessError where it
    fails."""
    command = [sys.executable, "-m", "benchmarks.raw", part, "--seconds", str(seconds), "--repeats", str(repeats)]
    command += [] if way is None else ["--way", way]
    if vectors is not None:
        command += ["--vectors", str(vectors)]
    ended = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True)
    found: dict[str, Any] = json.loads(ended.stdout)
    return found


def measure_parts(
    vectors: Path, *, seconds: float, repeats: int, parts: Sequence[str] = PARTS, known: dict[str, Any] | None = None
) -> dict[str, Any]:
    """Parts alone, one after the other; decode and embed only the way that was best where that is `known`."""
    found = {}
    for part in parts:
        searches = part not in ("decode", "embed")
        found[part] = measure_alone(
            part, seconds=seconds, repeats=repeats, vectors=vectors if searches else None,
            way=None if searches or known is None else known[part]["best"],
        )  # fmt: skip
    return found


def decode_alone(seconds: float, repeats: int, only: str | None = None) -> dict[str, Any]:
    """simplejpeg and the resize of the service; whole, and scaled while decoding. The faster one counts."""
    import simplejpeg

    from benchmarks.pictures import make_pictures
    from service.images.preprocess import resize

    network, pictures = read_manifest(MODEL_DIR).input, make_pictures(64, view=1)

    def whole(picture: bytes) -> object:
        return resize(simplejpeg.decode_jpeg(picture, "RGB"), network.height, network.width)

    def scaled(picture: bytes) -> object:
        image = simplejpeg.decode_jpeg(picture, "RGB", min_height=network.height, min_width=network.width, min_factor=1)
        return resize(image, network.height, network.width)

    ways: dict[str, Any] = {}
    for name, way in (("whole", whole), ("scaled", scaled)):
        if only not in (None, name):
            continue
        each = [took * 1000 for took in _cycled(way, pictures, seconds)]
        ways[name] = {
            "per_s": figure(rates_of(_side_by_side(way, pictures), seconds=seconds, repeats=repeats), 1),
            "p50_ms": round(float(np.median(each)), 4),
        }
    best = max(ways, key=lambda name: ways[name]["per_s"]["median"])
    return {"ways": ways, "best": best, **ways[best], "picture_bytes": int(np.median([len(one) for one in pictures]))}


def embed_alone(seconds: float, repeats: int, only: str | None = None) -> dict[str, Any]:
    """ONNX Runtime at several batches: all cores for one run, and a session of one thread for each core. One picture
    also by threads that stay each on its core: left to the system they share one at times, and take twice as long."""
    import onnxruntime

    manifest, cores = read_manifest(MODEL_DIR), usable_cores()
    allowed = os.sched_getaffinity(0)
    here = sorted(allowed)[:cores]

    def session(threads: int, others: Sequence[int] = ()) -> onnxruntime.InferenceSession:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
        if others:
            options.add_session_config_entry(
                "session.intra_op_thread_affinities", ";".join(str(1 + one) for one in others)
            )
        return onnxruntime.InferenceSession(MODEL_DIR / manifest.file, options, providers=["CPUExecutionProvider"])

    network, together, apart = manifest.input, session(cores), [session(1) for _ in range(cores)]
    images = np.random.default_rng(1).integers(0, 256, (max(EMBED_BATCHES), network.height, network.width, 3), np.uint8)

    def rate(sessions: list[Any], batch: int) -> Figure:
        feed = {network.name: images[:batch]}
        runs = rates_of(_side_by_side(lambda one: one.run(None, feed), sessions), seconds=seconds, repeats=repeats)
        return figure([batch * run for run in runs], 1)

    kinds = {f"{cores} threads": [together], **({f"{cores} × 1 thread": apart} if cores > 1 else {})}
    ways = {
        name: rate(sessions, batch)
        for batch in EMBED_BATCHES
        for kind, sessions in kinds.items()
        if only in (None, name := f"{kind}, batch {batch}")
    }
    best = max(ways, key=lambda name: ways[name]["median"])
    feed = {network.name: images[:1]}

    def lone_ms(one: Any) -> float:
        return statistics.median(times_of(partial(one.run, None, feed), seconds=seconds)) * 1000

    lone = {f"{cores} threads": lone_ms(together), "1 thread": lone_ms(apart[0])}
    if cores > 1:
        os.sched_setaffinity(0, here[:1])
        lone[f"{cores} threads, each on its core"] = lone_ms(session(cores, here[1:]))
        os.sched_setaffinity(0, allowed)
    return {
        "ways": ways, "best": best, "per_s": ways[best],
        "p50_ms_ways": {name: round(value, 3) for name, value in lone.items()}, "p50_ms": round(min(lone.values()), 3),
    }  # fmt: skip


def faiss_alone(seconds: float, repeats: int, path: Path) -> dict[str, Any]:
    """IndexFlatIP at its defaults, and at the best of its knobs for blocks of BLAS."""
    import faiss

    matrix, found = np.load(path, mmap_mode="r"), {}
    index = faiss.IndexFlatIP(matrix.shape[1])
    index.add(np.ascontiguousarray(matrix))
    for count in QUERIES:
        queries = some_queries(matrix, count)

        def search(queries: VectorArray = queries) -> object:
            return index.search(queries, K)

        defaults = _knobs()
        ways = {"defaults": _ms(search, seconds, repeats)}
        for threshold in (1,) if count > 1 else ():
            for block in BLAS_BLOCKS:
                _knobs(threshold, block)
                ways[f"BLAS blocks of {block}"] = _ms(search, seconds, repeats)
        _knobs(*defaults)
        best = min(ways, key=lambda name: ways[name]["median"])
        found[str(count)] = {"ways": ways, "best": best, "defaults_ms": ways["defaults"], "best_ms": ways[best]}
    return {"rows": len(matrix), "queries": found}


def sgemm_alone(seconds: float, repeats: int, path: Path) -> dict[str, Any]:
    """NumPy's product of queries and matrix, without choosing the best; in one piece and in blocks."""
    matrix, found = np.load(path), {}
    for count in QUERIES:
        queries, ways = some_queries(matrix, count), {}
        for rows in (*SGEMM_ROWS, len(matrix)):
            rows = min(rows, len(matrix))
            out = np.empty((count, rows), np.float32)
            parts = [matrix[start : start + rows] for start in range(0, len(matrix), rows)]

            def multiply(queries: VectorArray = queries, out: VectorArray = out, parts: Any = parts) -> None:
                for part in parts:
                    np.matmul(queries, part.T, out=out[:, : len(part)])

            ways[f"{rows} rows"] = _ms(multiply, seconds, repeats)
        best = min(ways, key=lambda name: ways[name]["median"])
        gflops = 2 * count * matrix.size / ways[best]["median"] / 1e6
        found[str(count)] = {"ways": ways, "best": best, "best_ms": ways[best], "gflops": round(gflops, 1)}
    return {"rows": len(matrix), "queries": found}


def index_alone(seconds: float, repeats: int, path: Path) -> dict[str, Any]:
    """The service's own exact index, as the service sets it up, and whether it finds what a brute force finds. Many
    queries also as searches of one thread side by side, one for each core."""
    from benchmarks.indexes import exact_index  # which sets OpenMP up as the service does

    matrix = np.load(path, mmap_mode="r")
    index = exact_index(matrix.shape[1])
    for start in range(0, len(matrix), 65_536):
        rows = np.ascontiguousarray(matrix[start : start + 65_536])
        index.add(np.arange(start, start + len(rows)), rows)
    apart = exact_index(matrix.shape[1], threads=1)
    apart.restore(index.cut())
    found: dict[str, Any] = {}
    for count in QUERIES:
        queries = some_queries(matrix, count)
        together = _ms(partial(index.search, queries, K), seconds, repeats)
        side_by_side = _side_by_side(lambda one: apart.search(one, K), [queries] * usable_cores())
        rates = rates_of(side_by_side, seconds=seconds, repeats=repeats)
        found[str(count)] = {"best_ms": together, "side_by_side_ms": figure([1000 / rate for rate in rates])}
    queries = some_queries(matrix, max(QUERIES))
    same = finds_the_same(matrix, queries, *index.search(queries, TOP))
    return {"rows": len(matrix), "queries": found, "same_results": same, "bytes": index.bytes}


def some_queries(matrix: VectorArray, count: int) -> VectorArray:
    """Unit vectors near some of a matrix's rows, (count, dim)."""
    chance = np.random.default_rng(3)
    rows = np.sort(chance.choice(len(matrix), count, replace=False))
    found = matrix[rows] + 0.03 * chance.standard_normal((count, matrix.shape[1]), dtype=np.float32)
    unit: VectorArray = np.ascontiguousarray(found / np.linalg.norm(found, axis=1, keepdims=True), np.float32)
    return unit


def finds_the_same(matrix: VectorArray, queries: VectorArray, similarities: VectorArray, ids: np.ndarray) -> bool:
    """Whether (n, k) similarities and row numbers are those of a brute force; rows that tie within float32 may swap."""
    k = ids.shape[1]
    best = np.full((len(queries), 0), -np.inf, np.float32)
    for start in range(0, len(matrix), 65_536):
        scores = queries @ np.asarray(matrix[start : start + 65_536]).T
        kept = np.concatenate([best, scores], axis=1)
        best = -np.sort(-np.partition(kept, -min(k, kept.shape[1]), axis=1)[:, -k:], axis=1)
    found = np.stack([np.asarray(matrix[rows]) @ query for rows, query in zip(ids, queries, strict=True)])
    unique = all(len(set(rows)) == k for rows in ids.tolist())
    return unique and bool(np.abs(found - best).max() < SAME and np.abs(similarities - best).max() < SAME)


def _knobs(threshold: int | None = None, block: int | None = None) -> tuple[int, int]:
    import faiss

    if threshold is not None and block is not None:
        faiss.cvar.distance_compute_blas_threshold, faiss.cvar.distance_compute_blas_database_bs = threshold, block
    return faiss.cvar.distance_compute_blas_threshold, faiss.cvar.distance_compute_blas_database_bs


def _ms(act: Callable[[], object], seconds: float, repeats: int) -> Figure:
    """The median of each repeat's calls, in milliseconds."""
    return figure(
        [statistics.median(times_of(act, seconds=seconds / 2, least=2, warm_up=1)) * 1000 for _ in range(repeats)]
    )


def _cycled(act: Callable[[Any], object], over: Sequence[Any], seconds: float) -> list[float]:
    position = iter(int(place) for place in np.arange(10_000_000) % len(over))
    return times_of(lambda: act(over[next(position)]), seconds=seconds)


def _side_by_side(act: Callable[[Any], object], over: Sequence[Any]) -> Callable[[float], int]:
    """For `rates_of`: a thread for each core (for each of `over` where those are fewer), round and round."""
    threads = min(usable_cores(), len(over))
    pool = ThreadPoolExecutor(threads)

    def work(seconds: float) -> int:
        done = threading.Event()
        timer = threading.Timer(seconds, done.set)
        timer.start()

        def one(first: int) -> int:
            count = 0
            while not done.is_set():
                act(over[(first + count * threads) % len(over)])
                count += 1
            return count

        return sum(pool.map(one, range(threads)))

    return work


def main() -> int:
    """Prints one JSON object."""
    parts: dict[str, Callable[..., dict[str, Any]]] = {
        "decode": decode_alone,
        "embed": embed_alone,
        "faiss": faiss_alone,
        "sgemm": sgemm_alone,
        "index": index_alone,
    }
    parser = argparse.ArgumentParser(prog="python -m benchmarks.raw", description=__doc__)
    parser.add_argument("part", choices=parts)
    parser.add_argument("--seconds", type=float, default=1.0)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--vectors", type=Path, help="a .npy of (n, dim) float32 unit vectors")
    parser.add_argument("--way", help="of decode or embed: only this one, as it is named in results")
    arguments = parser.parse_args()
    more = [one for one in (arguments.vectors, arguments.way) if one is not None]
    print(json.dumps(parts[arguments.part](arguments.seconds, arguments.repeats, *more)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
