"""`python -m benchmarks.overload`: what becomes of requests when four times as many come as can be served.

Capacity is what clients that wait for their answers get; then requests come at four times that rate, whatever is
answered. All is measured in one run, so that its ratios hold on a machine that others use as well.
"""

import json
import os
import platform
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import httpx2 as httpx

from service.db.schema import upgrade
from tests.fuzz.grinder import resident_bytes
from tests.pictures import jpeg
from tests.server import Server

ROOT = Path(__file__).resolve().parents[1]
RESULT = ROOT / "benchmarks" / "results" / "overload.json"
PEOPLE = 200
CLIENTS = 32
SECONDS = float(os.environ.get("BENCH_S", "8"))
TIMES = 4
SIZE = {"height": 256, "width": 128}
JPEG = {"Content-Type": "image/jpeg"}
MOST_REFUSAL_MS = 50.0
MOST_TAIL = 3.0
MOST_GROWTH = 1.5  # memory after the second flood over that after the first


def main() -> int:
    """Prints a table and writes JSON. Exit status 1 where a demand does not hold."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        url = f"sqlite:///{folder / 'reappear.db'}"
        upgrade(url)
        server = Server(folder / "data", url, REAPPEAR_LOG_LEVEL="info")
        server.start()
        try:
            result = measure(server, folder)
        finally:
            server.stop()
    RESULT.parent.mkdir(parents=True, exist_ok=True)
    RESULT.write_text(json.dumps(result, indent=2) + "\n")
    for line in result["demands"]:
        print(f"{'holds' if line['holds'] else 'FAILS':6} {line['what']}: {line['value']} (at most {line['bound']})")
    print(json.dumps({name: result[name] for name in ("capacity", "flood", "afterwards", "machine")}, indent=2))
    return 0 if all(line["holds"] for line in result["demands"]) else 1


def measure(server: Server, folder: Path) -> dict[str, Any]:
    """Enrol, find the capacity, flood twice, look whether all is as before."""
    pictures = folder / "pictures"
    pictures.mkdir()
    with httpx.Client(base_url=server.url, timeout=60) as client:
        for number in range(PEOPLE):
            enrolled = client.post(f"/gallery?identity=p-{number}", content=jpeg(number, **SIZE), headers=JPEG)
            assert enrolled.status_code == 201, enrolled.text
            (pictures / f"{number:04d}.jpg").write_bytes(jpeg(number, view=1, **SIZE))
    load(server, pictures, seconds=2, clients=CLIENTS)
    capacity = load(server, pictures, seconds=SECONDS, clients=CLIENTS)
    rate = TIMES * capacity["answered_per_s"]
    before = resident_bytes(server.pid)
    load(server, pictures, seconds=SECONDS / 2, rate=rate, clients=CLIENTS)
    between = resident_bytes(server.pid)
    flood = load(server, pictures, seconds=SECONDS, rate=rate, clients=CLIENTS)
    after = resident_bytes(server.pid)
    afterwards = load(server, pictures, seconds=SECONDS / 2, clients=CLIENTS)
    tail = flood["accepted"]["p99_ms"] / capacity["accepted"]["p99_ms"]
    refused = flood["statuses"].get("503", 0)  # without any nothing is shown of how they are refused
    odd = {status: count for status, count in flood["statuses"].items() if status not in ("200", "503")}
    return {
        "demands": [
            _demand("refusals, p50, ms", flood["refused"]["p50_ms"] if refused else None, MOST_REFUSAL_MS),
            _demand("refusals, p99, ms", flood["refused"]["p99_ms"] if refused else None, MOST_REFUSAL_MS),
            _demand("p99 of accepted requests over p99 at capacity", round(tail, 2), MOST_TAIL),
            _demand("memory after the second flood over that after the first", round(after / between, 3), MOST_GROWTH),
            _demand("answers that are neither 200 nor 503 with Retry-After", sum(odd.values())
                    + flood["without_retry_after"], 0),
        ],
        "offered_per_s": rate, "capacity": capacity, "flood": flood, "afterwards": afterwards,
        "resident_mb": {"before": before // 10**6, "after one": between // 10**6, "after two": after // 10**6},
        "machine": {"cores": os.cpu_count(), "cpu": _cpu_model(), "load_average": os.getloadavg()[0]},
        "measured_at": time.strftime("%Y-%m-%d"),
    }  # fmt: skip


def load(server: Server, pictures: Path, **values: float) -> dict[str, Any]:
    """Run the generator in a process of its own; what it reports, and the share of a core it took."""
    options = [text for name, value in values.items() for text in (f"--{name}", str(value))]
    command = [sys.executable, "-m", "benchmarks.load", "--port", str(server.port), "--pictures", str(pictures)]
    ended = subprocess.run([*command, *options], cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True)
    found: dict[str, Any] = json.loads(ended.stdout)
    found["generator_cores"] = round(found["generator_cpu_s"] / values["seconds"], 3)
    return found


def _demand(what: str, value: float | None, bound: float) -> dict[str, Any]:
    return {"what": what, "value": value, "bound": bound, "holds": value is not None and value <= bound}


def _cpu_model() -> str:
    names = re.findall(r"^model name\s*: (.*)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    return names[0] if names else platform.machine()


if __name__ == "__main__":
    sys.exit(main())
