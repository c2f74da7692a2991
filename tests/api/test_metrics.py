"""/metrics: who sees it, and whether it tells what it is for."""

import asyncio
import math
import threading
from pathlib import Path

import pytest
from fastapi.testclient import TestClient
from prometheus_client.parser import text_string_to_metric_families
from sqlalchemy import Connection

from service.config import Settings
from tests.api.conftest import running
from tests.api.holders import bearer, holder, keyed
from tests.api.holdings import PATIENCE_S, parts_of, wait_for, writer_held
from tests.api.sending import form, raw
from tests.pictures import jpeg

MOST_THREADS = 32  # that Python gives to `asyncio.to_thread`


def samples(client: TestClient) -> dict[str, float]:
    """All samples by name and labels, as `name{label=value}`."""
    found = {}
    for family in text_string_to_metric_families(client.get("/metrics").text):
        for one in family.samples:
            labels = ",".join(f"{name}={value}" for name, value in sorted(one.labels.items()))
            found[f"{one.name}{{{labels}}}" if labels else one.name] = one.value
    return found


def test_it_tells_what_is_kept_what_runs_and_what_room_there_is(client: TestClient, settings: Settings) -> None:
    empty = samples(client)
    assert empty["reappear_index_crops"] == empty["reappear_generation"] == 0
    client.post("/gallery", **form("images", [jpeg(1), jpeg(2)], identity="p-1"))
    client.post("/gallery", **raw(jpeg(3), identity="p-2"))
    client.post("/query", **raw(jpeg(1)))
    wait_for(lambda: len(parts_of(client).audit) == 0)
    seen = samples(client)
    assert (seen["reappear_index_crops"], seen["reappear_generation"], seen["reappear_ready"]) == (3, 3, 1)
    assert seen["reappear_index_accelerated"] == 0
    assert seen["reappear_index_bytes"] >= 3 * parts_of(client).model.dim * 4
    assert seen.keys() >= {"reappear_memory_used_bytes", "reappear_memory_limit_bytes"}, "NaN where there is no limit"
    assert 0 < seen["reappear_disk_free_bytes"] <= seen["reappear_disk_bytes"]
    assert seen["reappear_audit_waiting"] == seen["reappear_outbox_pictures"] == 0
    about = client.get("/version").json()
    labels = ",".join(f"{name}={value}" for name, value in sorted(about.items()))
    assert seen[f"reappear_info{{{labels}}}"] == 1
    assert about["provider"] == "CPUExecutionProvider", "the one really in use"
    assert seen["reappear_batch_size_sum{batcher=embed}"] == 4, "pictures through the network"
    assert seen["reappear_batch_size_count{batcher=write}"] >= 2
    for stage in ("decode", "embed", "search", "join", "store", "commit"):
        assert seen[f"reappear_stage_seconds_count{{stage={stage}}}"] >= 1, stage
    assert seen["reappear_request_seconds_count{method=POST,route=/gallery,status=201}"] == 2
    assert seen["process_resident_memory_bytes"] > 0
    pool = {name: value for name, value in seen.items() if name.startswith("reappear_database_connections")}
    assert set(pool) == {
        f"reappear_database_connections{{pool={pool},state={state}}}"
        for pool in ("reading", "writing") for state in ("in_use", "idle")
    }  # fmt: skip
    assert sum(pool.values()) >= 2
    client.delete("/gallery/p-1")
    assert samples(client)["reappear_index_crops"] == 1


def test_it_tells_how_many_reads_wait_for_a_reader(lite: TestClient) -> None:
    held, database = threading.Event(), parts_of(lite).database

    def hold(connection: Connection) -> bool:
        return held.wait(PATIENCE_S)

    assert lite.portal is not None
    readers = database._threads._max_workers
    reading = [lite.portal.start_task_soon(database.read, hold) for _ in range(readers + 3)]
    wait_for(lambda: database.waiting == 3)
    assert samples(lite)["reappear_database_reads_waiting"] == 3
    assert reading[-1].cancel()
    wait_for(lambda: database.waiting == 2)
    held.set()
    wait_for(lambda: database.waiting == 0)


