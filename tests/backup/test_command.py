"""`reappear backup` and `reappear restore` as people run them."""

import json
import logging
import os
import signal
import subprocess
import sys
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from reappear.__main__ import main
from service.config import ROOT
from service.embedding.onnx_model import OnnxModel
from tests.backup.conftest import MakePlace, Place, filled
from tests.command.conftest import run
from tests.crash.audit import audit
from tests.server import Server

Told = Callable[..., tuple[object, str, str]]
SECRET = "a-secret-that-must-not-be-kept"


def environment(place: Place, **more: str) -> dict[str, str]:
    return {
        **os.environ, "REAPPEAR_DATA_DIR": str(place.data_dir), "REAPPEAR_DATABASE_URL": place.url, "COLUMNS": "200",
        **more,
    }  # fmt: skip


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Iterator[Told]:
    """Runs a command in this process, which is quicker; returns its status, output and complaint."""
    level, handler = logging.getLogger("service").level, signal.getsignal(signal.SIGTERM)

    def tell(place: Place, *arguments: str, **more: str) -> tuple[object, str, str]:
        with monkeypatch.context() as patch:
            for name, value in environment(place, **more).items():
                patch.setenv(name, value)
            patch.setattr("sys.argv", ["reappear", *arguments])
            with pytest.raises(SystemExit) as end:
                main()
        return end.value.code, *capsys.readouterr()

    yield tell
    logging.getLogger("service").setLevel(level)
    signal.signal(signal.SIGTERM, handler)


def test_a_backup_is_made_beside_a_service_and_restored_in_another_place(
    lite_source: Place, place: MakePlace, tmp_path: Path, told: Told
) -> None:
    target, file = place("sqlite"), tmp_path / "backup.tar"
    server = Server(lite_source.data_dir, lite_source.url)
    server.start()
    done = run("backup", str(file), **environment(lite_source, REAPPEAR_PORT="8123"))
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
    status, _, complaint = told(target, "restore", str(file))
    assert status == 3
    assert complaint.startswith("reappear: the database holds 4 identities with 8 crops in 2 collections")
    assert complaint.count("\n") == 1
    (target.data_dir / "erasures-2026-05.jsonl").touch()
    status, _, complaint = told(target, "restore", str(file), "--replace")
    assert status == 0
    assert f"only {target.data_dir / 'erasures-2026-05.jsonl'} knows" in complaint
    assert len(audit(target.url, target.data_dir)) == 8


def test_what_cannot_be_done_is_told_in_one_line(lite_source: Place, tmp_path: Path, told: Told) -> None:
    file = tmp_path / "backup.tar"
    nobody = f"postgresql://user:{SECRET}@127.0.0.1:9/nowhere"
    for wanted, words, arguments, more in (
        (3, "cannot be read", ["restore", str(file)], {}),
        (3, "cannot be written", ["backup", str(tmp_path / "nowhere" / "x.tar")], {}),
        (3, "the database does not answer", ["backup", str(file)], {"REAPPEAR_DATABASE_URL": nobody}),
        (2, "REAPPEAR_PORT", ["backup", str(file)], {"REAPPEAR_PORT": "many"}),
    ):
        status, output, complaint = told(lite_source, *arguments, **more)
        assert (status, output) == (wanted, ""), complaint
        assert words in complaint
        assert SECRET not in complaint
        assert "Traceback" not in complaint
    assert not file.exists()


@pytest.mark.parametrize("command", ["backup", "restore"])
def test_help_has_an_example(command: str, lite_source: Place, told: Told) -> None:
    status, output, _ = told(lite_source, command, "--help")
    assert status == 0
    assert f"Example: reappear {command} /" in " ".join(output.split())


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
