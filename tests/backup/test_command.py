"""`reappear backup` and `reappear restore` as people run them."""

import json
import os
import signal
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

from service.config import ROOT
from service.embedding.onnx_model import OnnxModel
from tests.backup.conftest import MakePlace, Place, answers, filled
from tests.command.conftest import run
from tests.crash.audit import audit
from tests.server import Server

SECRET = "a-secret-that-must-not-be-kept"


def environment(place: Place, **more: str) -> dict[str, str]:
    return {
        **os.environ, "REAPPEAR_DATA_DIR": str(place.data_dir), "REAPPEAR_DATABASE_URL": place.url, "COLUMNS": "200",
        **more,
    }  # fmt: skip


def test_a_backup_is_made_beside_a_service_and_restored_in_another_place(place: MakePlace, tmp_path: Path) -> None:
    source, target, file = filled(place("sqlite")), place("sqlite"), tmp_path / "backup.tar"
    server = Server(source.data_dir, source.url)
    server.start()
    done = run("backup", str(file), **environment(source, REAPPEAR_PORT="8123"))
    assert server.stop() == 0
    assert (done.returncode, done.stderr) == (0, "")
    assert f"{file}: 4 identities, 8 crops, 8 pictures, " in done.stdout
    with tarfile.open(file) as archive:
        manifest = json.load(archive.extractfile("manifest.json"))  # type: ignore[arg-type]
    assert manifest["settings"]["port"] == 8123
    assert "database_url" not in manifest["settings"]
    model = OnnxModel(ROOT / "models" / "default", provider="cpu", threads=1).manifest
    assert manifest["models"] == [{"model": f"{model.name}@sha256:{model.sha256}", "dim": model.output.dim}]

    done = run("restore", str(file), **environment(target))
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("restored 4 identities, 8 crops; left out 0 crops")
    assert len(audit(target.url, target.data_dir)) == 8
    again = run("restore", str(file), **environment(target))
    assert again.returncode == 3
    assert again.stderr.startswith("reappear: the database holds 4 identities with 8 crops in 2 collections")
    assert again.stderr.count("\n") == 1
    assert run("restore", str(file), "--replace", **environment(target)).returncode == 0
    with source.serving() as client:
        before = answers(client)
    with target.serving() as client:
        assert answers(client) == before


def test_what_cannot_be_done_is_told_in_one_line(place: MakePlace, tmp_path: Path) -> None:
    source, file = filled(place("sqlite")), tmp_path / "backup.tar"
    nobody = f"postgresql://user:{SECRET}@127.0.0.1:9/nowhere"
    for status, told, arguments, more in (
        (3, "cannot be read", ["restore", str(file)], {}),
        (3, "cannot be written", ["backup", str(tmp_path / "nowhere" / "x.tar")], {}),
        (3, "the database does not answer", ["backup", str(file)], {"REAPPEAR_DATABASE_URL": nobody}),
        (2, "REAPPEAR_PORT", ["backup", str(file)], {"REAPPEAR_PORT": "many"}),
    ):
        done = run(*arguments, **{**environment(source), **more})
        assert (done.returncode, done.stdout) == (status, ""), done.stderr
        assert told in done.stderr
        assert SECRET not in done.stderr
        assert "Traceback" not in done.stderr
    assert not file.exists()


@pytest.mark.parametrize("command", ["backup", "restore"])
def test_help_has_an_example(command: str) -> None:
    done = run(command, "--help", **os.environ)
    assert done.returncode == 0
    assert f"Example: reappear {command} /" in " ".join(done.stdout.split())


def test_a_backup_that_is_told_to_end_leaves_no_half_file(place: MakePlace, tmp_path: Path) -> None:
    source, folder = filled(place("sqlite")), tmp_path / "backups"
    folder.mkdir()
    script = (
        "import sys, time, service.flows.backup as b, reappear.__main__ as m\n"
        "b.read_sequences = lambda connection: (print('copied', flush=True), time.sleep(60))\n"
        "sys.argv = ['reappear', 'backup', sys.argv[1]]\n"
        "m.main()"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", script, str(folder / "backup.tar")], cwd=ROOT, env=environment(source),
        stdout=subprocess.PIPE,
    )  # fmt: skip
    assert process.stdout is not None
    assert process.stdout.readline() == b"copied\n"
    assert sorted(path.name for path in folder.iterdir())[:2] == ["backup.tar.part", "backup.tar.rows"]
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=30) == 128 + signal.SIGTERM
    process.stdout.close()
    assert list(folder.iterdir()) == []
    assert source.back_up(folder / "backup.tar").crops == 8


def test_two_backups_to_one_file_do_not_mix(place: MakePlace, tmp_path: Path) -> None:
    source, file = filled(place("sqlite")), tmp_path / "backup.tar"
    told: list[str] = []

    def another(done: int, total: int, what: str) -> None:
        if (what, done) == ("pictures", 4):
            told.append(run("backup", str(file), **environment(source)).stderr)

    assert source.back_up(file, progress=another).crops == 8
    assert len(told) == 1
    assert "is being written by another process" in told[0]
    assert place("sqlite").restore(file).crops == 8
