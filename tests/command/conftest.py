"""The `reappear` command as people run it: in a process of its own, beside a service that asks for keys."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.server import ROOT, Server

ADMIN_KEY = "an-admin-key-of-more-than-32-characters"
Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def admin_key(tmp_path: Path) -> Path:
    """A file with the first admin key."""
    path = tmp_path / "admin-key"
    path.write_text(ADMIN_KEY + "\n")
    return path


@pytest.fixture
def keyed(sqlite_template: Path, tmp_path: Path, admin_key: Path) -> Iterator[Server]:
    """A service that asks for keys."""
    (tmp_path / "reappear.db").write_bytes(sqlite_template.read_bytes())
    running = Server(
        tmp_path / "data", f"sqlite:///{tmp_path / 'reappear.db'}",
        REAPPEAR_AUTH="on", REAPPEAR_ADMIN_KEY_FILE=str(admin_key),
    )  # fmt: skip
    running.start()
    yield running
    running.stop()


@pytest.fixture
def command(keyed: Server, admin_key: Path) -> Run:
    """Runs `reappear` with the settings of the service."""
    settings = {
        **os.environ, "REAPPEAR_DATA_DIR": str(keyed.data_dir), "REAPPEAR_PORT": str(keyed.port),
        "REAPPEAR_DATABASE_URL": keyed.database_url, "REAPPEAR_ADMIN_KEY_FILE": str(admin_key), "COLUMNS": "200",
        "REAPPEAR_AUTH": "on",
    }  # fmt: skip
    return lambda *arguments, **environment: run(*arguments, **{**settings, **environment})


def run(*arguments: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    """One `reappear` command with exactly this environment."""
    return subprocess.run(
        [sys.executable, "-m", "reappear", *arguments], cwd=ROOT, env=environment, capture_output=True, text=True,
        timeout=60, check=False,
    )  # fmt: skip
