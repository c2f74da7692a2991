"""A stack of its own: a copy of the files that compose needs, and a name, port and volumes that nobody else has."""

import json
import os
import shutil
import subprocess
import time
import uuid
from pathlib import Path

import httpx2 as httpx

from tests.compose.engine import docker
from tests.conftest import ROOT
from tests.server import free_port

PARTS = (".dockerignore", "LICENSE", "constraints.txt", "docker", "docker-compose.yml", "migrations", "models/default",
         "pyproject.toml", "reappear", "service")  # fmt: skip
UP_TIMEOUT_S = 300
READY_TIMEOUT_S = 60
KILL = "import os, sys; os.kill(int(sys.argv[1]), 9)"


class Stack:
    """Runs compose in the copy, as an operator does in a checkout."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.name = f"reappear-test-{uuid.uuid4().hex[:8]}"
        self.image = f"{self.name}:test"
        self.port = free_port()
        self.environment = {
            **os.environ, "COMPOSE_PROJECT_NAME": self.name, "DEPLOY_PORT": str(self.port), "DEPLOY_IMAGE": self.image,
        }  # fmt: skip
        for part in PARTS:
            source, target = ROOT / part, folder / part
            target.parent.mkdir(parents=True, exist_ok=True)
            if source.is_dir():
                shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copy(source, target)

    def shell(self, command: str) -> str:
        """What a command prints that is run in the copy; it must succeed."""
        done = self._run(["sh", "-c", command])
        assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}\n{self.logs()}"
        return done.stdout

    def compose(self, *arguments: str) -> str:
        """What `docker compose …` prints; it must succeed."""
        done = self.try_compose(*arguments)
        assert done.returncode == 0, f"docker compose {' '.join(arguments)}\n{done.stderr}\n{self.logs()}"
        return done.stdout

    def try_compose(self, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        """`docker compose …`, whatever comes of it."""
        return self._run(["docker", "compose", *arguments], **environment)

    def logs(self) -> str:
        """The last lines of all containers."""
        return self._run(["docker", "compose", "logs", "--no-color", "--tail", "30"]).stdout

    def http(self) -> httpx.Client:
        """A client that has the admin key."""
        key = (self.folder / "secrets" / "admin_key").read_text()
        address = f"http://127.0.0.1:{self.port}"
        return httpx.Client(base_url=address, headers={"Authorization": f"Bearer {key}"}, timeout=30)

    def inspect(self, service: str) -> dict:
        """What the engine knows of the container of a service, ended ones included."""
        number = self.compose("ps", "--all", "--quiet", service).strip()
        (found,) = json.loads(docker("inspect", number))
        return found

    def run_python(self, code: str) -> str:
        """What a line of Python prints in the container that migrates, which has the database and the data folder."""
        run = ("run", "--rm", "--no-deps", "--no-TTY", "--entrypoint", "python", "migrate", "-c", code)
        return self.compose(*run).strip()

    def kill(self, service: str) -> None:
        """SIGKILL from outside the engine, as the kernel does when memory runs out: `docker kill` would count as a
        stop that somebody wanted, after which the container is not started again."""
        process = str(self.inspect(service)["State"]["Pid"])
        outside = ("--pid=host", "--network=none", "--user=0", "--entrypoint=python")
        docker("run", "--rm", *outside, self.image, "-c", KILL, process)

    def wait_until_ready(self) -> float:
        """Wait until the service answers /readyz with 200; returns for how many seconds it was waited."""
        begun = time.monotonic()
        answer = ""
        while time.monotonic() - begun < READY_TIMEOUT_S:
            try:
                answer = httpx.get(f"http://127.0.0.1:{self.port}/readyz", timeout=5).text
                if answer.startswith('{"ready":true'):
                    return time.monotonic() - begun
            except httpx.TransportError as error:
                answer = repr(error)
            time.sleep(0.05)
        raise AssertionError(f"not ready in {READY_TIMEOUT_S} s: {answer}\n{self.logs()}")

    def take_down(self) -> None:
        """Remove containers, networks, volumes and the image."""
        self._run(["docker", "compose", "--profile", "*", "down", "--volumes", "--remove-orphans", "--timeout", "5"])
        docker("image", "rm", "--force", self.image, check=False)

    def _run(self, command: list[str], **environment: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            command, cwd=self.folder, env={**self.environment, **environment}, stdin=subprocess.DEVNULL,
            capture_output=True, text=True, timeout=UP_TIMEOUT_S, check=False,
        )  # fmt: skip
