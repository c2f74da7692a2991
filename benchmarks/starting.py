"""`python -m benchmarks.starting DATA_DIR [TIMES]`: how long a service takes from the start of its process until it is
ready, and how much memory it needed for it. Without `--keep` what is in DATA_DIR/index is removed before each start, so
that all is read from the database; `benchmarks.filling` makes one.
"""

import argparse
import http.client
import json
import os
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from tests.server import ROOT, free_port

LOOK_S = 0.02
PATIENCE_S = 300


@dataclass(frozen=True, slots=True)
class Start:
    """Seconds from the start of the process to /readyz 200, crops, and the most resident memory until then."""

    ready_s: float
    crops: int
    peak_bytes: int


def start(data_dir: Path, *, stop: bool, **environment: str) -> Start:
    """Start a service on a data folder, wait until it is ready, and end it: kindly with `stop`, which lets it write a
    last snapshot, else at once."""
    port = free_port()
    settings = {"REAPPEAR_DATA_DIR": str(data_dir), "REAPPEAR_PORT": str(port), "REAPPEAR_LOG_LEVEL": "warning"}
    began = time.perf_counter()
    command = [sys.executable, "-m", "service"]
    process = subprocess.Popen(
        command, cwd=ROOT, env={**os.environ, **settings, **environment}, stdout=subprocess.DEVNULL
    )
    try:
        while (ready := _ready(port)) is None:
            if process.poll() is not None or time.perf_counter() - began > PATIENCE_S:
                raise RuntimeError(f"the service was not ready in {PATIENCE_S} s, or ended ({process.returncode})")
            time.sleep(LOOK_S)
        took_s = time.perf_counter() - began
        status = dict(line.split(":", 1) for line in Path(f"/proc/{process.pid}/status").read_text().splitlines())
        return Start(took_s, ready, int(status["VmHWM"].split()[0]) * 1024)
    finally:
        (process.terminate if stop else process.kill)()
        process.wait()


def _ready(port: int) -> int | None:
    """How many crops there are, once it is ready."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", "/readyz")
        answer = connection.getresponse()
        body = answer.read()
    except OSError:
        return None
    finally:
        connection.close()
    return int(json.loads(body)["crops"]) if answer.status == 200 else None


def main() -> int:
    """Prints one line for each start."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.starting", description=__doc__)
    parser.add_argument("data_dir", type=Path)
    parser.add_argument("times", type=int, nargs="?", default=3)
    parser.add_argument("--keep", action="store_true", help="start from the snapshots there are")
    arguments = parser.parse_args()
    for _ in range(arguments.times):
        if not arguments.keep:
            shutil.rmtree(arguments.data_dir / "index", ignore_errors=True)
        one = start(arguments.data_dir, stop=False)
        print(f"{one.crops} crops: ready after {one.ready_s:.2f} s, at most {one.peak_bytes / 1e6:.0f} MB", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
