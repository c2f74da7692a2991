"""The same measurements of our index in this process, and of the service over HTTP."""

import json
import time
from pathlib import Path
from typing import Any

import httpx2 as httpx
import numpy as np

from benchmarks.figures import figure, times_of
from benchmarks.filling import fill
from benchmarks.generator import Run, run_clients
from benchmarks.indexes import exact_index
from benchmarks.peers.timing import BATCH, CAMERA, DELETES, K, camera_of, recall
from benchmarks.pictures import json_request, write_requests
from benchmarks.raw import MODEL_DIR
from benchmarks.serving import Service
from service.embedding.manifest import read_manifest


def measure_index(folder: Path, seconds: float) -> dict[str, Any]:
    """The exact index of the service, without anything around it."""
    matrix, queries = np.load(folder / "vectors.npy"), np.load(folder / "queries.npy")
    index = exact_index(matrix.shape[1])
    began = time.perf_counter()
    index.add(np.arange(len(matrix)), matrix)
    loaded = time.perf_counter() - began
    allowed = np.array([row for row in range(len(matrix)) if camera_of(row) == CAMERA], np.int64)
    removed = iter(range(len(matrix) - 1, 0, -1))

    def ms(act: Any, least: int = 5) -> dict[str, float]:
        return figure([one * 1000 for one in times_of(act, seconds=seconds, least=least)])

    return {
        "version": "", "through": "in process, exact", "load_s": figure([loaded]),
        "recall": recall(index.search(queries, K)[1].tolist(), np.load(folder / "truth.npy")),
        "recall_filtered": recall(
            index.search(queries, K, allowed)[1].tolist(), np.load(folder / "truth-filtered.npy")
        ),
        "search_1_ms": ms(lambda: index.search(queries[:1], K)),
        "search_32_ms": ms(lambda: index.search(queries[:BATCH], K)),
        "filtered_ms": ms(lambda: index.search(queries[:1], K, allowed)),
        "delete_ms": figure(
            [one * 1000 for one in times_of(lambda: index.remove(np.array([next(removed)])), seconds=0, least=DELETES)]
        ),
    }  # fmt: skip


def measure_service(folder: Path, crops: int, seconds: float) -> dict[str, Any]:
    """The service with a person for each crop, so that k people are k crops."""
    home = folder / "service"
    home.mkdir()
    began = time.perf_counter()
    fill(f"sqlite:///{home / 'reappear.db'}", crops=crops, identities=crops)
    filled = time.perf_counter() - began
    service = Service(home)
    began = time.perf_counter()
    service.start_timed()
    loaded = filled + time.perf_counter() - began
    try:
        result = _measure_running(service, folder, crops, seconds)
        service.stop()
        restarted = service.start_timed()
    finally:
        service.stop()
    return {
        "version": "", "through": "HTTP, JSON, durable", "load_s": figure([loaded]), "restart_s": figure([restarted]),
    } | result  # fmt: skip


def _measure_running(service: Service, folder: Path, crops: int, seconds: float) -> dict[str, Any]:
    queries, version = np.load(folder / "queries.npy"), read_manifest(MODEL_DIR).version
    plain = [{"vector": query.tolist(), "model": version, "k": K, "hits": 1} for query in queries]
    filtered = [{**one, "filter": {"camera": CAMERA}} for one in plain]
    folders = {
        name: write_requests(folder / name, [json_request("/query", json.dumps(one).encode()) for one in bodies])
        for name, bodies in (("plain", plain), ("filtered", filtered))
    }

    def runs(name: str, clients: int) -> list[Run]:
        asked = folders[name]
        run_clients(service.port, asked, clients=clients, seconds=1)
        return [run_clients(service.port, asked, clients=clients, seconds=max(1, seconds / 3)) for _ in range(3)]

    with httpx.Client(base_url=service.url, timeout=60) as client:

        def ask(body: dict[str, Any]) -> list[int]:
            answer = client.post("/query", json=body)
            answer.raise_for_status()
            return [hit["crop"] - 1 for one in answer.json()["candidates"] for hit in one["hits"]]  # rows begin at 0

        def remove(row: int) -> None:
            client.delete(f"/gallery/p-1-{row}").raise_for_status()

        rows = iter(range(crops - 1, 0, -1))
        return {
            "recall": recall([ask(one) for one in plain], np.load(folder / "truth.npy")),
            "recall_filtered": recall([ask(one) for one in filtered], np.load(folder / "truth-filtered.npy")),
            "search_1_ms": figure([run.p50_ms for run in runs("plain", 1)]),
            "search_32_ms": figure([BATCH / run.answered_per_s * 1000 for run in runs("plain", BATCH)]),
            "filtered_ms": figure([run.p50_ms for run in runs("filtered", 1)]),
            "delete_ms": figure(
                [one * 1000 for one in times_of(lambda: remove(next(rows)), seconds=0, least=DELETES)]
            ),
        }  # fmt: skip