def test_it_tells_how_many_wait_and_how_many_were_refused(lite: TestClient) -> None:
    lite.get("/gallery/nobody")
    lite.get("/gallery?limit=0")
    with writer_held(lite):
        assert lite.portal is not None
        waiting = [
            lite.portal.start_task_soon(parts_of(lite).writer.write, lambda connection, changes: None) for _ in range(3)
        ]
        wait_for(lambda: parts_of(lite).writer.batcher.waiting == 3)
        busy = samples(lite)
        assert busy["reappear_waiting_items{batcher=write}"] == 3
        assert busy["reappear_database_connections{pool=writing,state=in_use}"] == 1
    for one in waiting:
        one.result(10)
    after = samples(lite)
    assert after["reappear_waiting_items{batcher=write}"] == 0
    assert after["reappear_refusals_total{status=404}"] == 1
    assert after["reappear_refusals_total{status=422}"] == 1


def test_pictures_that_cannot_be_unlinked_are_counted(lite: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    lite.post("/gallery", **form("images", [jpeg(1), jpeg(2)], identity="p-1"))

    def refuse(names: list[str]) -> None:
        raise OSError("the disk is read-only")

    monkeypatch.setattr(parts_of(lite).store, "unlink", refuse)
    assert lite.delete("/gallery/p-1").status_code == 503
    assert samples(lite)["reappear_outbox_pictures"] == 2


def test_it_is_not_ready_while_its_database_is_gone(lite: TestClient, tmp_path: Path) -> None:
    path, aside = tmp_path / "reappear.db", tmp_path / "aside.db"
    assert samples(lite)["reappear_ready"] == 1
    path.rename(aside)
    gone = samples(lite)
    assert lite.get("/readyz").json()["error"] == "DATABASE_DOWN"
    assert gone["reappear_ready"] == 0
    assert math.isnan(gone["reappear_outbox_pictures"])
    assert gone["reappear_index_crops"] == 0, "and the others are there"
    aside.rename(path)
    assert samples(lite)["reappear_ready"] == 1


def test_it_needs_none_of_the_threads_that_may_all_wait_for_a_database_that_hangs(lite: TestClient) -> None:
    release = threading.Event()
    assert lite.portal is not None
    held = [lite.portal.start_task_soon(asyncio.to_thread, release.wait, PATIENCE_S) for _ in range(MOST_THREADS)]
    try:
        assert samples(lite)["reappear_ready"] == 1
        assert lite.get("/readyz").status_code == 200
        assert not any(one.done() for one in held)
    finally:
        release.set()
        for one in held:
            one.result()


def test_with_keys_any_of_them_sees_it_and_nobody_else(tmp_path: Path, sqlite_url: str) -> None:
    with keyed(tmp_path, sqlite_url) as (client, admin):
        assert client.get("/metrics").status_code == 401
        assert client.get("/metrics", headers=bearer("wrong")).status_code == 401
        for scope in ("read", "write", "admin"):
            assert client.get("/metrics", headers=holder(client, admin, scope)).status_code == 200
        text = client.get("/metrics", headers=admin).text
        assert admin["Authorization"].removeprefix("Bearer ") not in text


def test_it_can_be_open_and_it_can_be_off(tmp_path: Path, sqlite_url: str) -> None:
    with keyed(tmp_path, sqlite_url, metrics="open") as (client, _):
        answer = client.get("/metrics")
        assert answer.status_code == 200
        assert "reappear_ready 1.0" in answer.text
        assert client.get("/gallery").status_code == 401, "and nothing else is"
    with running(tmp_path / "data", sqlite_url, metrics="off") as client:
        assert client.get("/metrics").status_code == 404
        assert "/metrics" not in client.get("/openapi.json").json()["paths"]
