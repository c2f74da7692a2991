"""`make bench-gpu`: how near FAISS's flat index in fp16 comes to the card's memory bandwidth, and what the network, the
service's own index and the whole service do there, into benchmarks/results/gpu.json. What was measured is written part
by part, so that a part which fails takes nothing with it. Without CUDA it says so, and ends well."""

import argparse
import ctypes
import json
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.figures import figure, times_of
from benchmarks.galleries import prepare
from benchmarks.generator import in_turn, run_clients
from benchmarks.indexes import gpu_index
from benchmarks.machine import ROOT, describe_machine, ensure_wrk
from benchmarks.raw import MODEL_DIR
from benchmarks.serving import Service, prepare_requests
from service.domain import VectorArray

RESULT = ROOT / "benchmarks" / "results" / "gpu.json"
SIZES = (1_000_000, 10_000_000)
BATCHES = (1, 16, 64, 256)
EMBED_BATCHES = (1, 2, 4, 8, 16, 32)
MIXED = (1, 7, 16, 3, 32, 12)  # one after the other, as portions of queries come
CLIENTS = (1, 8, 32, 128)
SERVED = 100_000
DIM, K = 512, 26
AT_ONCE = 65_536
COPY_BYTES = 2**30
DEVICE_TO_DEVICE = 3  # cudaMemcpyKind
CHANGED = 1_000  # rows of one addition or removal

Part = Callable[[], object]


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
    ensure_wrk()
    card_gb_per_s = round(bandwidth() / 1e9, 1)
    found = {
        "device": device_name(), "machine": describe_machine(), "bandwidth_gb_per_s": card_gb_per_s, "flat": {},
        "not_measured": {},
    }  # fmt: skip
    parts: dict[tuple[str, ...], Part] = {
        ("embed",): partial(measure_embedding, arguments.seconds),
        ("whole",): partial(measure_service, arguments.seconds),
    }
    for way in ways_of_flat():
        for rows in arguments.sizes:
            parts["flat", way, str(rows)] = partial(measure_flat, rows, way, arguments.seconds, card_gb_per_s)
    parts["index",] = partial(measure_index, max(arguments.sizes), arguments.seconds)
    measure_all(parts, found)
    print(json.dumps(found, indent=1))
    return 0


def measure_all(parts: dict[tuple[str, ...], Part], found: dict[str, Any]) -> None:
    """Each part into its place; what fails is named in `not_measured`, and the rest goes on."""
    for place, measure in parts.items():
        print(f"{time.strftime('%H:%M:%S')} {', '.join(place)}", file=sys.stderr, flush=True)
        try:
            value = measure()
        except Exception as error:  # whatever CUDA, FAISS and ONNX Runtime raise
            found["not_measured"][", ".join(place)] = str(error).strip()[-300:] or type(error).__name__
        else:
            into = found
            for name in place[:-1]:
                into = into.setdefault(name, {})
            into[place[-1]] = value
        RESULT.parent.mkdir(parents=True, exist_ok=True)
        RESULT.write_text(json.dumps(found, indent=1) + "\n")


def why_not() -> str:
    """Why nothing can be measured here; empty where it can."""
    import faiss

    if not hasattr(faiss, "StandardGpuResources"):
        return "FAISS is built for the CPU; install the extra `gpu`, or `gpu-cuda12` for drivers before R580"
    return "" if faiss.get_num_gpus() > 0 else "FAISS finds no CUDA device"


def device_name() -> str:
    """As the driver calls it."""
    if shutil.which("nvidia-smi") is None:
        return "a GPU"
    asked = subprocess.run(
        ["nvidia-smi", "--query-gpu=name,memory.total,driver_version", "--format=csv,noheader"], capture_output=True,
        text=True, check=False,
    )  # fmt: skip
    return (asked.stdout.strip().splitlines() or ["a GPU"])[0]


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


def some_rows(rows: int, seed: int = 0) -> Iterator[VectorArray]:
    """Unit vectors in parts of (AT_ONCE, DIM): one part's, and with other signs of its columns those of each other."""
    chance = np.random.default_rng(seed)
    first = chance.standard_normal((min(AT_ONCE, rows), DIM), dtype=np.float32)
    first /= np.linalg.norm(first, axis=1, keepdims=True)
    for start in range(0, rows, AT_ONCE):
        signs = chance.choice(np.array([-1, 1], np.float32), DIM)
        yield first[: min(AT_ONCE, rows - start)] * signs


