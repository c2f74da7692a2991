import os
import re
import stat
import subprocess
import sys
import threading
import tomllib
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from tests.conftest import ROOT
from tests.docker.conftest import DOCKER

DOCKERFILE = (DOCKER / "Dockerfile").read_text()
SECRETS = ("database_password", "admin_key", "grafana_password")


def test_the_last_target_is_the_one_for_the_cpu() -> None:
    targets = re.findall(r"^FROM \S+ AS (\S+)$", DOCKERFILE, re.MULTILINE)
    assert targets[-1] == "cpu"
    assert "gpu" in targets
    assert len(targets) == len(re.findall(r"^FROM", DOCKERFILE, re.MULTILINE)), "every stage has a name"


def test_every_target_ends_under_a_user_that_is_not_root() -> None:
    users = re.findall(r"^USER (\S+)$", DOCKERFILE, re.MULTILINE)
    assert users == ["10001:10001", "root", "10001:10001"], "root only to tell the loader of the CUDA libraries"
    assert DOCKERFILE.index("USER root") < DOCKERFILE.rindex("USER 10001:10001") < DOCKERFILE.index("AS cpu")


def test_the_build_is_pinned_and_fetches_nothing_by_hand() -> None:
    assert re.search(r"^ARG PYTHON_IMAGE=python:3\.\d+-slim-\w+$", DOCKERFILE, re.MULTILINE)
    assert set(re.findall(r"^FROM (\S+)", DOCKERFILE, re.MULTILINE)) == {"${PYTHON_IMAGE}", "install", "base"}
    assert not re.search(r"\b(curl|wget|apt-get|ADD)\b.*http", DOCKERFILE)
    for line in (DOCKER / "constraints-gpu.txt").read_text().splitlines():
        assert line.startswith("#") or re.fullmatch(r"[\w-]+==[\d.]+", line)


def test_the_builder_sees_only_what_an_image_is_made_of() -> None:
    rules = [line for line in (ROOT / ".dockerignore").read_text().splitlines() if not line.startswith("#")]
    assert rules[0] == "*"
    allowed = {rule[1:] for rule in rules[1:] if rule.startswith("!")}
    copied = re.findall(r"^COPY (?!--from)(.*) \S+$", DOCKERFILE, re.MULTILINE)
    assert {source for line in copied for source in line.split()} == allowed


def print_requirements(extra: str) -> subprocess.CompletedProcess[bytes]:
    command = [sys.executable, DOCKER / "requirements.py", extra]
    return subprocess.run(command, cwd=ROOT, capture_output=True, check=False)


@pytest.mark.parametrize("extra", ["cpu", "gpu", "gpu-cuda12"])
def test_an_image_gets_the_requirements_of_its_extra_and_no_torch(extra: str) -> None:
    done = subprocess.run(
        [sys.executable, DOCKER / "requirements.py", extra], cwd=ROOT, capture_output=True, check=True
    )
    printed = done.stdout.decode().split()
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert printed == [*project["dependencies"], *project["optional-dependencies"][extra]]
    assert not any(line.startswith("torch") for line in printed)


def test_an_extra_that_does_not_exist_ends_the_build() -> None:
    done = subprocess.run(
        [sys.executable, DOCKER / "requirements.py", "tpu"], cwd=ROOT, capture_output=True, check=False
    )
    assert done.returncode == 1
    assert b"choose one of cpu, gpu, gpu-cuda12" in done.stderr


class _Answer(BaseHTTPRequestHandler):
    status = 200

    def do_GET(self) -> None:
        body = b'{"error": "LOADING"}'
        self.send_response(self.status if self.path == "/readyz" else 404)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def port() -> Iterator[int]:
    with ThreadingHTTPServer(("127.0.0.1", 0), _Answer) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server.server_port
        server.shutdown()
        thread.join()


def healthy(port: int) -> subprocess.CompletedProcess[bytes]:
    environment = {**os.environ, "REAPPEAR_PORT": str(port)}
    return subprocess.run(
        [sys.executable, "-IS", DOCKER / "healthy.py"], env=environment, capture_output=True, timeout=30, check=False
    )


def test_the_health_check_is_well_only_when_ready(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    assert healthy(port).returncode == 0
    monkeypatch.setattr(_Answer, "status", 503)
    done = healthy(port)
    assert done.returncode == 1
    assert b"LOADING" in done.stderr


def test_the_health_check_fails_where_nobody_answers() -> None:
    done = healthy(1)
    assert done.returncode == 1
    assert b"no answer" in done.stderr


def make_secrets(folder: Path) -> dict[str, str]:
    subprocess.run([DOCKER / "secrets.sh", folder], check=True, capture_output=True, timeout=60)
    return {name: (folder / "secrets" / name).read_text() for name in SECRETS}


def test_secrets_are_strong_different_and_closed_to_others(tmp_path: Path) -> None:
    made = make_secrets(tmp_path)
    assert len(set(made.values())) == len(SECRETS)
    for name, secret in made.items():
        assert re.fullmatch(r"[A-Za-z0-9]{43}", secret)
        assert stat.S_IMODE((tmp_path / "secrets" / name).stat().st_mode) == 0o444, "containers have other users"
    assert stat.S_IMODE((tmp_path / "secrets").stat().st_mode) == 0o700
    assert {path.name for path in (tmp_path / "secrets").iterdir()} == set(SECRETS)
    lines = (tmp_path / ".env").read_text().splitlines()
    assert lines == [f"{name.upper()}_FILE={tmp_path}/secrets/{name}" for name in SECRETS]


def test_a_last_line_that_was_not_ended_stays_as_it_is(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("COMPOSE_PROFILES=gpu\nDEPLOY_CPU_REPLICAS=0")
    make_secrets(tmp_path)
    lines = (tmp_path / ".env").read_text().splitlines()
    assert lines[:2] == ["COMPOSE_PROFILES=gpu", "DEPLOY_CPU_REPLICAS=0"]
    assert len(lines) == 2 + len(SECRETS)


def test_secrets_that_are_there_stay(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("ADMIN_KEY_FILE=/elsewhere/key\nDEPLOY_PORT=80\n")
    made = make_secrets(tmp_path)
    (tmp_path / "secrets" / "grafana_password").unlink()
    again = make_secrets(tmp_path)
    assert {name for name in SECRETS if made[name] != again[name]} == {"grafana_password"}
    lines = (tmp_path / ".env").read_text().splitlines()
    assert lines[:2] == ["ADMIN_KEY_FILE=/elsewhere/key", "DEPLOY_PORT=80"]
    assert len(lines) == 4
