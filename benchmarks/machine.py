"""The machine that figures are measured on, and what a process takes of it. Knows nothing of what is measured."""

import os
import platform
import re
import shutil
import subprocess
import time
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from service.config import usable_cores

ROOT = Path(__file__).resolve().parents[1]
WORK = ROOT / "build" / "bench"  # galleries and requests; nothing in it is needed afterwards
LIBRARIES = ("numpy", "faiss-cpu", "faiss-gpu-cuvs", "faiss-gpu", "onnxruntime", "onnxruntime-gpu", "simplejpeg",
             "pillow", "fastapi", "starlette", "uvicorn", "httptools", "pydantic", "sqlalchemy", "orjson")  # fmt: skip
PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
IDLE_S, IDLE_SHARE = 0.2, 0.2  # of a core, over so long: a service that nobody asks takes less
TICKS_PER_S = os.sysconf("SC_CLK_TCK")


def describe_machine() -> dict[str, Any]:
    """CPU, cores, memory and versions, and the load average before anything was measured."""
    return {
        "cpu": _first(r"^model name\s*: (.*)$", "/proc/cpuinfo") or platform.machine(),
        "cores": usable_cores(),
        "memory_gb": round(int(_first(r"^MemTotal:\s*(\d+)", "/proc/meminfo") or 0) / 2**20, 1),
        "memory_free_gb": round(int(_first(r"^MemAvailable:\s*(\d+)", "/proc/meminfo") or 0) / 2**20, 1),
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "libraries": {name: found for name in LIBRARIES if (found := _version(name))},
        "load_average": round(os.getloadavg()[0], 2),
        "commit": commit(),
        "measured_at": time.strftime("%Y-%m-%d %H:%M"),
    }


def resident_bytes(pid: int) -> int:
    """Memory of a process that is in RAM now."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * PAGE_BYTES


def anonymous_bytes(pid: int) -> int:
    """The part of it that is no file's: pages of a mapped file can be dropped whenever memory is short."""
    return int(_first(r"^RssAnon:\s*(\d+)", f"/proc/{pid}/status") or 0) * 1024


def cpu_seconds(pid: int) -> float:
    """CPU time of a process so far, user and system."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS_PER_S


def wait_until_idle(pid: int, *, patience_s: float = 300) -> None:
    """Until a process has answered what clients asked for before they left; it would take the cores from whoever is
    measured next. Raises TimeoutError."""
    deadline = time.monotonic() + patience_s
    while time.monotonic() < deadline:
        before = cpu_seconds(pid)
        time.sleep(IDLE_S)
        if cpu_seconds(pid) - before <= IDLE_SHARE * IDLE_S:
            return
    raise TimeoutError(f"process {pid} is still busy after {patience_s:g} s")


def ensure_wrk() -> str | None:
    """Where wrk is, installed from the distribution where that is possible; None where it is not."""
    found = shutil.which("wrk")
    if found is None and os.geteuid() == 0 and shutil.which("apt-get"):
        for command in (["apt-get", "install", "-qq", "-y", "wrk"], ["apt-get", "update", "-qq"]) * 2:
            subprocess.run(command, capture_output=True, check=False)
            if found := shutil.which("wrk"):
                break
    return found


def _first(pattern: str, path: str) -> str:
    try:
        found = re.search(pattern, Path(path).read_text(), re.MULTILINE)
    except OSError:
        return ""
    return found[1].strip() if found else ""


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


@cache
def commit() -> str:
    """The version of this tree when it was first asked for, "-dirty" where it was changed since."""
    asked = subprocess.run(
        ["git", "describe", "--always", "--dirty"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    return asked.stdout.strip() or "unknown"
