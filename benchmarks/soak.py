"""`make bench-soak SOAK_S=3600`: does memory stay flat under a mixed load? Queries with pictures of many sizes and
kinds, several k and filters, several pictures at once, enrolments and removals, and a look at the service's memory all
along. Into benchmarks/results/soak.json."""

import argparse
import itertools
import json
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2 as httpx
import numpy as np
from PIL import Image

from benchmarks.filling import CAMERAS, fill
from benchmarks.machine import ROOT, describe_machine, resident_bytes
from benchmarks.serving import Service
from tests.pictures import encode, person

RESULT = ROOT / "benchmarks" / "results" / "soak.json"
CLIENTS = 4
KEPT = 200  # people of each client; beyond them the oldest goes
SIZES = ((64, 32), (128, 64), (256, 128), (384, 128), (512, 256), (720, 320), (1080, 1920))  # height, width
FORMS = (("JPEG", "image/jpeg"), ("PNG", "image/png"), ("WEBP", "image/webp"))
KS = (1, 5, 10, 50, 100)
SAMPLE_S = 1.0


def main() -> int:
    """Prints the slope."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.soak", description=__doc__)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--crops", type=int, default=10_000)
    arguments = parser.parse_args()
    machine = describe_machine()  # before: hours later the files may be of another version
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        fill(f"sqlite:///{folder / 'reappear.db'}", crops=arguments.crops)
        service = Service(folder)
        service.start_timed()
        try:
            found = soak(service, arguments.seconds)
        finally:
            service.stop()
    found |= {"crops": arguments.crops, "machine": machine}
    RESULT.parent.mkdir(parents=True, exist_ok=True)
    RESULT.write_text(json.dumps(found, indent=1) + "\n")
    print(json.dumps({name: found[name] for name in ("seconds", "requests", "failed", "slope_mb_per_hour")}))
    return 0


def soak(service: Service, seconds: float) -> dict[str, Any]:
    """Load from several clients, and samples (seconds since the start, MB) of the service's resident memory."""
    done = threading.Event()
    counts: list[list[int]] = [[0, 0] for _ in range(CLIENTS)]
    pictures = make_pictures()
    clients = [
        threading.Thread(target=keep_asking, args=(service.url, number, pictures, done, counts[number]))
        for number in range(CLIENTS)
    ]
    for client in clients:
        client.start()
    samples: list[tuple[float, float]] = []
    began = time.perf_counter()
    while (now := time.perf_counter() - began) < seconds:
        samples.append((round(now, 1), round(resident_bytes(service.pid) / 1e6, 2)))
        time.sleep(min(SAMPLE_S, seconds))
    done.set()
    for client in clients:
        client.join()
    half = [sample for sample in samples if sample[0] >= seconds / 2]
    return {
        "seconds": seconds, "requests": sum(sent for sent, _ in counts), "failed": sum(bad for _, bad in counts),
        "slope_mb_per_hour": slope(half), "slope_whole_mb_per_hour": slope(samples),
        "samples": samples[:: max(1, len(samples) // 600)],
    }  # fmt: skip


def slope(samples: list[tuple[float, float]]) -> float:
    """MB an hour by least squares over (seconds, MB); 0 for fewer than two samples."""
    if len(samples) < 2:
        return 0.0
    at, mb = np.asarray(samples, float).T
    return round(float(np.polyfit(at, mb, 1)[0]) * 3600, 2)


def make_pictures() -> list[tuple[bytes, str]]:
    """(bytes, media type) of many sizes and forms."""
    return [
        (encode(np.asarray(Image.fromarray(person(seed)).resize((width, height))), form), media_type)
        for seed, ((height, width), (form, media_type)) in enumerate(itertools.product(SIZES, FORMS))
    ]


def keep_asking(
    url: str, number: int, pictures: list[tuple[bytes, str]], done: threading.Event, counts: list[int]
) -> None:
    """One client; counts requests, and those whose answer is neither 2xx nor 503."""
    with httpx.Client(base_url=url, timeout=60) as client:
        for method, path, more in requests(number, pictures):
            if done.is_set():
                return
            answer = client.request(method, path, **more)
            counts[0] += 1
            counts[1] += not (answer.is_success or answer.status_code == 503)


def requests(number: int, pictures: list[tuple[bytes, str]]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Method, path and content of one request after the other, without an end."""
    chance, enrolled = np.random.default_rng(number), 0
    while True:
        picture, media_type = pictures[chance.integers(len(pictures))]
        raw = {"content": picture, "headers": {"Content-Type": media_type}}
        k, kind = KS[chance.integers(len(KS))], chance.integers(10)
        if kind < 5:
            yield "POST", f"/query?k={k}", raw
        elif kind < 7:
            cameras = [f"camera-{one}" for one in range(1 + chance.integers(8))]
            yield "POST", "/query", {"params": {"k": str(k), "filter": json.dumps({"camera": {"in": cameras}})}, **raw}
        elif kind == 7:
            some = [pictures[place] for place in chance.integers(len(pictures), size=3)]
            yield "POST", f"/query?k={k}", {"files": [("image", ("a", one, kind)) for one, kind in some]}
        else:
            yield (
                "POST",
                f"/gallery?identity=soak-{number}-{enrolled}&camera=camera-{enrolled % CAMERAS}",
                raw_large(pictures, enrolled),
            )
            if enrolled >= KEPT:
                yield "DELETE", f"/gallery/soak-{number}-{enrolled - KEPT}", {}
            enrolled += 1


def raw_large(pictures: list[tuple[bytes, str]], place: int) -> dict[str, Any]:
    """One of the pictures that are large enough to be enrolled."""
    picture, media_type = pictures[len(FORMS) + place % (len(pictures) - len(FORMS))]
    return {"content": picture, "headers": {"Content-Type": media_type}}


if __name__ == "__main__":
    sys.exit(main())
