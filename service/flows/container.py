"""What a container may use of the machine, where cgroup v2 says so."""

from pathlib import Path

CGROUP = Path("/sys/fs/cgroup")


def memory_of(cgroup: Path) -> tuple[float, float]:
    """Bytes that count against the limit, temporary files in memory included, and the limit; past it processes are
    killed. Both NaN where there is no limit. Of the page cache, which goes before anything is killed, the inactive part
    is left out, as container runtimes do."""
    try:
        limit = int((cgroup / "memory.max").read_text())  # or `max`
        current = int((cgroup / "memory.current").read_text())
        parts = dict(line.split() for line in (cgroup / "memory.stat").read_text().splitlines())
        return float(current - int(parts["inactive_file"])), float(limit)
    except (OSError, ValueError, KeyError):
        return float("nan"), float("nan")
