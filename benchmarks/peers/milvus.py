"""Runs in build/peers-milvus: the server of milvus-lite, asked through pymilvus. Arguments: folder with vectors.npy,
queries.npy, truth.npy and truth-filtered.npy, and seconds for each measurement."""

import socket
import subprocess
import sys
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from pymilvus import DataType, MilvusClient
from timing import BATCH, CAMERA, DELETES, K, camera_of, figure, recall, tell, times_ms

NAME = "crops"
AT_ONCE = 2_000
FILTER = f'camera == "{CAMERA}"'


def main() -> None:
    """Prints JSON."""
    folder, seconds = Path(sys.argv[1]), float(sys.argv[2])
    vectors, queries = np.load(folder / "vectors.npy", mmap_mode="r"), np.load(folder / "queries.npy")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    server = start(folder, port)
    try:
        client = connect(port)
        result = measure(client, vectors, queries, folder, seconds)
        client.close()
        server.terminate()
        server.wait(60)
        began = time.perf_counter()
        server = start(folder, port)
        client = connect(port)
        client.load_collection(NAME)
        client.search(NAME, data=queries[:1].tolist(), limit=K)
        result["restart_s"] = figure([time.perf_counter() - began])
    finally:
        server.kill()
    tell(result | {"version": version("milvus-lite"), "through": "gRPC, pymilvus, index FLAT"})


def start(folder: Path, port: int) -> "subprocess.Popen[bytes]":
    """The server on a folder of its own."""
    command = [str(Path(sys.executable).with_name("milvus-lite")), "server", "--data-dir", str(folder / "milvus")]
    return subprocess.Popen([*command, "--port", str(port)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def connect(port: int) -> MilvusClient:
    """Once it answers. Raises the last error after a minute."""
    deadline = time.monotonic() + 60
    while True:
        try:
            client = MilvusClient(uri=f"http://127.0.0.1:{port}", timeout=5)
            client.list_collections()
            return client
        except Exception:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)


def measure(client: MilvusClient, vectors: Any, queries: Any, folder: Path, seconds: float) -> dict[str, Any]:
    """Load, search, filter, delete."""
    schema = client.create_schema(auto_id=False)
    schema.add_field("id", DataType.INT64, is_primary=True)
    schema.add_field("vector", DataType.FLOAT_VECTOR, dim=vectors.shape[1])
    schema.add_field("camera", DataType.VARCHAR, max_length=32)
    index = client.prepare_index_params()
    index.add_index("vector", index_type="FLAT", metric_type="IP")
    began = time.perf_counter()
    client.create_collection(NAME, schema=schema, index_params=index)
    for first in range(0, len(vectors), AT_ONCE):
        rows = vectors[first : first + AT_ONCE]
        client.insert(
            NAME,
            [
                {"id": first + at, "vector": row.tolist(), "camera": camera_of(first + at)}
                for at, row in enumerate(rows)
            ],
            timeout=60,
        )
    client.flush(NAME, timeout=120)
    client.load_collection(NAME)
    loaded = time.perf_counter() - began

    def search(start: int, count: int, condition: str = "") -> list[list[int]]:
        data = [queries[(start + at) % len(queries)].tolist() for at in range(count)]
        return [
            [hit["id"] for hit in hits]
            for hits in client.search(NAME, data=data, limit=K, filter=condition, timeout=60)
        ]

    result = {
        "load_s": figure([loaded]),
        "recall": recall(search(0, len(queries)), np.load(folder / "truth.npy")),
        "recall_filtered": recall(search(0, len(queries), FILTER), np.load(folder / "truth-filtered.npy")),
        "search_1_ms": figure(times_ms(lambda at: search(at, 1), seconds=seconds, most=500)),
        "search_32_ms": figure(times_ms(lambda at: search(at, BATCH), seconds=seconds, most=200)),
        "filtered_ms": figure(times_ms(lambda at: search(at, 1, FILTER), seconds=seconds, most=500)),
    }
    result["delete_ms"] = figure(
        times_ms(lambda at: client.delete(NAME, ids=[len(vectors) - 1 - at], timeout=60), seconds=60, most=DELETES)
    )
    return result


if __name__ == "__main__":
    main()
