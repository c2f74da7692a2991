"""What is put right in the background."""

import errno
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import select, update

from benchmarks.machine import resident_bytes
from service.db.outbox import waiting_pictures
from service.db.tables import crops, idempotency
from service.errors import OutcomeUnknown
from service.flows import retention
from service.flows.housekeeping import put_right
from service.store.folder import FolderStore
from service.store.tombstones import Tombstones
from tests.api.conftest import running
from tests.api.holdings import parts_of
from tests.holes import holes
from tests.pictures import jpeg

JPEG = {"Content-Type": "image/jpeg"}


def read_only(names: list[str]) -> None:
    """Instead of the store's `unlink`: a disk that refuses."""
    raise OSError("the disk is read-only")


def tidy(client: TestClient) -> None:
    """One round of housekeeping, on the service's own event loop."""
    assert client.portal is not None
    client.portal.call(put_right, parts_of(client))


def test_pictures_of_doubtful_enrolments_are_kept_where_a_row_names_them_and_dropped_elsewhere(
    client: TestClient,
) -> None:
    parts = parts_of(client)
    crop = client.post("/gallery", content=jpeg(1), headers=JPEG).json()["accepted"][0]["crop"]
    (orphan,) = parts.store.stage([b"never committed"])
    parts.doubtful.add(orphan)
    tidy(client)
    assert parts.store.staged() == []
    assert parts.doubtful == set()
    assert client.get(f"/crops/{crop}/picture").content == jpeg(1)


def test_pictures_that_could_not_be_unlinked_are_unlinked_later(client: TestClient) -> None:
    parts = parts_of(client)
    client.post("/gallery?identity=p", content=jpeg(1), headers=JPEG)
    unlink = parts.store.unlink

    parts.store.unlink = read_only
    answer = client.delete("/gallery/p")
    assert (answer.status_code, answer.json()["error"]) == (503, "OUTCOME_UNKNOWN")
    assert client.get("/gallery/p").status_code == 404
    parts.store.unlink = unlink
    tidy(client)
    assert list(parts.store.names()) == []
    assert parts.database.read_now(waiting_pictures) == []


