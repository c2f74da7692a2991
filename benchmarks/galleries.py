"""All that is measured at one size of the gallery, in one go: the parts alone, the service and the naive one in turn,
enrolment, restart, memory."""

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2 as httpx
import numpy as np

from benchmarks.enrolling import measure_enrolments
from benchmarks.figures import figure
from benchmarks.filling import fill, made_vectors
from benchmarks.generator import name_of_generator
from benchmarks.machine import ROOT, WORK, anonymous_bytes, commit, resident_bytes
from benchmarks.raw import MODEL_DIR, PARTS, measure_parts
from benchmarks.serving import (
    Asked,
    Plan,
    Service,
    crops_in,
    measure_filters,
    measure_k,
    measure_latency,
    measure_service,
    prepare_requests,
)
from benchmarks.turns import measure_bulk_turns, measure_query_turns
from service.embedding.manifest import read_manifest
from service.store.snapshots import SNAPSHOT_FOLDER
from tests.server import free_port

CROPS_EACH = 8
KS = (1, 3, 10, 30, 100)
NAIVE_PATIENCE_S = 120


@dataclass(frozen=True, slots=True)
class Scope:
    """What is measured at a size: the parts alone, the service, or both; with load, filters and several k, or only what
    shows the growth; both in turn; and how long."""

    alone: bool
    service: bool
    load: bool
    turns: bool
    filters: bool
    ks: bool
    restarts: int
    raw_seconds: float
    plan: Plan


def prepare(crops: int) -> Path:
    """A folder with a database of that many crops, and their vectors in a file; made where it is not there, or is of
    another model."""
    folder = WORK / f"gallery-{crops}"
    made, model = folder / "made", read_manifest(MODEL_DIR).sha256
    if not made.exists() or made.read_text() != model:
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        fill(f"sqlite:///{folder / 'reappear.db'}", crops=crops)
        write_vectors(folder / "vectors.npy", crops)
        made.write_text(model)
    return folder


