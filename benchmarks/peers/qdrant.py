"""Runs in build/peers-qdrant: Qdrant's local mode, which searches in this process. It commits each point
by itself (19 ms each), so all points are in `:memory:`, and a folder has some of them. Arguments as of milvus.py."""

import sys
import time
import warnings
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from qdrant_client import QdrantClient
from qdrant_client.models import (
    Distance,
    FieldCondition,
    Filter,
    MatchValue,
    PointIdsList,
    QueryRequest,
    VectorParams,
)
from timing import BATCH, CAMERA, DELETES, K, camera_of, figure, recall, tell, times_ms

NAME = "crops"
IN_A_FOLDER = 2_000
FILTER = Filter(must=[FieldCondition(key="camera", match=MatchValue(value=CAMERA))])


def main() -> None:
    """Prints JSON."""
    warnings.filterwarnings("ignore")  # it advises a server from 20,000 points on
    folder, seconds = Path(sys.argv[1]), float(sys.argv[2])
    vectors, queries = np.load(folder / "vectors.npy", mmap_mode="r"), np.load(folder / "queries.npy")
    client = QdrantClient(":memory:")
    result = measure(client, vectors, queries, folder, seconds)
    client.close()
    client = QdrantClient(path=str(folder / "qdrant"))
    upload(client, vectors[:IN_A_FOLDER])
    result["delete_ms"] = figure(
        times_ms(
            lambda at: client.delete(NAME, points_selector=PointIdsList(points=[IN_A_FOLDER - 1 - at])),
            seconds=60, most=DELETES,
        )
    )  # fmt: skip
    client.close()
    began = time.perf_counter()
    client = QdrantClient(path=str(folder / "qdrant"))
    client.query_points(NAME, query=queries[0].tolist(), limit=K)
    result["restart_s"] = figure([time.perf_counter() - began])
    tell(result | {"version": version("qdrant-client"), "through": "local mode in process, `:memory:`"})


def upload(client: QdrantClient, vectors: Any) -> None:
    """All at once, by its own way for many."""
    client.create_collection(NAME, vectors_config=VectorParams(size=vectors.shape[1], distance=Distance.DOT))
    client.upload_collection(
        NAME, vectors=vectors, ids=list(range(len(vectors))), batch_size=1024,
        payload=[{"camera": camera_of(row)} for row in range(len(vectors))],
    )  # fmt: skip


def measure(client: QdrantClient, vectors: Any, queries: Any, folder: Path, seconds: float) -> dict[str, Any]:
    """Load, search, filter."""
    began = time.perf_counter()
    upload(client, vectors)
    loaded = time.perf_counter() - began

    def one(at: int, condition: Filter | None = None) -> list[int]:
        query = queries[at % len(queries)].tolist()
        return [point.id for point in client.query_points(NAME, query=query, limit=K, query_filter=condition).points]

    def many(start: int) -> Any:
        asked = [QueryRequest(query=queries[(start + at) % len(queries)].tolist(), limit=K) for at in range(BATCH)]
        return client.query_batch_points(NAME, requests=asked)

    everyone = range(len(queries))
    return {
        "load_s": figure([loaded]),
        "recall": recall([one(at) for at in everyone], np.load(folder / "truth.npy")),
        "recall_filtered": recall([one(at, FILTER) for at in everyone], np.load(folder / "truth-filtered.npy")),
        "search_1_ms": figure(times_ms(one, seconds=seconds, most=500)),
        "search_32_ms": figure(times_ms(many, seconds=seconds, most=200)),
        "filtered_ms": figure(times_ms(lambda at: one(at, FILTER), seconds=seconds, most=500)),
    }


if __name__ == "__main__":
    main()
