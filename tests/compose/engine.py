"""The engine that containers of these tests run on: the one that is there, else one that a script starts for root."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.conftest import ROOT

START_TIMEOUT_S = 600


class NoEngine(Exception):
    """There is none, and none can be started; says why."""


def docker(*arguments: str | Path, check: bool = True, timeout_s: float = 120) -> str:
    """What `docker …` prints. Raises AssertionError with what it complains of."""
    done = subprocess.run(["docker", *arguments], capture_output=True, text=True, timeout=timeout_s, check=False)
    if check and done.returncode != 0:
        raise AssertionError(f"docker {' '.join(map(str, arguments))} ended with {done.returncode}:\n{done.stderr}")
    return done.stdout.strip()


@contextmanager
def engine() -> Iterator[None]:
    """An engine that answers; one that was started here is stopped again. Raises NoEngine."""
    if _answers():
        yield
        return
    script = Path(os.environ.get("REAPPEAR_TEST_DOCKER_ENGINE") or ROOT.parent / "shared/tools/docker-engine.sh")
    if os.geteuid() != 0:
        raise NoEngine("no Docker engine answers, and only root can start one")
    if not script.is_file():
        raise NoEngine("no Docker engine answers, and REAPPEAR_TEST_DOCKER_ENGINE names no script that starts one")
    started = subprocess.run([script, "all"], capture_output=True, text=True, timeout=START_TIMEOUT_S, check=False)
    try:
        if started.returncode != 0 or not _answers():
            raise NoEngine(f"{script.name} could not start an engine: {started.stderr.strip()[-500:]}")
        yield
    finally:
        subprocess.run([script, "down"], capture_output=True, timeout=START_TIMEOUT_S, check=False)


def _answers() -> bool:
    try:
        return subprocess.run(["docker", "info"], capture_output=True, timeout=30, check=False).returncode == 0
    except (OSError, subprocess.TimeoutExpired):
        return False
