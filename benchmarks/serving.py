"""The service under load, as a user would run it, and what it says of its own stages meanwhile."""

import json
import re
import time
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote

import httpx2 as httpx

from benchmarks.filling import CAMERAS
from benchmarks.generator import Run, in_turn, run_clients
from benchmarks.machine import cpu_seconds, wait_until_idle
from benchmarks.pictures import KINDS, make_pictures, query_requests, write_requests
from tests.server import Server

WARM_UP_S, WARM_UP_CLIENTS = 1.0, 32
PICTURES = 64
FILTERED = (1, 4, 8, 15, CAMERAS)  # cameras asked for
STAGES = ("decode", "embed", "search", "join")
LINE = re.compile(
    r'^reappear_stage_seconds_(sum|count|bucket)\{(?:le="([^"]+)",)?stage="([^"]+)"(?:,le="([^"]+)")?\} (\S+)$'
)


@dataclass(frozen=True, slots=True)
class Plan:
    """How long and how often to measure."""

    seconds: float
    repeats: int
    turns: int  # of the service and its parts, whose ratios are promised
    rounds: int  # of all k
    clients: tuple[int, ...]
    naive_clients: tuple[int, ...]


class Asked(NamedTuple):
    """A service that is put under load."""

    port: int
    pid: int


class Service(Server):
    """`python -m service` with its defaults on a folder of its own."""

    patience_s = 900.0  # a large gallery may take long to load, and its last snapshot to write

    def __init__(self, folder: Path, **environment: str) -> None:
        super().__init__(folder / "data", f"sqlite:///{folder / 'reappear.db'}", **environment)

    def start_timed(self) -> float:
        """Start it; returns the seconds until /readyz says that it is."""
        began = time.perf_counter()
        self.launch("service", "--migrate")
        self.wait_until_ready()
        return time.perf_counter() - began


Stages = dict[str, dict[str, float]]


def read_stages(url: str) -> Stages:
    """Sum, count and cumulative buckets of each stage, from /metrics."""
    return parse_stages(httpx.get(f"{url}/metrics", timeout=30).text)


def parse_stages(text: str) -> Stages:
    """Of an exposition: {stage: {"sum": s, "count": n, "0.001": n …}}."""
    found: Stages = {}
    for line in text.splitlines():
        if match := LINE.match(line):
            kind, before, stage, after, value = match.groups()
            key = (before or after) if kind == "bucket" else kind
            found.setdefault(stage, {})[key] = float(value)
    return found


def stages_between(before: Stages, after: Stages) -> dict[str, dict[str, Any]]:
    """What came in between: how often, mean in ms, and how many up to each bucket's bound in ms (not cumulative)."""
    out = {}
    for stage, now in after.items():
        then = before.get(stage, {})
        count = now["count"] - then.get("count", 0.0)
        if count < 1:
            continue
        bounds = sorted((key for key in now if key not in ("sum", "count")), key=float)
        cumulative = [now[key] - then.get(key, 0.0) for key in bounds]
        each = [high - low for low, high in zip([0.0, *cumulative], cumulative, strict=False)]
        out[stage] = {
            "count": int(count),
            "mean_ms": round((now["sum"] - then.get("sum", 0.0)) / count * 1000, 3),
            "histogram": {
                "inf" if bound == "+Inf" else f"{float(bound) * 1000:g}": int(there)
                for bound, there in zip(bounds, each, strict=True)
                if there
            },
        }
    return out


def prepare_requests(folder: Path, path: str = "/query?k=10") -> dict[str, Path]:
    """Queries in files, by kind of body."""
    pictures = make_pictures(PICTURES, view=1)
    return {kind: write_requests(folder / kind, query_requests(pictures, kind, path)) for kind in KINDS}


def measure_service(service: Service, naive: Asked, requests: dict[str, Path], plan: Plan) -> dict[str, Any]:
    """The service, and the naive one beside it in turn, at each number of clients and kind of body."""
    ours, out = Asked(service.port, service.pid), dict[str, Any](service={}, naive={})
    for kind, folder in requests.items():
        for one in (naive, ours):
            ask_and_wait(one, folder, clients=WARM_UP_CLIENTS, seconds=WARM_UP_S)
        for clients in plan.clients:
            before, cpu = read_stages(service.url), cpu_seconds(service.pid)
            asked = {"service": ours} | ({"naive": naive} if clients in plan.naive_clients else {})
            ways = {
                name: partial(ask_and_wait, one, folder, clients=clients, seconds=plan.seconds)
                for name, one in asked.items()
            }
            found = in_turn(ways, plan.repeats)
            cpu = (cpu_seconds(service.pid) - cpu) / (plan.repeats * max(1, round(plan.seconds)))
            found["service"]["stages"] = stages_between(before, read_stages(service.url))
            found["service"]["service_cores"] = round(cpu, 3)
            for way, figures in found.items():
                out[way].setdefault(kind, {})[str(clients)] = figures
    return {name: found for name, found in out.items() if found}


def ask_and_wait(asked: Asked, requests: Path, *, clients: int, seconds: float) -> Run:
    """A run under load, and what it left to do: the naive service goes on for clients who have gone."""
    run = run_clients(asked.port, requests, clients=clients, seconds=seconds)
    wait_until_idle(asked.pid)
    return run


def measure_latency(service: Service, requests: Path, *, seconds: float, repeats: int) -> dict[str, Any]:
    """One client, and the stages of its queries."""
    before = read_stages(service.url)

    def ask() -> Run:
        return run_clients(service.port, requests, clients=1, seconds=seconds)

    ask()
    found = in_turn({"one": ask}, repeats)["one"]
    return found | {"stages": stages_between(before, read_stages(service.url))}


def measure_k(
    service: Service, folder: Path, ks: tuple[int, ...], *, seconds: float, repeats: int
) -> dict[str, Any]:  # fmt: skip
    """Time of search and join, and of the whole, for each number of identities that is asked for: of several rounds the
    run in the middle of each, for a machine's pace changes from one to the next."""
    requests = {k: prepare_requests(folder / f"k-{k}", f"/query?k={k}")["raw"] for k in ks}
    runs = [{k: measure_latency(service, requests[k], seconds=seconds, repeats=1) for k in ks} for _ in range(repeats)]
    middle = len(runs) // 2
    return {str(k): sorted((run[k] for run in runs), key=lambda one: one["p50_ms"]["median"])[middle] for k in ks}


def measure_filters(service: Service, folder: Path, *, seconds: float, repeats: int) -> dict[str, dict[str, Any]]:
    """One client who asks for some of the cameras, in turn with one who asks for all; by how many were asked for."""
    ways = {}
    for some in FILTERED:
        cameras = quote(json.dumps({"camera": [f"camera-{camera}" for camera in range(some)]}))
        path = "/query?k=10" + (f"&filter={cameras}" if some < CAMERAS else "")
        requests = prepare_requests(folder / f"cameras-{some}", path)["raw"]
        ways[str(some)] = partial(run_clients, service.port, requests, clients=1, seconds=seconds)
    for ask in ways.values():
        ask()
    return in_turn(ways, repeats)


def crops_in(url: str, collection: str = "default") -> int:
    """How many crops a collection has."""
    answer = httpx.get(f"{url}/collections/{collection}", timeout=60)
    answer.raise_for_status()
    return int(answer.json()["crops"])
