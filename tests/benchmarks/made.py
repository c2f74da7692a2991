"""Results as a run writes them, with figures made up."""

from typing import Any


def figure(value: float) -> dict[str, float]:
    return {"median": value, "min": value * 0.9, "max": value * 1.1, "runs": 3}


def run(rate: float, p50_ms: float) -> dict[str, Any]:
    return {
        "answered_per_s": figure(rate), "p50_ms": figure(p50_ms), "p90_ms": figure(p50_ms * 2),
        "p99_ms": figure(p50_ms * 3), "generator_cores": figure(0.1), "refused": 0, "broken": 0, "service_cores": 1.5,
        "stages": {
            stage: {"count": 9, "mean_ms": 1.5, "histogram": {"2": 9}}
            for stage in ("decode", "embed", "search", "join")
        },
    }  # fmt: skip


def alone(embed_per_s: float = 1000.0, search_32_ms: float = 8.0) -> dict[str, Any]:
    """Decode 4,000 a second, the network 1,000, search 4,000 (32 in 8 ms): together they allow 666.7."""
    queries = {
        number: {"best_ms": figure(search_32_ms * share), "defaults_ms": figure(30.0 * share), "best": "defaults"}
        for number, share in (("1", 0.125), ("8", 0.5), ("32", 1.0))
    }
    return {
        "decode": {"per_s": figure(4000.0), "p50_ms": 0.25, "best": "scaled"},
        "embed": {"per_s": figure(embed_per_s), "p50_ms": 1.5, "best": "2 threads, batch 8"},
        "faiss": {"rows": 1, "queries": queries}, "sgemm": {"rows": 1, "queries": queries},
        "index": {"rows": 1, "same_results": True, "bytes": 1, "queries": {
            number: {"best_ms": figure(10.0 * share)} for number, share in (("1", 0.125), ("8", 0.5), ("32", 1.0))
        }},
    }  # fmt: skip


def turn(rate: float, p50_ms: float, machine: float = 1.0) -> dict[str, Any]:
    """What the parts and the service gave on a machine that is so many times as fast as it usually is."""
    return {
        "allowed_per_s": {"raw": 500.0 * machine, "own": 600.0 * machine}, "answered_per_s": rate * machine,
        "alone_p50_ms": {"raw": 2.75, "own": 2.5}, "p50_ms": p50_ms,
    }  # fmt: skip


def gallery(crops: int, *, rate: float = 600.0, p50_ms: float = 4.0) -> dict[str, Any]:
    memory = {"resident_mb": 400.0, "anonymous_mb": 350.0, "bound_mb": 500.0, "vectors_mb": 204.8, "crops": crops}
    return {
        "crops": crops, "generator": "wrk", "load_average": 0.1, "measured_at": "2026-01-01 00:00", "alone": alone(),
        "first_start_s": 2.0, "restart": {"stop_s": figure(0.2), "ready_s": figure(crops / 40_000)},
        "memory": {"ready": memory, "after_load": memory}, "latency": run(200.0, p50_ms),
        "turns": [turn(450.0, 4.0), turn(500.0, 9.0), turn(150.0, 3.5, machine=0.1)],
        "bulk_turns": [{"embed_per_s": 1000.0, "bulk_crops_per_s": 650.0}],
        "by_k": {str(k): run(100.0, 5.0) for k in (1, 10, 100)},
        "filters": {cameras: run(100.0, 5.0) for cameras in ("1", "16")},
        "load": {
            who: {
                kind: {clients: run(rate, 20.0) for clients in ("1", "8", "32", "128")} for kind in ("raw", "multipart")
            }
            for who in ("service", "naive")
        },
        "enrolment": {
            "single, 1 client": run(90.0, 10.0) | {"crops_per_s": figure(90.0), "ms_per_crop": 10.0},
            "bulk, 4 clients": run(20.0, 200.0) | {"crops_per_s": figure(650.0), "ms_per_crop": 6.0},
        },
    }  # fmt: skip


def results() -> dict[str, Any]:
    flood = {
        "answered_per_s": 300.0,
        "accepted": {"p50_ms": 1.0, "p99_ms": 2.0},
        "refused": {"p50_ms": 1.0, "p99_ms": 2.0},
    }
    return {
        "format": 1, "quick": False, "generator": "wrk", "took_s": 60.0,
        "machine": {
            "cpu": "a processor", "cores": 2, "memory_gb": 8.0, "memory_free_gb": 7.0, "system": "Linux",
            "python": "3.11", "libraries": {"numpy": "2"}, "load_average": 0.1, "commit": "abc",
            "measured_at": "2026-01-01 00:00",
        },
        "pauses": {
            kind: {
                "pause_ms": figure(pause_ms), "meanwhile_ms": {"searches": 900, "max": 19.0},
                "idle_ms": {"searches": 9, "max": 4.0},
            }
            for kind, pause_ms in (("exact", 9.0), ("IVF", 17.0))
        },
        "galleries": {str(crops): gallery(crops) for crops in (1_000, 10_000, 100_000, 1_000_000)},
        "overload": {
            "demands": [
                {"what": "refusals, p99, ms", "value": 60.0, "bound": 50.0, "holds": False},
                {"what": "answers that are neither 200 nor 503", "value": 0, "bound": 0, "holds": True},
                {"what": "p99 of accepted requests over p99 at capacity", "value": 2.5, "bound": 3.0, "holds": True},
            ],
            "capacity": flood, "flood": flood, "afterwards": flood,
        },
    }  # fmt: skip
