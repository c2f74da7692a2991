"""`make bench-gpu`: how near FAISS's flat index in fp16 comes to the card's memory bandwidth, and what ONNX Runtime and
the service's own index do there, into benchmarks/results/gpu.json. Without CUDA it says so, and ends well."""

import argparse
import ctypes
import json
import subprocess
import sys
import time
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.figures import figure, times_of
from benchmarks.indexes import gpu_index
from benchmarks.machine import ROOT, describe_machine
from benchmarks.raw import MODEL_DIR
from service.domain import VectorArray
from service.embedding.manifest import read_manifest

RESULT = ROOT / "benchmarks" / "results" / "gpu.json"
SIZES = (1_000_000, 10_000_000)
BATCHES = (1, 16, 64, 256)
EMBED_BATCHES = (1, 2, 4, 8, 16, 32)
DIM, K = 512, 26
AT_ONCE = 250_000
COPY_BYTES = 2**30
DEVICE_TO_DEVICE = 3  # cudaMemcpyKind
CHANGED = 1_000  # rows of one addition or removal


def main() -> int:
    """Exit status 0 also where there is no GPU."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gpu", description=__doc__)
    parser.add_argument("--sizes", nargs="+", type=int, default=list(SIZES))
    parser.add_argument("--seconds", type=float, default=2.0, help="for each measurement")
    arguments = parser.parse_args()
    reason = why_not()
    if reason:
        print(f"no GPU was measured: {reason}")
        return 0
    found: dict[str, Any] = {"device": device_name(), "machine": describe_machine(), "flat": {}, "not_measured": ""}
    found["bandwidth_gb_per_s"] = round(bandwidth() / 1e9, 1)
    for rows in arguments.sizes:
        found["flat"][str(rows)] = measure_flat(rows, arguments.seconds, found["bandwidth_gb_per_s"])
    try:
        found["embed"] = measure_embedding(arguments.seconds)
    except RuntimeError as error:
        found["not_measured"] += f"the network ({error}); "
    if gpu_index(DIM) is None:
        found["not_measured"] += (
            "additions, removals and searches through the service's own index: it has none on GPU; "
        )
    else:
        found["index"] = measure_index(max(arguments.sizes), arguments.seconds)
    RESULT.parent.mkdir(parents=True, exist_ok=True)
    RESULT.write_text(json.dumps(found, indent=1) + "\n")
    print(json.dumps(found, indent=1))
    return 0


def why_not() -> str:
    """Why nothing can be measured here; empty where it can."""
    import faiss

    if not hasattr(faiss, "StandardGpuResources"):
        return "FAISS is built for the CPU; install the extra `gpu`, or `gpu-cuda12` for drivers before R580"
    return "" if faiss.get_num_gpus() > 0 else "FAISS finds no CUDA device"


def device_name() -> str:
    """As the driver calls it."""
    asked = subprocess.run(
        ["nvidia-smi", "--query-gpu=name,memory.total,driver_version", "--format=csv,noheader"], capture_output=True,
        text=True, check=False,
    )  # fmt: skip
    return asked.stdout.strip().splitlines()[0] if asked.stdout.strip() else "unknown GPU"


def bandwidth() -> float:
    """Bytes a second that the card reads and writes while it copies within its memory; the best of ten copies."""
    runtime = cuda_runtime()
    source, target = ctypes.c_void_p(), ctypes.c_void_p()
    for place in (source, target):
        if runtime.cudaMalloc(ctypes.byref(place), ctypes.c_size_t(COPY_BYTES)):
            raise RuntimeError("the card has no memory for a copy")

    def copy() -> None:
        for _ in range(20):
            runtime.cudaMemcpy(target, source, ctypes.c_size_t(COPY_BYTES), DEVICE_TO_DEVICE)
        runtime.cudaDeviceSynchronize()

    best = min(times_of(copy, seconds=0, least=10))
    for place in (source, target):
        runtime.cudaFree(place)
    return 20 * 2 * COPY_BYTES / best


def cuda_runtime() -> ctypes.CDLL:
    """CUDA's runtime, from the system or the wheels of NVIDIA. Raises RuntimeError."""
    names = ["libcudart.so", "libcudart.so.13", "libcudart.so.12"]
    for folder in map(Path, sys.path):
        for pattern in ("nvidia/**/libcudart.so*", "faiss*.libs/libcudart*"):
            names += map(str, folder.glob(pattern))
    for name in names:
        try:
            return ctypes.CDLL(name)
        except OSError:
            continue
    raise RuntimeError("libcudart is not to be found")


