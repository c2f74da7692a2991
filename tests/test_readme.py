"""The README is what a newcomer follows: every command in it is run here, as written, but for the port."""

import json
import os
import re
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import httpx2 as httpx
import pytest

from service.config import ROOT, Settings
from service.embedding.onnx_model import OnnxModel
from tests.server import START_TIMEOUT_S, free_port

README = (ROOT / "README.md").read_text()
BLOCKS = re.findall(r"```bash\n(.*?)```", README, re.DOTALL)
COMMANDS = [line for block in BLOCKS for line in block.splitlines() if line]
INSTALL_TIMEOUT_S = 150


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The data folder of the service that the README starts."""
    return tmp_path_factory.mktemp("readme") / "data"


@pytest.fixture(scope="module")
def port(data_dir: Path) -> Iterator[int]:
    """`make serve` on a free port, with a data folder of its own."""
    assert "make serve" in COMMANDS
    number, folder = free_port(), data_dir.parent
    environment = {**os.environ, "REAPPEAR_PORT": str(number), "REAPPEAR_DATA_DIR": str(folder / "data")}
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            ["make", "serve"], cwd=ROOT, env=environment, stdout=log, stderr=log, start_new_session=True
        )
    try:
        _wait_until_ready(process, number, folder / "log")
        yield number
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait(timeout=START_TIMEOUT_S)
    assert f"http://127.0.0.1:{number}" in (folder / "log").read_text(), "make serve must print the address"


def test_every_command_works_as_written(port: int) -> None:
    answers = {command: _run(command, port) for command in COMMANDS if command.startswith("curl ")}
    assert len(answers) >= 8
    query = next(answer for command, answer in answers.items() if "/query?k=5" in command)
    shown = json.loads(re.search(r"```json\n(.*?)```", README, re.DOTALL).group(1))
    assert query["decision"] == shown["decision"]
    assert query["candidates"][0]["identity"] == shown["candidates"][0]["identity"]
    assert shown.keys() <= query.keys()
    assert shown["candidates"][0].keys() <= query["candidates"][0].keys()


def test_every_command_that_looks_after_it_works_as_written(port: int, data_dir: Path) -> None:
    commands = [command for command in COMMANDS if command.startswith(".venv/bin/reappear ")]
    assert len(commands) >= 6
    environment = {**os.environ, "REAPPEAR_PORT": str(port), "REAPPEAR_DATA_DIR": str(data_dir)}
    for command in commands:
        mine = command.replace(" reappear.tar", f" {data_dir.parent / 'reappear.tar'}")  # not over somebody's backup
        done = subprocess.run(mine, shell=True, cwd=ROOT, env=environment, capture_output=True, timeout=60, check=False)
        assert done.returncode == 0, f"{command}\n{done.stderr.decode()}{done.stdout.decode()}"


def test_the_default_extractor_can_be_made_again(tmp_path: Path) -> None:
    others = {command for command in COMMANDS if not command.startswith(("curl ", ".venv/bin/reappear "))}
    assert others == {"make serve", "make test", "make train-default"}
    few = f"--out {tmp_path / 'model'} --run {tmp_path / 'run'} --steps 2 2 --identities 32 32 --judged 8"
    few += " --enrolled 100 --scenes 10 10 --watched 8"
    quick = {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE_")}  # drawing is slow
    done = subprocess.run(
        ["make", "train-default", f"TRAIN={few}"],
        cwd=ROOT, env=quick, capture_output=True, timeout=INSTALL_TIMEOUT_S, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr.decode()[-2000:]
    assert OnnxModel(tmp_path / "model", provider="cpu", threads=1).manifest.output.dim == 512
    assert (tmp_path / "model" / "MODEL_CARD.md").is_file()


def test_the_table_of_settings_is_that_of_the_code() -> None:
    rows = dict(re.findall(r"^\| `REAPPEAR_(\w+)` \| (.*) \|$", README, re.MULTILINE))
    wanted = {}
    for name, field in Settings.model_fields.items():
        default = "models/default" if name == "model_dir" else str(field.default if field.default is not None else "")
        wanted[name.upper()] = f"{f'`{default}`' if default else 'empty'} | {field.description}"
    assert rows == wanted


def test_every_file_the_readme_points_to_is_there() -> None:
    links = [link for link in re.findall(r"\]\(([^)#]+)\)", README) if "://" not in link]
    assert links
    assert [link for link in links if not (ROOT / link).exists()] == []


def _run(command: str, port: int) -> dict[str, object]:
    done = subprocess.run(
        command.replace(":8000", f":{port}").replace("curl ", "curl --silent --show-error --fail ", 1),
        shell=True, cwd=ROOT, capture_output=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 0, f"{command}\n{done.stderr.decode()}{done.stdout.decode()}"
    answer: dict[str, object] = json.loads(done.stdout)
    return answer


def _wait_until_ready(process: "subprocess.Popen[bytes]", port: int, log: Path) -> None:
    deadline = time.monotonic() + INSTALL_TIMEOUT_S
    while time.monotonic() < deadline and process.poll() is None:
        try:
            if httpx.get(f"http://127.0.0.1:{port}/readyz").status_code == 200:
                return
        except httpx.TransportError:
            time.sleep(0.05)
    raise AssertionError(log.read_text())
