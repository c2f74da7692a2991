"""The service and its parts alone in turn. What is promised are ratios, and machines become slower and faster within
minutes: what was measured minutes apart would compare the machine with itself."""

from pathlib import Path
from typing import Any

from benchmarks.bounds import CLIENTS, OWN, RAW, allowed_per_s, alone_p50_ms
from benchmarks.enrolling import AT_ONCE, LONGER, measure_enrolment, prepare_enrolments
from benchmarks.generator import run_clients
from benchmarks.raw import measure_alone, measure_parts
from benchmarks.serving import WARM_UP_S, Service

BULK_CLIENTS = 4


def measure_query_turns(
    service: Service, vectors: Path, requests: Path, alone: dict[str, Any], *, seconds: float, raw_seconds: float,
    repeats: int,
) -> list[dict[str, Any]]:  # fmt: skip
    """Of each turn what the parts alone gave, decode and embed the way that was best in `alone`, and then the service
    with many clients and with one."""
    turns = []
    for _ in range(repeats):
        parts = measure_parts(vectors, seconds=raw_seconds, repeats=1, known=alone)
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
    requests, longer = prepare_enrolments(folder)["bulk"], max(1, round(seconds)) * LONGER
    turns = []
    for _ in range(repeats):
        embed = measure_alone("embed", seconds=raw_seconds, repeats=1, way=alone["embed"]["best"])
        enrolled = measure_enrolment(
            service, requests, clients=BULK_CLIENTS, pictures=AT_ONCE, seconds=longer, repeats=1
        )
        turns.append({
            "embed_per_s": embed["per_s"]["median"], "bulk_crops_per_s": enrolled["crops_per_s"]["median"],
        })  # fmt: skip
    return turns
