"""A real Prometheus on the configuration of the profile `monitoring`, pointed at the stack, for where its image cannot
be had but its program can."""

import shutil
import subprocess
import time
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType

import httpx2 as httpx

from tests.conftest import ROOT
from tests.server import free_port

START_TIMEOUT_S = 60
FETCH_TIMEOUT_S = 120
FILES = ROOT / "docker" / "prometheus"


def find_programs(folder: Path) -> Path | None:
    """The folder with `prometheus` and `promtool`: as installed, else unpacked from Debian's package, else None."""
    if (installed := shutil.which("promtool")) and shutil.which("prometheus"):
        return Path(installed).parent
    fetch = ["sh", "-c", "apt-get download prometheus && dpkg --extract prometheus_*.deb ."]
    try:
        done = subprocess.run(fetch, cwd=folder, capture_output=True, timeout=FETCH_TIMEOUT_S, check=False)
    except subprocess.TimeoutExpired:
        return None
    return folder / "usr" / "bin" if done.returncode == 0 else None


class Prometheus:
    """Runs for as long as the block lasts, and looks every second."""

    def __init__(self, program: Path, folder: Path, target: str) -> None:
        self._folder = folder
        self._url = f"http://127.0.0.1:{free_port()}"
        config = (FILES / "prometheus.yml").read_text()
        assert config.count("reappear:8000") == 1
        config = config.replace("reappear:8000", target).replace("_interval: 15s", "_interval: 1s")
        (folder / "prometheus.yml").write_text(config)
        shutil.copy(FILES / "alerts.yml", folder)
        self._command = [
            program, f"--config.file={folder}/prometheus.yml", f"--storage.tsdb.path={folder}/data",
            f"--web.listen-address={self._url.removeprefix('http://')}",
        ]  # fmt: skip

    def __enter__(self) -> "Prometheus":
        with (self._folder / "log").open("wb") as log:
            self._process = subprocess.Popen(self._command, stdout=log, stderr=log)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.terminate()
        self._process.wait(timeout=START_TIMEOUT_S)

    def wait_for_rules(self) -> list[dict]:
        """The rules, once each was evaluated after the target was scraped for the first time."""
        deadline = time.monotonic() + START_TIMEOUT_S
        scraped = None
        while time.monotonic() < deadline:
            try:
                scraped = scraped or (datetime.now(UTC) if self.ask("up") else None)
                rules = self._get("rules")["groups"][0]["rules"]
            except httpx.TransportError:
                rules = []
            if scraped and rules and all(datetime.fromisoformat(rule["lastEvaluation"]) > scraped for rule in rules):
                return rules
            time.sleep(0.2)
        raise AssertionError((self._folder / "log").read_text())

    def ask(self, expression: str) -> list[str]:
        """The values that an expression has now."""
        return [one["value"][1] for one in self._get("query", query=expression)["result"]]

    def _get(self, what: str, **parameters: str) -> dict:
        answer = httpx.get(f"{self._url}/api/v1/{what}", params=parameters, timeout=10)
        if answer.status_code == 503:  # it is starting
            return {"result": [], "groups": [{"rules": []}]}
        assert answer.status_code == 200, answer.text
        return answer.json()["data"]
