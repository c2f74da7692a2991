"""`reappear audit rotate`: the log begins anew, and nothing of it is lost on the way."""

import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import httpx2 as httpx
import pytest
from sqlalchemy import func, select

from service.db.engine import make_engine, parse_url
from service.db.tables import audit
from tests.command.conftest import ADMIN_KEY, Run
from tests.pictures import jpeg
from tests.server import ROOT, Server

ADMIN = {"Authorization": f"Bearer {ADMIN_KEY}"}


def enrol(server: Server, *names: str) -> None:
    for name in names:
        sent = {"params": {"identity": name}, "headers": {**ADMIN, "Content-Type": "image/jpeg"}}
        assert httpx.post(f"{server.url}/gallery", content=jpeg(1), **sent).status_code in (200, 201)


def log(server: Server, cursor: str = "") -> list[dict[str, Any]]:
    found = httpx.get(f"{server.url}/audit", params={"limit": 500, "cursor": cursor}, headers=ADMIN).json()
    entries: list[dict[str, Any]] = found["entries"]
    return entries


def rows(server: Server) -> tuple[int, int]:
    """How many entries the table has, and the lowest number of them."""
    engine = make_engine(parse_url(server.database_url), pool_size=1, read_only=True)
    try:
        with engine.connect() as connection:
            count, lowest = connection.execute(select(func.count(), func.min(audit.c.id))).one()
    finally:
        engine.dispose()
    return count, lowest


def lines(file: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in file.read_text().splitlines()]


def test_the_log_goes_into_the_file_and_an_entry_says_who_did_it(keyed: Server, command: Run, tmp_path: Path) -> None:
    enrol(keyed, "p-1", "Zoë")
    cursor = command("audit", "export").stderr.split("--after ")[1].strip()
    time.sleep(1)
    plain = command("audit", "export", str(tmp_path / "plain.jsonl"))
    assert plain.returncode == 0
    file = tmp_path / "log.jsonl"
    done = command("audit", "rotate", str(file))
    assert done.returncode == 0, done.stderr
    sha256 = hashlib.sha256(file.read_bytes()).hexdigest()
    assert done.stdout.splitlines()[-1] == f"{sha256}  {file}", "as sha256sum prints it"
    kept = lines(file)
    exported = (tmp_path / "plain.jsonl").read_bytes()
    assert file.read_bytes().startswith(exported), "the format is that of an export"
    assert [one["subjects"] for one in kept[:2]] == [["p-1"], ["Zoë"]]
    assert file.stat().st_mode & 0o777 == 0o600
    count = len(kept)
    (told,) = [one for one in log(keyed) if one["action"] == "audit.rotate"]
    assert told["caller"] == "admin-file"
    assert told["subjects"] == ["first=1", f"last={count}", f"entries={count}", f"sha256={sha256}", "file=log.jsonl"]
    assert "enrol" not in {one["action"] for one in log(keyed)}
    assert rows(keyed)[1] == count + 1, "numbers go on"
    assert "audit.rotate" in {one["action"] for one in log(keyed, cursor)}, "and so do cursors"


def test_entries_of_two_files_and_the_log_are_all_there_are(keyed: Server, command: Run, tmp_path: Path) -> None:
    enrol(keyed, "p-1")
    assert command("audit", "rotate", str(tmp_path / "1")).returncode == 0
    enrol(keyed, "p-2")
    assert command("audit", "rotate", str(tmp_path / "2")).returncode == 0
    enrol(keyed, "p-3")
    written = [lines(tmp_path / "1"), lines(tmp_path / "2"), log(keyed)]
    enrolled = [[one["subjects"] for one in part if one["action"] == "enrol"] for part in written]
    assert enrolled == [[["p-1"]], [["p-2"]], [["p-3"]]]
    assert [one["action"] for one in written[1]].count("audit.rotate") == 1, "the first rotation is in the second file"


