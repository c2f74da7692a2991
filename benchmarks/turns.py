"""The service and its parts alone in turn. What is promised are ratios, and machines become slower and faster within
minutes: what was measured minutes apart would compare the machine with itself."""

from pathlib import Path
from typing import Any

from benchmarks.bounds import CLIENTS, OWN, RAW, allowed_per_s, alone_p50_ms
from benchmarks.enrolling import AT_ONCE, LONGER, prepare_enrolments
from benchmarks.generator import run_clients
from benchmarks.raw import measure_alone
from benchmarks.serving import WARM_UP_S, Service

PARTS = ("decode", "embed", "faiss", "sgemm", "index")
BULK_CLIENTS = 4


def measure_query_turns(
    service: Service, vectors: Path, requests: Path, alone: dict[str, Any], *, seconds: float, raw_seconds: float,
    repeats: int,
) -> list[dict[str, Any]]:  # fmt: skip
    """Of each turn what the parts alone gave, decode and embed the way that was best in `alone`, and then the service
    with many clients and with one."""
    turns = []
    for _ in range(repeats):
        parts = {
            part: measure_alone(part, seconds=raw_seconds, repeats=1, way=alone[part]["best"])
            if part in ("decode", "embed")
            else measure_alone(part, seconds=raw_seconds, repeats=1, vectors=vectors)
            for part in PARTS
        }
        run_clients(service.port, requests, clients=int(CLIENTS), seconds=WARM_UP_S)
        many = run_clients(service.port, requests, clients=int(CLIENTS), seconds=seconds)
        one = run_clients(service.port, requests, clients=1, seconds=seconds)
        turns.append({
            "allowed_per_s": {"raw": round(allowed_per_s(parts, RAW), 1), "own": round(allowed_per_s(parts, OWN), 1)},
            "answered_per_s": round(many.answered_per_s, 1),
            "alone_p50_ms": {"raw": round(alone_p50_ms(parts, RAW), 3), "own": round(alone_p50_ms(parts, OWN), 3)},
            "p50_ms": one.p50_ms,
        })  # fmt: skip
    return turns


def measure_bulk_turns(
    service: Service, folder: Path, alone: dict[str, Any], *, seconds: float, raw_seconds: float, repeats: int
) -> list[dict[str, Any]]:
    """Of each turn what the network alone gave, and then enrolment of many pictures a request. It fills the gallery
    with the same few pictures over and over, so queries come before."""
    requests = prepare_enrolments(folder)["bulk"]
    turns = []
    for _ in range(repeats):
        embed = measure_alone("embed", seconds=raw_seconds, repeats=1, way=alone["embed"]["best"])
        run = run_clients(service.port, requests, clients=BULK_CLIENTS, seconds=max(1, round(seconds)) * LONGER)
        turns.append({
            "embed_per_s": embed["per_s"]["median"], "bulk_crops_per_s": round(run.answered_per_s * AT_ONCE, 1),
        })  # fmt: skip
    return turns
