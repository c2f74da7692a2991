"""The audit log where the database is down, the disk is full or the process dies."""

import time
from pathlib import Path
from typing import Any

import httpx2 as httpx
import pytest
from fastapi.testclient import TestClient
from sqlalchemy.exc import OperationalError

from service.config import Settings
from tests.api.conftest import running
from tests.api.holdings import flushed, noted, parts_of, wait_for, writer_held
from tests.api.sending import raw
from tests.pictures import jpeg
from tests.server import Server

PERSON = {"identity": "p-1"}


def test_reads_that_cannot_be_noted_are_not_answered(
    sqlite_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("service.start.MAX_UNWRITTEN_READS", 6)  # each read has one person in it
    with running(tmp_path / "data", sqlite_url) as client:
        client.post("/gallery", **raw(jpeg(1), identity="p-1", name="Zorro"))
        reads: list[tuple[str, str, dict[str, Any]]] = [
            ("GET", "/gallery", {}), ("GET", "/gallery/p-1", {}), ("GET", "/gallery/p-1/crops", {}),
            ("GET", "/crops/1/picture", {}), ("POST", "/query", raw(jpeg(1))),
            ("POST", "/compare", {"json": {"a": PERSON, "b": PERSON}}),
        ]  # fmt: skip
        with writer_held(client):
            for _ in range(3):
                assert client.get("/gallery/p-1").status_code == 200
            for method, path, sent in reads:
                answer = client.request(method, path, **sent)
                assert (answer.status_code, answer.json()["error"]) == (503, "OVERLOADED"), path
                assert int(answer.headers["retry-after"]) >= 1
                assert "Zorro" not in answer.text
            assert "reappear_audit_waiting 3.0" in client.get("/metrics").text
        assert [one.action for one in flushed(client)] == ["enrol", *["identity.read"] * 3]
        assert client.get("/gallery/p-1").status_code == 200


def test_reads_are_kept_while_the_database_is_down_and_noted_once_it_is_back(client: TestClient) -> None:
    parts = parts_of(client)
    client.post("/gallery", **raw(jpeg(1), identity="p-1"))
    before = flushed(client)
    parts.writer._fail_point = fail  # the database fails in each transaction
    for _ in range(3):
        assert client.get("/gallery/p-1").status_code == 200
    time.sleep(0.7)
    assert noted(client) == before
    assert client.get("/gallery/p-1").status_code == 200
    parts.writer._fail_point = lambda name: None
    assert [one.action for one in flushed(client)[len(before) :]] == ["identity.read"] * 4


def fail(name: str) -> None:
    raise OperationalError("BEGIN", {}, Exception("the database went away"))


def test_a_write_and_its_entry_are_kept_together_or_not_at_all(client: TestClient) -> None:
    parts = parts_of(client)
    client.post("/gallery", **raw(jpeg(1), identity="p-1"))
    before = flushed(client)
    parts.writer._fail_point = fail
    for method, path, sent in (
        ("POST", "/gallery", raw(jpeg(2), identity="p-2")), ("PATCH", "/gallery/p-1", {"json": {"name": "x"}}),
        ("DELETE", "/gallery/p-1", {}), ("POST", "/collections", {"json": {"name": "c"}}),
        ("POST", "/keys", {"json": {"name": "n", "scope": "read"}}),
    ):  # fmt: skip
        assert client.request(method, path, **sent).status_code == 503
    parts.writer._fail_point = lambda name: None
    assert noted(client) == before
    assert client.get("/gallery/p-1").json()["name"] is None
    assert client.get("/keys").json()["keys"] == []


def test_reads_that_two_write_down_at_once_are_written_once(client: TestClient) -> None:
    parts = parts_of(client)
    client.post("/gallery", **raw(jpeg(1), identity="p-1"))
    flushed(client)
    assert client.portal is not None
    with writer_held(client):
        for _ in range(3):
            client.get("/gallery/p-1")
        both = [client.portal.start_task_soon(parts.audit.flush) for _ in range(2)]
        wait_for(lambda: parts.writer.batcher.waiting >= 1)
        client.get("/gallery/p-1")
    for one in both:
        one.result(10)
    assert [one.action for one in flushed(client)] == ["enrol", *["identity.read"] * 4]


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_a_stop_writes_down_what_waits(settings: Settings) -> None:
    with running(settings.data_dir, settings.url) as client:
        client.post("/gallery", **raw(jpeg(1), identity="p-1"))
        for _ in range(20):
            client.get("/gallery/p-1")
    with running(settings.data_dir, settings.url) as client:
        assert [one.action for one in noted(client)] == ["enrol", *["identity.read"] * 20]


def test_a_crash_loses_no_write_and_at_most_the_last_second_of_reads(server: Server) -> None:
    with httpx.Client(base_url=server.url) as client:
        client.post("/gallery?identity=early", content=jpeg(1), headers={"Content-Type": "image/jpeg"})
        client.get("/gallery/early", headers={"X-Request-ID": "early-read"})
        time.sleep(1.0)
        client.get("/gallery/early", headers={"X-Request-ID": "late-read"})
        client.post("/gallery?identity=late", content=jpeg(2), headers={"Content-Type": "image/jpeg"})
        server.kill()
    server.start()
    with httpx.Client(base_url=server.url) as client:
        entries = client.get("/audit").json()["entries"]
    found = [(one["action"], *one["subjects"]) for one in entries]
    assert [one for one in found if one[0] == "enrol"] == [("enrol", "early"), ("enrol", "late")]
    assert "early-read" in {one["request_id"] for one in entries}