def test_killed_between_export_and_removal_it_loses_nothing_and_can_be_run_again(
    keyed: Server, command: Run, tmp_path: Path
) -> None:
    enrol(keyed, "p-1")
    file = tmp_path / "log.jsonl"
    program = (
        "import os, sys; from reappear import remote; from reappear.__main__ import main; ask = remote.Remote.ask\n"
        "def die(self, method, path, shape, **sent):\n"
        "    if method == 'POST': os.kill(os.getpid(), 9)\n"
        "    return ask(self, method, path, shape, **sent)\n"
        f"remote.Remote.ask = die; sys.argv = ['reappear', 'audit', 'rotate', {str(file)!r}]; main()"
    )
    environment = {
        **os.environ, "REAPPEAR_DATA_DIR": str(keyed.data_dir), "REAPPEAR_PORT": str(keyed.port),
        "REAPPEAR_KEY": ADMIN_KEY,
    }  # fmt: skip
    dead = subprocess.run([sys.executable, "-c", program], cwd=ROOT, env=environment, capture_output=True, check=False)
    assert dead.returncode == -signal.SIGKILL, dead.stderr
    exported = file.read_bytes()
    assert log(keyed)[0]["action"] == "enrol", "nothing is removed yet"
    enrol(keyed, "p-2")
    for _ in range(2):  # the second time, as if the first answer had been lost
        again = command("audit", "rotate", str(file))
        assert again.returncode == 0, again.stderr
    assert file.read_bytes() == exported
    assert [one["subjects"] for one in log(keyed) if one["action"] == "enrol"] == [["p-2"]]
    assert [one["action"] for one in log(keyed)].count("audit.rotate") == 1


@pytest.mark.parametrize("spoil", [lambda content: content[:-5], lambda content: content.replace(b"p-1", b"p-9")])
def test_a_file_that_is_not_the_log_removes_nothing(keyed: Server, command: Run, tmp_path: Path, spoil: Any) -> None:
    enrol(keyed, "p-1", "p-2")
    file = tmp_path / "log.jsonl"
    assert command("audit", "export", str(file)).returncode == 0
    file.write_bytes(spoil(file.read_bytes()))
    done = command("audit", "rotate", str(file))
    assert done.returncode == 3
    assert "does not begin with the entries of this file" in done.stderr
    assert rows(keyed)[1] == 1


def test_an_empty_log_and_a_full_place_leave_no_file(keyed: Server, command: Run, tmp_path: Path) -> None:
    empty = command("audit", "rotate", str(tmp_path / "log"))
    assert (empty.returncode, "empty" in empty.stderr) == (3, True)
    missing = command("audit", "rotate", str(tmp_path / "nowhere" / "log"))
    assert (missing.returncode, "cannot be written" in missing.stderr) == (3, True)
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith("log")] == []


def test_a_service_that_is_killed_before_the_removal_goes_on_with_it(server: Server, tmp_path: Path) -> None:
    """On each kind of database; what is sealed is not shown meanwhile."""
    server.stop()
    server.start(dies_at="after-seal-before-removal")
    with httpx.Client(base_url=server.url) as client:
        for name in ("p-1", "p-2"):
            client.post(f"/gallery?identity={name}", content=jpeg(1), headers={"Content-Type": "image/jpeg"})
        content = b"".join(json.dumps(one, ensure_ascii=False).encode() + b"\n" for one in entries(client))
        wanted = {"entries": 2, "sha256": hashlib.sha256(content).hexdigest(), "file": "f"}
        with pytest.raises(httpx.TransportError):
            client.post("/audit/rotation", json=wanted)
    assert server.wait_for_death() == -9
    assert rows(server)[1] == 1
    server.start()
    with httpx.Client(base_url=server.url) as client:
        assert "enrol" not in [one["action"] for one in entries(client)]
        again = client.post("/audit/rotation", json=wanted)
        assert again.json() == {"first": 1, "last": 2, "entries": 2, "sha256": wanted["sha256"]}
    assert rows(server)[1] == 3


def entries(client: httpx.Client) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = client.get("/audit").json()["entries"]
    return found
