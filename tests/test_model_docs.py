"""docs/model.md leads from pictures to a service: every command in it is run here, as written, but for ports."""

import json
import os
import re
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import httpx2 as httpx
import pytest

from service.config import ROOT
from tests.models.foreign import Made, write
from tests.server import START_TIMEOUT_S, free_port

PAGE = (ROOT / "docs" / "model.md").read_text()
COMMANDS = [line for block in re.findall(r"```bash\n(.*?)```", PAGE, re.DOTALL) for line in block.splitlines() if line]
ELSEWHERE = {  # commands that are shown and run by other tests
    "make .venv/train": "tests/test_readme.py, before it trains",
    "make train-default": "tests/test_readme.py",
    ".venv/bin/python -m reappear model pull youtureid --out downloads": "tests/command/test_model.py",
}
WRITTEN = re.compile(r"--(?:out|sheet|json|ranked) (\S+)")
WALK_S = 300  # that a reader is promised, of one core
COMMAND_TIMEOUT_S = 180


@pytest.fixture
def desk(tmp_path: Path) -> Path:
    """A folder that looks like a checkout from within, so that the walk leaves nothing in the real one."""
    (tmp_path / ".venv").symlink_to(sys.prefix)
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "default").symlink_to(ROOT / "models" / "default")
    (tmp_path / "downloads").mkdir()
    outside = write(Made(size=(None, None), output="2d"), tmp_path / "downloads")
    outside.rename(tmp_path / "downloads" / "person_reid_youtu_2021nov.onnx")  # stands in for the file of 107 MB
    return tmp_path


@pytest.mark.timeout(4 * WALK_S)
def test_every_command_works_as_written_and_the_walk_is_as_short_as_promised(desk: Path) -> None:
    before, port, answers = spent_s(), 0, []
    with ExitStack() as running:
        for command in COMMANDS:
            if "-m service" in command:
                port = running.enter_context(served(command, desk, "REAPPEAR_PORT", "/readyz"))
            elif "-m tensorboard" in command:
                with served(command, desk, "", "/"):
                    pass
            else:
                if "models import" in command:
                    command += " --as-told"  # the stand-in never learned: nothing is told by what it finds
                answers.append(run(command.replace(":8000", f":{port}"), desk))
            missing = [
                path for path in WRITTEN.findall(command) if not ("--check" in command or (desk / path).exists())
            ]
            assert not missing, f"{command}\nleft no {missing}"
    assert spent_s() - before < WALK_S
    query = json.loads(answers[next(k for k, text in enumerate(answers) if '"candidates"' in text)])
    assert query["candidates"][0]["identity"] == "p-0041"
    assert json.loads((desk / "build/small.json").read_text())["mean_ap"] > 0.08, "no better than a histogram's 0.06"
    for path in ("build/small/preview.png", "runs/small/rate.png", "runs/small/report.html", "runs/search/tune.html",
                 "runs/finer/best.pt", "models/mine/MODEL_CARD.md"):  # fmt: skip
        assert (desk / path).is_file(), path
    assert '"precision": "fp16"' in (desk / "models/mine-fp16/manifest.json").read_text()


def test_a_command_that_is_shown_and_not_run_here_is_run_elsewhere() -> None:
    shown = [line for block in re.findall(r"```sh\n(.*?)```", PAGE, re.DOTALL) for line in block.splitlines()]
    assert set(shown) == ELSEWHERE.keys()
    assert set(re.findall(r"```(\w+)\n", PAGE)) == {"bash", "sh"}


def test_the_readme_shows_commands_of_this_page_only() -> None:
    section = re.search(r"## A model of your own\n(.*?)\n## ", (ROOT / "README.md").read_text(), re.DOTALL)
    assert section
    shown = re.search(r"```sh\n(.*?)```", section[1], re.DOTALL)
    assert shown
    assert [line for line in shown[1].splitlines() if line not in {*COMMANDS, *ELSEWHERE}] == []
    assert "](docs/model.md)" in section[1]


def test_every_file_and_command_the_page_names_is_there() -> None:
    links = [link for link in re.findall(r"\]\(([^)#]+)\)", PAGE) if "://" not in link]
    assert [link for link in links if not (ROOT / "docs" / link).exists()] == []
    told = subprocess.run([sys.executable, "-m", "models", "--help"], cwd=ROOT, capture_output=True, check=True)
    commands = re.findall(r"^│ ([a-z][a-z-]+) ", told.stdout.decode(), re.MULTILINE)
    assert len(commands) >= 11
    assert [name for name in commands if f"-m models {name} " not in PAGE] == []


def run(command: str, desk: Path) -> str:
    """What the command prints."""
    done = subprocess.run(
        command.replace("curl ", "curl --silent --show-error --fail ", 1),
        shell=True, cwd=desk, env=environment(), capture_output=True, text=True, timeout=COMMAND_TIMEOUT_S, check=False,
    )  # fmt: skip
    assert done.returncode == 0, f"{command}\n{done.stderr[-2000:]}{done.stdout[-2000:]}"
    return done.stdout


@contextmanager
def served(command: str, desk: Path, variable: str, path: str) -> Iterator[int]:
    """The command, which serves until it is stopped, on a free port, once it answers there with 200."""
    port, log = free_port(), desk / "log"
    where = {variable: str(port)} if variable else {}
    with log.open("wb") as file:
        process = subprocess.Popen(
            command if variable else f"{command} --port {port}",
            shell=True, cwd=desk, env=environment() | where, stdout=file, stderr=file, start_new_session=True,
        )  # fmt: skip
    try:
        deadline = time.monotonic() + START_TIMEOUT_S
        while not answers_at(f"http://127.0.0.1:{port}{path}"):
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.1)
        yield port
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait(timeout=START_TIMEOUT_S)


def answers_at(url: str) -> bool:
    try:
        return httpx.get(url, timeout=5).status_code == 200
    except httpx.TransportError:
        return False


def environment() -> dict[str, str]:
    """This one, for the code of this checkout; no coverage, which makes drawing slow; idle threads do not spin."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE_")}
    return {**kept, "PYTHONPATH": str(ROOT), "OMP_WAIT_POLICY": "PASSIVE"}


def spent_s() -> float:
    """Seconds of processor time that finished children of this process took."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime
