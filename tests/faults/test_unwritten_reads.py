"""A stop while the database takes no writes loses no read for the audit log."""

import sqlite3
from pathlib import Path

import httpx2 as httpx

from service.store.unwritten import UNWRITTEN_FILE, UnwrittenReads
from tests.pictures import jpeg
from tests.server import Server

READS = 20


def test_reads_that_could_not_be_written_before_a_stop_are_written_by_the_next_start(
    sqlite_template: Path, tmp_path: Path
) -> None:
    path = tmp_path / "reappear.db"
    path.write_bytes(sqlite_template.read_bytes())
    server = Server(tmp_path / "data", f"sqlite:///{path}")
    server.start()
    sent = {"content": jpeg(1), "headers": {"Content-Type": "image/jpeg"}}
    assert httpx.post(f"{server.url}/gallery?identity=p-1", **sent).status_code == 201
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    for _ in range(READS):
        assert httpx.get(f"{server.url}/gallery/p-1").status_code == 200, "reading goes on"
    assert server.stop() == 0
    kept = UnwrittenReads(server.data_dir / UNWRITTEN_FILE).read()
    assert [(one.action, one.subjects) for one in kept] == [("identity.read", ("p-1",))] * READS
    other.rollback()
    other.close()
    with (server.data_dir / UNWRITTEN_FILE).open("ab") as damaged:
        damaged.write(b"{}\n")
    server.start()
    assert not (server.data_dir / UNWRITTEN_FILE).exists()
    entries = httpx.get(f"{server.url}/audit", params={"limit": 500}).json()["entries"]
    assert [one["action"] for one in entries] == ["enrol", *["identity.read"] * READS]
    assert len({one["request_id"] for one in entries}) == READS + 1
    assert server.stop() == 0
