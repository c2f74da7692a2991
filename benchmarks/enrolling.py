"""Enrolment over HTTP, acknowledged once it is durable: one picture a request, and 32. What counts is what
was acknowledged before the time was up, and the collection is asked whether it holds that."""

from pathlib import Path
from typing import Any

from benchmarks.figures import figure
from benchmarks.generator import Run, run_clients, summarise
from benchmarks.pictures import form_request, make_pictures, raw_request, write_requests
from benchmarks.serving import Service, crops_in, read_stages, stages_between

PICTURES = 128
AT_ONCE = 32  # pictures of a request, the most there may be
LONGER = 3  # runs of bulk: requests that are on their way when the time is up do not count
TOLERANCE = 0.9  # the generator's seconds are not quite ours


def prepare_enrolments(folder: Path) -> dict[str, Path]:
    """Requests in files: `single` with one picture each, `bulk` with 32; each request makes a person of its own."""
    pictures = make_pictures(PICTURES, view=2)
    groups = [pictures[start : start + AT_ONCE] for start in range(0, PICTURES, AT_ONCE)]
    return {
        "single": write_requests(folder / "single", [raw_request("/gallery", picture) for picture in pictures]),
        "bulk": write_requests(folder / "bulk", [form_request("/gallery", "images", group) for group in groups]),
    }


def measure_enrolment(
    service: Service, requests: Path, *, clients: int, pictures: int, seconds: float, repeats: int
) -> dict[str, Any]:
    """Crops a second that were acknowledged, and latencies of requests with that many pictures. Raises RuntimeError
    where the collection holds fewer."""
    run_clients(service.port, requests, clients=clients, seconds=1)
    before = read_stages(service.url)
    runs: list[Run] = []
    rates: list[float] = []
    for _ in range(repeats):
        before_run = crops_in(service.url)
        run = run_clients(service.port, requests, clients=clients, seconds=seconds)
        acknowledged = run.answered_per_s * seconds * pictures * TOLERANCE
        if crops_in(service.url) - before_run < acknowledged:
            raise RuntimeError(f"fewer than the {acknowledged:.0f} crops that were acknowledged are there")
        runs.append(run)
        rates.append(run.answered_per_s * pictures)
    found = summarise(runs)
    return found | {
        "clients": clients, "pictures": pictures, "crops_per_s": figure(rates, 1),
        "ms_per_crop": round(found["p50_ms"]["median"] / pictures, 3) if found["p50_ms"] else None,
        "stages": stages_between(before, read_stages(service.url)),
    }  # fmt: skip


def measure_enrolments(service: Service, folder: Path, *, seconds: float, repeats: int, whole: bool) -> dict[str, Any]:
    """One client with single pictures, for the growth; `whole` adds eight clients, and bulk by one and by four."""
    requests = prepare_enrolments(folder)
    ways = {"single, 1 client": ("single", 1, 1)}
    if whole:
        ways |= {"single, 8 clients": ("single", 8, 1), "bulk, 1 client": ("bulk", 1, AT_ONCE),
                 "bulk, 4 clients": ("bulk", 4, AT_ONCE)}  # fmt: skip
    return {
        name: measure_enrolment(
            service,
            requests[kind],
            clients=clients,
            pictures=pictures,
            repeats=repeats,
            seconds=max(1, round(seconds)) * (LONGER if kind == "bulk" else 1),
        )
        for name, (kind, clients, pictures) in ways.items()
    }
