"""What keeps a service from starting, each with its reason; and what it takes from the one before it."""

import json
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import onnxruntime
import pytest
from fastapi.testclient import TestClient
from sqlalchemy import text

from service.app import create_app
from service.config import Settings
from service.db.engine import make_engine, parse_url
from service.db.schema import downgrade, upgrade
from service.errors import DatabaseRefused, FolderRefused, ModelRefused, StartRefused
from service.store.lock import FolderLock
from tests.api.conftest import running
from tests.api.sending import raw
from tests.damage import spoil_header
from tests.pictures import jpeg
from tests.server import ROOT

START_TIMEOUT_S = 30


def assert_refused(kind: type[StartRefused], words: str, **values: Any) -> None:
    with pytest.raises(kind, match=words), TestClient(create_app(Settings(log_level="error", **values))):
        pass


def test_a_database_that_was_never_migrated_is_refused_with_the_command_that_does_it(
    database_url: str, tmp_path: Path
) -> None:
    downgrade(database_url)
    values = {"data_dir": tmp_path / "data", "database_url": database_url}
    assert_refused(DatabaseRefused, r"revision none.*--migrate", **values)


def test_a_database_of_a_later_version_is_refused(database_url: str, tmp_path: Path) -> None:
    engine = make_engine(parse_url(database_url), pool_size=1, read_only=False)
    with engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    engine.dispose()
    values = {"data_dir": tmp_path / "data", "database_url": database_url}
    assert_refused(DatabaseRefused, "revision 9999, which only a newer version knows", **values)
    for change in (upgrade, downgrade):
        with pytest.raises(DatabaseRefused, match="move the database aside"):
            change(database_url)


def test_a_data_folder_in_use_and_one_of_another_database_are_refused(
    database_url: str, sqlite_url: str, tmp_path: Path
) -> None:
    with running(tmp_path / "data", database_url) as client:
        client.post("/gallery", **raw(jpeg(1), identity="p-1"))
        values = {"data_dir": tmp_path / "data", "database_url": database_url}
        assert_refused(FolderRefused, "in use by another process", **values)
        assert client.get("/gallery/p-1").status_code == 200, "the first one goes on"
    other = {"data_dir": tmp_path / "data", "database_url": sqlite_url}
    assert_refused(FolderRefused, "pictures of another database", **other)
    with running(tmp_path / "data", database_url) as client:
        assert client.post("/query", **raw(jpeg(1))).json()["candidates"][0]["identity"] == "p-1"


def test_a_damaged_database_is_refused_with_what_to_do(sqlite_url: str, tmp_path: Path) -> None:
    spoil_header(Path(parse_url(sqlite_url).database or ""))
    values = {"data_dir": tmp_path / "data", "database_url": sqlite_url}
    assert_refused(DatabaseRefused, r"damaged.*restore the last backup \(file is not a database\)", **values)


def _cut_short(folder: Path) -> None:
    path = folder / "model.onnx"
    path.write_bytes(path.read_bytes()[:-1000])


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (_cut_short, "its manifest says"),
        (lambda folder: (folder / "model.onnx").unlink(), "cannot be read"),
        (lambda folder: (folder / "manifest.json").write_text("{}"), "not a valid manifest"),
        (shutil.rmtree, "REAPPEAR_MODEL_DIR"),
    ],
    ids=["cut short", "no network", "no manifest", "no folder"],
)
def test_a_spoiled_model_is_refused_and_lets_go_of_the_data_folder(
    spoil: Callable[[Path], Any], words: str, tmp_path: Path, sqlite_url: str
) -> None:
    folder = Path(shutil.copytree(Settings().model_dir, tmp_path / "model"))
    spoil(folder)
    values = {"data_dir": tmp_path / "data", "database_url": sqlite_url}
    assert_refused(ModelRefused, words, model_dir=folder, **values)
    with running(tmp_path / "data", sqlite_url) as client:
        assert client.get("/livez").status_code == 200


def test_a_gpu_that_is_not_there_is_never_replaced_by_the_cpu_in_silence(tmp_path: Path, sqlite_url: str) -> None:
    if "CUDAExecutionProvider" in onnxruntime.get_available_providers():
        pytest.skip("this ONNX Runtime has CUDA")
    values = {"data_dir": tmp_path / "data", "database_url": sqlite_url}
    assert_refused(ModelRefused, "CUDAExecutionProvider", provider="cuda", **values)


