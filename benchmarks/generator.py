"""Clients that wait for their answers: wrk where there is one, else `benchmarks.load`. Either runs in a process of its
own on the same cores, and what it takes of them is told beside what was measured."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.figures import figure
from benchmarks.machine import ROOT

SCRIPT = ROOT / "benchmarks" / "requests.lua"
PATIENCE_S = 30  # for an answer
RATES, LATENCIES = ("answered_per_s", "generator_cores"), ("p50_ms", "p90_ms", "p99_ms", "max_ms")


@dataclass(frozen=True, slots=True)
class Run:
    """What clients got. Answers that are no 2xx are refused, those that never came are broken. Latencies are of all
    answers; where some were refused they say little."""

    answered_per_s: float
    refused: int
    broken: int
    p50_ms: float
    p90_ms: float
    p99_ms: float
    max_ms: float
    generator_cores: float


def name_of_generator() -> str:
    """As results tell it."""
    return "wrk" if shutil.which("wrk") else "benchmarks.load"


def run_clients(port: int, requests: Path, *, clients: int, seconds: float) -> Run:
    """Send the requests of a folder round and round over as many connections."""
    wrk = shutil.which("wrk")
    before = os.times()
    if wrk:
        found = _wrk(wrk, port, requests, clients, seconds)
    else:
        found = _load(port, requests, clients, seconds)
    after = os.times()
    used = after.children_user + after.children_system - before.children_user - before.children_system
    return Run(**found, generator_cores=used / seconds)


def summarise(runs: list[Run]) -> dict[str, Any]:
    """Figures over repeated runs. Latencies are of runs that had answers; null where none had."""
    found: dict[str, Any] = {name: figure([float(getattr(run, name)) for run in runs]) for name in RATES}
    answered = [run for run in runs if run.max_ms > 0]
    for name in LATENCIES:
        found[name] = figure([float(getattr(run, name)) for run in answered]) if answered else None
    return found | {"refused": sum(run.refused for run in runs), "broken": sum(run.broken for run in runs)}


def in_turn(ways: Mapping[str, Callable[[], Run]], repeats: int) -> dict[str, dict[str, Any]]:
    """Each way in turn, again and again, so that a disturbance of the machine falls on all of them."""
    runs: dict[str, list[Run]] = {name: [] for name in ways}
    for _ in range(repeats):
        for name, way in ways.items():
            runs[name].append(way())
    return {name: summarise(found) for name, found in runs.items()}


def _wrk(wrk: str, port: int, requests: Path, clients: int, seconds: float) -> dict[str, Any]:
    whole = max(1, round(seconds))  # wrk knows no parts of a second
    command = [wrk, "-t1", f"-c{clients}", f"-d{whole}s", f"--timeout={PATIENCE_S}s", f"-s{SCRIPT}"]
    ended = subprocess.run(
        [*command, f"http://127.0.0.1:{port}/", "--", str(requests)], stdout=subprocess.PIPE, text=True, check=True
    )
    found = json.loads(ended.stdout.strip().rpartition("\n")[2])
    return {
        "answered_per_s": (found["answers"] - found["refused"]) / found["seconds"], "refused": found["refused"],
        "broken": found["broken"], "p50_ms": found["p50_ms"], "p90_ms": found["p90_ms"], "p99_ms": found["p99_ms"],
        "max_ms": found["max_ms"],
    }  # fmt: skip


def _load(port: int, requests: Path, clients: int, seconds: float) -> dict[str, Any]:
    command = [sys.executable, "-m", "benchmarks.load", "--port", str(port), "--requests", str(requests)]
    ended = subprocess.run(
        [*command, "--seconds", str(seconds), "--clients", str(clients)], cwd=ROOT, stdout=subprocess.PIPE, text=True,
        check=True,
    )  # fmt: skip
    found = json.loads(ended.stdout)
    statuses = {int(status): count for status, count in found["statuses"].items()}
    return {
        "answered_per_s": found["answered_per_s"], "broken": statuses.pop(-1, 0),
        "refused": sum(count for status, count in statuses.items() if status >= 300),
        "p50_ms": found["accepted"]["p50_ms"], "p90_ms": found["accepted"]["p90_ms"],
        "p99_ms": found["accepted"]["p99_ms"], "max_ms": found["accepted"]["max_ms"],
    }  # fmt: skip