def random_rows(rows: int, seed: int) -> VectorArray:
    """Unit vectors (rows, DIM)."""
    found = np.random.default_rng(seed).standard_normal((rows, DIM), dtype=np.float32)
    found /= np.linalg.norm(found, axis=1, keepdims=True)
    return found


def measure_flat(rows: int, seconds: float, card_gb_per_s: float) -> dict[str, Any]:
    """FAISS's flat index with fp16 storage: milliseconds of a search, and bytes of vectors a second."""
    import faiss

    resources = faiss.StandardGpuResources()
    settings = faiss.GpuIndexFlatConfig()
    settings.useFloat16 = True
    index = faiss.GpuIndexFlatIP(resources, DIM, settings)
    for start in range(0, rows, AT_ONCE):
        index.add(random_rows(min(AT_ONCE, rows - start), start))
    out = {}
    for batch in BATCHES:
        queries = random_rows(batch, rows + 1)
        ms = figure([one * 1000 for one in times_of(partial(index.search, queries, K), seconds=seconds)])
        speed = rows * DIM * 2 / ms["median"] / 1e6
        out[str(batch)] = {"ms": ms, "gb_per_s": round(speed, 1), "of_bandwidth": round(speed / card_gb_per_s, 3)}
    return out


def measure_embedding(seconds: float) -> dict[str, Any]:
    """Pictures a second on CUDA at each batch. Raises RuntimeError where ONNX Runtime does not really run there."""
    import onnxruntime

    manifest = read_manifest(MODEL_DIR)
    session = onnxruntime.InferenceSession(MODEL_DIR / manifest.file, providers=["CUDAExecutionProvider"])
    if session.get_providers()[0] != "CUDAExecutionProvider":
        raise RuntimeError(f"ONNX Runtime runs on {session.get_providers()[0]}")
    out = {}
    for batch in EMBED_BATCHES:
        images = np.zeros((batch, manifest.input.height, manifest.input.width, 3), np.uint8)
        feed = {manifest.input.name: images}
        took = times_of(partial(session.run, None, feed), seconds=seconds)
        out[str(batch)] = figure([batch / one for one in took], 0)
    return out


def measure_index(rows: int, seconds: float) -> dict[str, Any]:
    """Searches, additions and removals of rows at a size, through the service's own index, in milliseconds."""
    index = gpu_index(DIM)
    assert index is not None
    for start in range(0, rows, AT_ONCE):
        count = min(AT_ONCE, rows - start)
        index.add(np.arange(start, start + count), random_rows(count, start))
    out: dict[str, Any] = {}
    for batch in BATCHES:
        queries = random_rows(batch, rows + 1)
        out[f"search, {batch} queries"] = [
            one * 1000 for one in times_of(partial(index.search, queries, K), seconds=seconds)
        ]
    fresh, places = random_rows(CHANGED, rows + 2), iter(range(rows, 2 * rows, CHANGED))
    out[f"add {CHANGED}"], out[f"remove {CHANGED}"] = [], []
    for _ in range(10):
        first = next(places)
        ids = np.arange(first, first + CHANGED)
        for name, act in (("add", partial(index.add, ids, fresh)), ("remove", partial(index.remove, ids))):
            began = time.perf_counter()
            act()
            out[f"{name} {CHANGED}"].append((time.perf_counter() - began) * 1000)
    return {name: figure(values) for name, values in out.items()}


if __name__ == "__main__":
    sys.exit(main())