def start(data_dir: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """`python -m service` with settings it must not start with."""
    environ = {**os.environ, "REAPPEAR_DATA_DIR": str(data_dir), "REAPPEAR_PORT": "0", **environment}
    command = [sys.executable, "-m", "service", *arguments]
    return subprocess.run(command, cwd=ROOT, env=environ, text=True, capture_output=True, timeout=START_TIMEOUT_S)


def test_a_port_that_is_taken_is_told_and_ends_as_every_refused_start(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        refused = start(tmp_path / "data", "--migrate", REAPPEAR_PORT=str(taken.getsockname()[1]))
    assert refused.returncode == 3, refused.stderr
    assert "address already in use" in refused.stderr
    assert "cannot start: http://127.0.0.1:" in refused.stderr


def test_the_process_says_on_standard_error_why_it_does_not_start(tmp_path: Path) -> None:
    unmigrated = start(tmp_path / "data")
    assert unmigrated.returncode == 3
    told = [json.loads(line) for line in unmigrated.stderr.splitlines()]
    (reason,) = [line["message"] for line in told if line["level"] == "CRITICAL"]
    assert reason.startswith("cannot start: the database is at revision none")
    assert "--migrate" in reason


@pytest.mark.parametrize("arguments", [(), ("--migrate",)])
def test_no_new_database_is_made_in_the_place_of_one_that_is_missing(
    arguments: tuple[str, ...], tmp_path: Path
) -> None:
    lock = FolderLock(tmp_path / "data")
    lock.claim_for("a" * 32)
    lock.release()
    refused = start(tmp_path / "data", *arguments)
    assert refused.returncode == 3
    assert "its disk is mounted" in refused.stderr
    assert not (tmp_path / "data" / "reappear.db").exists()


@pytest.mark.parametrize(
    ("environment", "words"),
    [
        ({"REAPPEAR_PORT": "http"}, ["REAPPEAR_PORT", "integer"]),
        ({"REAPPEAR_MAX_BATCH": "0", "REAPPEAR_PROVIDER": "tpu"}, ["REAPPEAR_MAX_BATCH", "REAPPEAR_PROVIDER"]),
    ],
    ids=["a port that is none", "two at once"],
)
def test_a_setting_that_cannot_be_used_is_named(environment: dict[str, str], words: list[str], tmp_path: Path) -> None:
    refused = start(tmp_path / "data", "--migrate", **environment)
    assert refused.returncode == 2, refused.stderr
    told = [line for line in refused.stderr.splitlines() if line.startswith("reappear: ")]
    for word in words:
        assert word in "\n".join(told)


@pytest.mark.parametrize(
    ("environment", "words"),
    [
        ({"REAPPEAR_DATABASE_URL": "mysql://user:secret@host/db"}, ["REAPPEAR_DATABASE_URL"]),
        (
            {"REAPPEAR_DATABASE_URL": "postgresql://user:secret@127.0.0.1:9/db"},
            ["the database does not answer: connection failed", "Connection refused", "see REAPPEAR_DATABASE_URL"],
        ),
        ({"REAPPEAR_DATABASE_URL": "postgresql://user:secret@127.0.0.1:9/db?bogus=1"}, ["option after its ?"]),
        ({"REAPPEAR_DATABASE_URL": "sqlite:////dev/null/x.db"}, ["cannot be opened", "its folder is there"]),
        ({"REAPPEAR_DATABASE_URL": "sqlite:////dev/null/x.db?timeout=long"}, ["option after its ?"]),
        ({"REAPPEAR_DATA_DIR": "/dev/null/data"}, ["/dev/null/data"]),
    ],
    ids=["another database", "a database that is not there", "an option that is none", "no folder of the database",
         "an option of another kind", "no folder"],
)  # fmt: skip
@pytest.mark.parametrize("arguments", [("--migrate",), ()], ids=["migrating", "as it is"])
def test_why_it_cannot_start_is_one_line_of_the_log_and_the_log_is_json(
    arguments: tuple[str, ...], environment: dict[str, str], words: list[str], tmp_path: Path
) -> None:
    refused = start(tmp_path / "data", *arguments, **environment)
    assert refused.returncode == 3, refused.stderr
    told = [json.loads(line) for line in refused.stderr.splitlines()]
    (reason,) = [line["message"] for line in told if line["level"] == "CRITICAL"]
    assert reason.startswith("cannot start: ")
    for word in words:
        assert word in reason
    assert "secret" not in refused.stderr