def ways_of_flat() -> list[str]:
    """FAISS's own kernels, and those of cuVS where it is built with them."""
    import faiss

    return ["classic", *(["cuvs"] if "NVIDIA_CUVS" in faiss.get_compile_options() else [])]


def measure_flat(rows: int, way: str, seconds: float, card_gb_per_s: float) -> dict[str, Any]:
    """FAISS's flat index with fp16 storage: milliseconds of a search, and bytes of vectors a second."""
    import faiss

    resources = faiss.StandardGpuResources()
    settings = faiss.GpuIndexFlatConfig()
    settings.useFloat16 = True
    if hasattr(settings, "use_cuvs"):
        settings.use_cuvs = way == "cuvs"
    index = faiss.GpuIndexFlatIP(resources, DIM, settings)
    for part in some_rows(rows):
        index.add(part)
    out = {}
    for batch in BATCHES:
        queries = next(some_rows(batch, seed=1))
        ms = figure([one * 1000 for one in times_of(partial(index.search, queries, K), seconds=seconds)])
        speed = rows * DIM * 2 / ms["median"] / 1e6
        out[str(batch)] = {"ms": ms, "gb_per_s": round(speed, 1), "of_bandwidth": round(speed / card_gb_per_s, 3)}
    return out


def measure_embedding(seconds: float) -> dict[str, Any]:
    """Pictures a second through the service's own network on CUDA, at each batch and at changing ones. Raises
    ModelRefused where it does not really run there."""
    from service.embedding.onnx_model import OnnxModel

    network = OnnxModel(MODEL_DIR, provider="cuda", threads=1)
    taken = network.manifest.input

    def pictures(count: int) -> np.ndarray:
        return np.zeros((count, taken.height, taken.width, 3), np.uint8)

    out = {}
    for batch in EMBED_BATCHES:
        took = times_of(partial(network.run, pictures(batch)), seconds=seconds)
        out[str(batch)] = figure([batch / one for one in took], 0)
    batches = [pictures(count) for count in MIXED]
    took = times_of(lambda: [network.run(batch) for batch in batches], seconds=seconds)
    out["mixed"] = figure([sum(MIXED) / one for one in took], 0)
    return out


def measure_index(rows: int, seconds: float) -> dict[str, Any]:
    """The service's own index at a size, in milliseconds: searches, additions, removals of rows that lie on the card,
    and the purge that takes them off it; and how long it took to fill."""
    index = gpu_index(DIM)
    if index is None:
        raise RuntimeError("the service's index has no card")
    began = time.perf_counter()
    for number, part in enumerate(some_rows(rows)):
        index.add(np.arange(number * AT_ONCE, number * AT_ONCE + len(part)), part)
    out: dict[str, Any] = {"fill": [(time.perf_counter() - began) * 1000]}
    for batch in BATCHES:
        queries = next(some_rows(batch, seed=1))
        out[f"search, {batch} queries"] = [
            one * 1000 for one in times_of(partial(index.search, queries, K), seconds=seconds)
        ]
    fresh = next(some_rows(CHANGED, seed=2))
    adding = (partial(index.add, np.arange(rows + start, rows + start + CHANGED), fresh) for start in _steps(10))
    removing = (partial(index.remove, np.arange(start, start + CHANGED)) for start in _steps(10))
    for name, acts in ((f"add {CHANGED}", adding), (f"remove {CHANGED}", removing)):
        out[name] = list(map(_ms, acts))
    out["purge"] = [_ms(index.purge)]
    return {name: figure(values) for name, values in out.items()}


def _steps(times: int) -> range:
    return range(0, times * CHANGED, CHANGED)


def _ms(act: Callable[[], object]) -> float:
    (took,) = times_of(act, seconds=0, least=1, warm_up=0)
    return took * 1000


def measure_service(seconds: float) -> dict[str, Any]:
    """The whole path over HTTP, network and index on the card: answers a second and latencies by clients."""
    folder = prepare(SERVED)
    service = Service(folder, REAPPEAR_PROVIDER="cuda", REAPPEAR_INDEX="gpu")
    try:
        service.start_timed()
        requests = prepare_requests(folder / "requests")["raw"]
        ways = {
            str(clients): partial(run_clients, service.port, requests, clients=clients, seconds=seconds)
            for clients in CLIENTS
        }
        for ask in ways.values():
            ask()
        return in_turn(ways, 3)
    finally:
        service.stop()


if __name__ == "__main__":
    sys.exit(main())
