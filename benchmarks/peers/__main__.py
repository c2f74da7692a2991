"""`make bench-peers`: comparable systems from PyPI and ours on the same vectors, one after the other in one run, into
benchmarks/results/peers.json. Each peer has an environment of its own, made where it is missing, from exact pins."""

import argparse
import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.filling import made_vectors
from benchmarks.machine import ROOT, WORK, describe_machine, ensure_wrk
from benchmarks.peers.ours import measure_index, measure_service
from benchmarks.peers.timing import CAMERA, K, camera_of
from benchmarks.raw import some_queries
from service.domain import VectorArray

RESULT = ROOT / "benchmarks" / "results" / "peers.json"
PINS = {
    "milvus": ("milvus-lite==3.2.2", "pymilvus==3.0.2", "numpy==2.4.6", "faiss-cpu==1.15.1"),
    "qdrant": ("qdrant-client==1.20.0", "numpy==2.4.6"),
}
QUERIES = 32  # a batch of the peers
DIM = 512
PATIENCE_S = 600
NOTES = (
    "Each is asked the way its users ask it, so times include its client. The service is asked over HTTP with the "
    "vector as JSON; it takes one query a request, so its 32 are 32 clients at once, 32 over the answers a second. "
    "Loading: the service's gallery is filled in SQL and read from there, the others are told in batches. A service's "
    "restart is from its start to ready, with everything in memory. Qdrant's local mode commits each point "
    "by itself: load and searches are of its `:memory:` mode, deletions and restart of a folder with 2,000 points."
)


def main() -> int:
    """Prints a line for each system. A peer that cannot be installed is told of, with the reason."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.peers", description=__doc__)
    parser.add_argument("--crops", type=int, default=100_000)
    parser.add_argument("--seconds", type=float, default=5.0, help="for each measurement")
    arguments = parser.parse_args()
    ensure_wrk()
    folder = WORK / "peers"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    prepare(folder, arguments.crops)
    found: dict[str, Any] = {
        "crops": arguments.crops, "dim": DIM, "machine": describe_machine(), "systems": {}, "notes": NOTES,
    }  # fmt: skip
    ways: dict[str, Callable[[], dict[str, Any]]] = {
        "our index": lambda: measure_index(folder, arguments.seconds),
        "our service": lambda: measure_service(folder, arguments.crops, arguments.seconds),
        **{name: partial(run_peer, name, folder, arguments.seconds) for name in PINS},
    }
    RESULT.parent.mkdir(parents=True, exist_ok=True)
    for name, measure in ways.items():
        found["systems"][name] = measure()
        print(name, json.dumps(found["systems"][name]), flush=True)
        RESULT.write_text(json.dumps(found, indent=1, ensure_ascii=False) + "\n")
    shutil.rmtree(folder)
    return 0


def prepare(folder: Path, crops: int) -> None:
    """Vectors, queries, and the rows that exact search finds, of all and of one camera."""
    matrix = np.concatenate([found for _, found in made_vectors(crops, crops, DIM)])
    queries = some_queries(matrix, QUERIES)
    scores = queries @ matrix.T
    np.save(folder / "vectors.npy", matrix)
    np.save(folder / "queries.npy", queries)
    np.save(folder / "truth.npy", best_rows(scores))
    elsewhere = [row for row in range(crops) if camera_of(row) != CAMERA]
    scores[:, elsewhere] = -np.inf
    np.save(folder / "truth-filtered.npy", best_rows(scores))


def best_rows(scores: VectorArray) -> np.ndarray:
    """The K best columns of each row, best first."""
    kept = np.argpartition(-scores, K - 1, axis=1)[:, :K]
    order = np.argsort(-np.take_along_axis(scores, kept, 1), axis=1)
    return np.take_along_axis(kept, order, 1)


def run_peer(name: str, folder: Path, seconds: float) -> dict[str, Any]:
    """One peer in its own environment and process; `error` instead of figures where it did not come about."""
    environment = ROOT / "build" / f"peers-{name}"
    try:
        install(environment, PINS[name])
        script = ROOT / "benchmarks" / "peers" / f"{name}.py"
        ended = subprocess.run(
            [environment / "bin" / "python", script, folder, str(seconds)], capture_output=True, text=True,
            check=True, timeout=PATIENCE_S,
        )  # fmt: skip
    except subprocess.CalledProcessError as error:
        return {"error": (error.stderr or "it failed without a word").strip().splitlines()[-1][:300]}
    except subprocess.TimeoutExpired:
        return {"error": f"not done after {PATIENCE_S} s"}
    found: dict[str, Any] = json.loads(ended.stdout.strip().rpartition("\n")[2])
    return found


def install(environment: Path, pins: tuple[str, ...]) -> None:
    """Make the environment where it is not there with just these pins. Raises CalledProcessError."""
    made = environment / "pins"
    if made.exists() and made.read_text().split() == list(pins):
        return
    shutil.rmtree(environment, ignore_errors=True)
    subprocess.run([sys.executable, "-m", "venv", environment], check=True, capture_output=True, text=True)
    command = [
        str(environment / "bin" / "python"),
        "-m",
        "pip",
        "install",
        "--quiet",
        "--disable-pip-version-check",
        *pins,
    ]
    subprocess.run(command, check=True, capture_output=True, text=True)
    made.write_text("\n".join(pins))


if __name__ == "__main__":
    sys.exit(main())