def test_pictures_are_unlinked_where_the_disk_has_no_room_for_what_is_told_of_them(
    client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    parts = parts_of(client)
    client.post("/gallery?identity=p", content=jpeg(1), headers=JPEG)

    def full(self: Tombstones, stones: list[Any]) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(Tombstones, "append", full)
    assert client.delete("/gallery/p").status_code == 503
    assert list(parts.store.names()) == [], "which makes room"
    monkeypatch.undo()
    tidy(client)
    assert list(parts.tombstones.read())


def test_a_service_that_stops_leaves_what_comes_in_portions_to_the_next_start(
    client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    parts = parts_of(client)
    for number in range(3):
        client.post("/gallery", content=jpeg(number), headers=JPEG)
    with parts.database.begin() as connection:
        connection.execute(update(crops).values(expires_at=datetime.now(UTC) - timedelta(days=1)))
    monkeypatch.setattr(retention, "CROPS_AT_ONCE", 1)
    take = retention._take

    async def stop_after(*given: Any) -> tuple[int, int]:
        parts.stopping.set()
        return await take(*given)

    monkeypatch.setattr(retention, "_take", stop_after)
    tidy(client)
    count = parts.database.read_now(lambda connection: len(connection.execute(select(crops)).all()))
    assert count == 2


def test_pictures_that_could_not_be_put_in_place_are_acknowledged_readable_and_put_there_later(
    client: TestClient,
) -> None:
    parts = parts_of(client)
    publish = parts.store.publish

    parts.store.publish = read_only
    answer = client.post("/gallery?identity=p", content=jpeg(1), headers=JPEG)
    assert answer.status_code == 201, "it is committed and durable where it was staged"
    crop = answer.json()["accepted"][0]["crop"]
    assert client.get(f"/crops/{crop}/picture").content == jpeg(1)
    parts.store.publish = publish
    assert len(parts.store.staged()) == 1
    tidy(client)
    assert parts.store.staged() == []
    assert parts.doubtful == set()
    assert client.get(f"/crops/{crop}/picture").content == jpeg(1)


def test_a_removal_that_is_asked_for_again_unlinks_what_the_first_left(client: TestClient) -> None:
    parts = parts_of(client)
    client.post("/gallery?identity=p", content=jpeg(1), headers=JPEG)
    unlink = parts.store.unlink
    parts.store.unlink = read_only
    assert client.delete("/gallery/p").status_code == 503
    parts.store.unlink = unlink
    assert client.delete("/gallery/p").status_code == 404
    assert list(parts.store.names()) == []


def test_a_removal_of_a_collection_that_nobody_knows_of_is_finished(
    client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    parts = parts_of(client)
    client.post("/collections", json={"name": "going"})
    client.post("/gallery?identity=p&collection=going", content=jpeg(1), headers=JPEG)
    token = client.post("/keys", json={"name": "its own", "scope": "read", "collection": "going"}).json()["token"]
    write = parts.writer.write

    async def lose_the_answer(job: Any) -> Any:
        await write(job)
        raise OutcomeUnknown("the connection is lost")

    monkeypatch.setattr(parts.writer, "write", lose_the_answer)
    answer = client.delete("/collections/going?with_identities=true")
    monkeypatch.undo()
    assert (answer.status_code, answer.json()["error"]) == (503, "OUTCOME_UNKNOWN")
    assert client.post("/collections", json={"name": "going"}).status_code == 201
    key = {"X-API-Key": token}
    assert client.get("/gallery?collection=going", headers=key).status_code == 401, "it is for who was there before"
    tidy(client)
    assert parts.database.read_now(lambda on: on.execute(select(crops)).all()) == []
    assert list(parts.store.names()) == []


def test_answers_are_forgotten_when_their_time_is_over(client: TestClient) -> None:
    parts = parts_of(client)
    client.post("/gallery", content=jpeg(1), headers={**JPEG, "Idempotency-Key": "k"})
    tidy(client)
    count = parts.database.read_now(lambda connection: len(connection.execute(select(idempotency)).all()))
    assert count == 1
    with parts.database.begin() as connection:
        connection.execute(update(idempotency).values(created_at=datetime.now(UTC) - timedelta(hours=25)))
    tidy(client)
    count = parts.database.read_now(lambda connection: len(connection.execute(select(idempotency)).all()))
    assert count == 0


def test_a_start_that_finds_the_disk_full_answers_queries_and_puts_things_right_when_there_is_room(
    tmp_path: Path, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    stones = tmp_path / "data" / "erasures.jsonl"
    with running(tmp_path / "data", database_url) as client:
        for number in range(2):
            client.post(f"/gallery?identity=p-{number}", content=jpeg(number), headers=JPEG)
        parts_of(client).store.publish = read_only
        client.post("/gallery?identity=p-2", content=jpeg(2), headers=JPEG)
        stones.symlink_to("/dev/full")
        assert client.delete("/gallery/p-0").json()["error"] == "OUTCOME_UNKNOWN"
    monkeypatch.setattr(FolderStore, "publish", lambda store, names: read_only(names))
    with running(tmp_path / "data", database_url) as client:
        for number in (1, 2):
            answer = client.post("/query", content=jpeg(number), headers=JPEG).json()["candidates"][0]
            assert answer["identity"] == f"p-{number}"
            assert client.get(f"/crops/{answer['hits'][0]['crop']}/picture").content == jpeg(number)
        tidy(client)
        monkeypatch.undo()
        stones.unlink()
        tidy(client)
        assert [stone.kind for stone in Tombstones(stones).read()] == ["crop", "identity"]
        assert len(list(parts_of(client).store.names())) == 2
        assert parts_of(client).store.staged() == []


def test_memory_that_nobody_asks_for_again_is_given_back(client: TestClient) -> None:
    with holes() as before:
        assert resident_bytes(os.getpid()) - before > 80e6
        tidy(client)
        assert resident_bytes(os.getpid()) - before < 30e6


def test_housekeeping_of_a_service_that_nobody_writes_to_forgets_nothing_that_is_remembered(
    client: TestClient,
) -> None:
    parts = parts_of(client)
    before = parts.writer.transactions
    assert client.portal is not None
    for _ in range(3):
        client.portal.call(put_right, parts)
    assert parts.writer.transactions == before
