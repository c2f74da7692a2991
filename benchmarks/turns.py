"""The service and its parts alone in turn. What is promised are ratios, and machines become slower and faster within
minutes: what was measured minutes apart would compare the machine with itself."""

from pathlib import Path
from typing import Any

from benchmarks.bounds import CLIENTS, OWN, RAW, allowed_per_s, alone_p50_ms
from benchmarks.enrolling import AT_ONCE, prepare_enrolments
from benchmarks.generator import run_clients
from benchmarks.raw import measure_alone
from benchmarks.serving import WARM_UP_S, Service

PARTS = ("decode", "embed", "faiss", "sgemm", "index")
BULK_CLIENTS = 4
BULK_LONGER = 3  # requests that are on their way when the time is up do not count


def measure_turns(
    service: Service, folder: Path, requests: Path, alone: dict[str, Any], *, seconds: float, raw_seconds: float,
    repeats: int,
) -> list[dict[str, Any]]:  # fmt: skip
    """Of each turn what the parts alone gave, decode and embed the way that was best in `alone`, and then the service:
    many clients, one client, and bulk enrolment."""
    bulk = prepare_enrolments(folder / "turns")["bulk"]
    turns = []
    for _ in range(repeats):
        parts = {
            part: measure_alone(
                part, seconds=raw_seconds, repeats=1,
                vectors=None if part in ("decode", "embed") else folder / "vectors.npy",
                way=alone[part]["best"] if part in ("decode", "embed") else None,
            )
            for part in PARTS
        }  # fmt: skip
        run_clients(service.port, requests, clients=int(CLIENTS), seconds=WARM_UP_S)
        many = run_clients(service.port, requests, clients=int(CLIENTS), seconds=seconds)
        one = run_clients(service.port, requests, clients=1, seconds=seconds)
        longer = max(1, round(seconds)) * BULK_LONGER
        enrolled = run_clients(service.port, bulk, clients=BULK_CLIENTS, seconds=longer)
        turns.append({
            "allowed_per_s": {"raw": round(allowed_per_s(parts, RAW), 1), "own": round(allowed_per_s(parts, OWN), 1)},
            "answered_per_s": round(many.answered_per_s, 1),
            "alone_p50_ms": {"raw": round(alone_p50_ms(parts, RAW), 3), "own": round(alone_p50_ms(parts, OWN), 3)},
            "p50_ms": one.p50_ms,
            "embed_per_s": parts["embed"]["per_s"]["median"],
            "bulk_crops_per_s": round(enrolled.answered_per_s * AT_ONCE, 1),
        })  # fmt: skip
    return turns
