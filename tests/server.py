"""A service in a process of its own, as it runs for users."""

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import httpx2 as httpx

ROOT = Path(__file__).resolve().parents[1]
START_TIMEOUT_S = 30


class Server:
    """`python -m service`, or with a fail point `tests.dying`, which kills itself there."""

    patience_s: float = START_TIMEOUT_S  # until it is ready, and until it has ended

    def __init__(self, data_dir: Path, database_url: str, **environment: str) -> None:
        self.data_dir = data_dir
        self.database_url = database_url
        self.log = data_dir.with_name("service.log")
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self._environment = {
            **os.environ, "REAPPEAR_DATA_DIR": str(data_dir), "REAPPEAR_DATABASE_URL": database_url,
            "REAPPEAR_PORT": str(self.port), **environment,
        }  # fmt: skip
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, *, dies_at: str | None = None, after: int = 0, armed: bool = True) -> None:
        """Start it and wait until it is ready. With `dies_at` it kills itself at that point, the `after`-th time; where
        it is not armed, only from `arm` on."""
        trigger = self.data_dir.with_name("armed")
        trigger.unlink(missing_ok=True)
        self.launch(*(() if dies_at is None else ("tests.dying", dies_at, str(after), *([] if armed else [trigger]))))
        self.wait_until_ready()

    def arm(self) -> None:
        """Let the fail point count from now on: a service also writes by itself."""
        self.data_dir.with_name("armed").touch()

    def launch(self, *module: str | Path) -> None:
        """Start it, or another module in its place, and do not wait."""
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", *(module or ("service", "--migrate"))],
                cwd=ROOT, env=self._environment, stdout=log, stderr=log,
            )  # fmt: skip

    def wait_until_ready(self) -> None:
        """Wait until /readyz says so."""
        assert self._process is not None
        deadline = time.monotonic() + self.patience_s
        with httpx.Client(base_url=self.url, timeout=5) as client:
            while time.monotonic() < deadline:
                if self._process.poll() is not None:
                    raise AssertionError(f"the service ended with {self._process.returncode}:\n{self.log.read_text()}")
                try:
                    if client.get("/readyz").status_code == 200:
                        return
                except httpx.TransportError:
                    pass
                time.sleep(0.01)
        raise AssertionError(f"the service was not ready in {self.patience_s:g} s:\n{self.log.read_text()}")

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def kill(self) -> None:
        """SIGKILL, as a power cut would."""
        assert self._process is not None
        self._process.kill()
        self._process.wait()

    def wait_for_death(self) -> int:
        """Wait until it has died by itself; returns the signal's number, negative."""
        assert self._process is not None
        return self._process.wait(timeout=self.patience_s)

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Send the signal, and wait; returns the exit status. Does nothing where it is dead already."""
        assert self._process is not None
        if self._process.poll() is None:
            self._process.send_signal(number)
        return self._process.wait(timeout=self.patience_s)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