def write_vectors(path: Path, crops: int) -> None:
    """The vectors of such a database as a (crops, dim) float32 .npy."""
    dim = read_manifest(MODEL_DIR).output.dim
    out = np.lib.format.open_memmap(path, mode="w+", dtype=np.float32, shape=(crops, dim))
    done = 0
    for _, found in made_vectors(crops, max(1, crops // CROPS_EACH), dim):
        out[done : done + len(found)] = found
        done += len(found)
    out.flush()


def measure_gallery(crops: int, scope: Scope, say: Any = print) -> dict[str, Any]:
    """Everything at one size."""
    folder = prepare(crops)
    found: dict[str, Any] = {
        "crops": crops, "generator": name_of_generator(), **now(),
        "plan": {"seconds": scope.plan.seconds, "repeats": scope.plan.repeats},
    }  # fmt: skip
    if scope.alone:
        say(f"{crops:,} crops: the parts alone")
        parts = PARTS if scope.load else ("index",)
        found["alone"] = now() | measure_parts(
            folder / "vectors.npy", seconds=scope.raw_seconds, repeats=scope.plan.repeats, parts=parts
        )
    if scope.service:
        (folder / "made").unlink()  # used up: enrolment changes it
        found |= measure_whole(crops, folder, scope, found.get("alone"), say)
        shutil.rmtree(folder)
    return found


def now() -> dict[str, Any]:
    """When, of which version, and how busy the machine was before."""
    return {
        "measured_at": time.strftime("%Y-%m-%d %H:%M"), "commit": commit(),
        "load_average": round(os.getloadavg()[0], 2),
    }  # fmt: skip


def measure_whole(crops: int, folder: Path, scope: Scope, alone: dict[str, Any] | None, say: Any) -> dict[str, Any]:
    """The service: start, memory, one client, its parts alone in turn with it where they were measured, load,
    enrolment."""
    service, plan = Service(folder), scope.plan
    in_turn = alone if scope.turns else None
    times = {"seconds": plan.seconds, "raw_seconds": scope.raw_seconds, "repeats": plan.turns}
    say(f"{crops:,} crops: start")
    found: dict[str, Any] = {"first_start_s": round(service.start_timed(), 3)}
    try:
        found["restart"] = measure_restart(service, scope.restarts)
        found["memory"] = {"ready": memory_of(service)}
        requests = prepare_requests(folder / "requests")
        say(f"{crops:,} crops: one client")
        found["latency"] = measure_latency(service, requests["raw"], seconds=plan.seconds, repeats=plan.repeats)
        if scope.ks:
            found["by_k"] = measure_k(service, folder, KS, seconds=plan.seconds, repeats=plan.rounds)
        if in_turn is not None:
            say(f"{crops:,} crops: in turn with its parts")
            found["turns"] = measure_query_turns(service, folder / "vectors.npy", requests["raw"], in_turn, **times)
        if scope.filters:
            say(f"{crops:,} crops: filters")
            found["filters"] = measure_filters(service, folder, seconds=plan.seconds, repeats=plan.repeats)
        if scope.load:
            say(f"{crops:,} crops: load")
            with naive(folder / "vectors.npy") as beside:
                found["load"] = measure_service(service, beside, requests, plan)
        say(f"{crops:,} crops: enrolment")
        found["enrolment"] = measure_enrolments(
            service, folder / "enrolments", seconds=plan.seconds, repeats=plan.repeats, whole=scope.load
        )
        if in_turn is not None:
            found["bulk_turns"] = measure_bulk_turns(service, folder / "bulk", in_turn, **times)
        found["memory"]["after_load"] = memory_of(service)
    finally:
        service.stop()
    return found


def measure_restart(service: Service, times: int) -> dict[str, Any]:
    """Seconds to stop, and from start to ready, several times, once there is a snapshot, as there is wherever a service
    has run for a minute; the last leaves it running."""
    stops, starts = [], []
    deadline = time.monotonic() + service.patience_s
    while times and not any((service.data_dir / SNAPSHOT_FOLDER).glob("*.json")):
        if time.monotonic() > deadline:
            raise TimeoutError(f"no snapshot in {service.patience_s:g} s")
        time.sleep(0.1)
    for _ in range(times):
        began = time.perf_counter()
        service.stop()
        stops.append(time.perf_counter() - began)
        starts.append(service.start_timed())
    return {"stop_s": figure(stops), "ready_s": figure(starts)} if starts else {}


def memory_of(service: Service) -> dict[str, float]:
    """Resident memory in MB (10⁶ bytes), and the bound that the design sets for as many crops as there are by now."""
    crops = crops_in(service.url)
    dim, model = read_manifest(MODEL_DIR).output.dim, (MODEL_DIR / read_manifest(MODEL_DIR).file).stat().st_size
    bound = 1.3 * crops * dim * 4 + model + 300e6
    return {
        "resident_mb": round(resident_bytes(service.pid) / 1e6, 1),
        "anonymous_mb": round(anonymous_bytes(service.pid) / 1e6, 1), "bound_mb": round(bound / 1e6, 1),
        "vectors_mb": round(crops * dim * 4 / 1e6, 1), "crops": crops,
    }  # fmt: skip


@contextmanager
def naive(vectors: Path) -> Iterator[Asked]:
    """The naive service."""
    port = free_port()
    process = subprocess.Popen([sys.executable, "-m", "benchmarks.naive", str(vectors), str(port)], cwd=ROOT)
    try:
        deadline = time.monotonic() + NAIVE_PATIENCE_S
        while True:
            try:
                httpx.get(f"http://127.0.0.1:{port}/readyz", timeout=5).raise_for_status()
                break
            except httpx.TransportError:
                if process.poll() is not None or time.monotonic() > deadline:
                    raise
                time.sleep(0.05)
        yield Asked(port, process.pid)
    finally:
        process.kill()
        process.wait()
