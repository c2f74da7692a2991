"""What happens to a request when something else happens, or fails, between two of its steps."""

import asyncio
import hashlib
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from fastapi.testclient import TestClient
from sqlalchemy import Connection, delete, insert, select, text, update

from service.config import Settings
from service.db.changes import encode_vector
from service.db.engine import make_engine, parse_url
from service.db.tables import changes, collections, crops, identities, meta, models, vectors
from service.domain import CropIds, VectorArray
from service.flows.housekeeping import keep_house
from service.flows.parts import Parts
from service.index.segmented import SegmentedIndex
from service.store.folder import FolderStore
from tests.crash.audit import audit
from tests.flows.indexed import serving
from tests.pictures import jpeg

JPEG = {"Content-Type": "image/jpeg"}
END_THE_WRITER = text(
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
    "WHERE datname = current_database() AND state = 'idle in transaction' AND pid <> pg_backend_pid()"
)
with_a_server = pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)  # a SQLite commit dies with us


@pytest.fixture(autouse=True)
def _reads_are_written_at_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else the commit at which something is to happen may be one of the audit log's."""
    monkeypatch.setattr("service.flows.housekeeping.FLUSH_EVERY_S", 3600)


class _At:
    """A fail point at which, once, something is done."""

    def __init__(self, point: str) -> None:
        self._point = point
        self.action: Callable[[], None] | None = None

    def __call__(self, name: str) -> None:
        if name == self._point and self.action:
            action, self.action = self.action, None
            action()


class _FailingIndex(SegmentedIndex):
    """Runs out of memory half way through an addition, as often as it is told to."""

    failures = 0

    def add(self, ids: CropIds, vectors: VectorArray) -> None:
        if type(self).failures:
            type(self).failures -= 1
            super().add(ids[:1], vectors[:1])
            raise MemoryError
        super().add(ids, vectors)


@contextmanager
def _connected(url: str) -> Iterator[Connection]:
    """A connection past the service."""
    engine = make_engine(parse_url(url), pool_size=1, read_only=False)
    try:
        with engine.connect() as connection:
            yield connection
    finally:
        engine.dispose()


def _directly(url: str, act: Callable[[Connection], object]) -> None:
    """Change the database past the service."""
    with _connected(url) as connection:
        act(connection)
        connection.commit()


def _found(client: TestClient, seed: int) -> list[int]:
    """The crops of the best candidate, if the picture is among them."""
    (best,) = client.post("/query?k=1&hits=10", content=jpeg(seed), headers=JPEG).json()["candidates"]
    return [hit["crop"] for hit in best["hits"]] if best["similarity"] > 0.9999 else []


def test_an_enrolment_that_is_kept_but_cannot_be_indexed_is_unknown_and_its_repetition_makes_it_found(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("service.start.SegmentedIndex", _FailingIndex)
    with serving(settings) as client:
        client.post("/gallery?identity=other", content=jpeg(9), headers=JPEG)
        _FailingIndex.failures = 1
        files = [("images", (f"{seed}.jpg", jpeg(seed), "image/jpeg")) for seed in (1, 2)]
        repeatable = {"params": {"identity": "p-1"}, "files": files, "headers": {"Idempotency-Key": "once"}}
        answer = client.post("/gallery", **repeatable)
        assert (answer.status_code, answer.json()["error"]) == (503, "OUTCOME_UNKNOWN")
        assert answer.headers["retry-after"].isdigit()
        again = client.post("/gallery", **repeatable)
        assert again.headers["idempotency-replayed"] == "true"
        enrolled = [one["crop"] for one in again.json()["accepted"]]
        assert sorted(_found(client, 1)) == sorted(_found(client, 2)) == enrolled
        assert client.get(f"/crops/{enrolled[0]}/picture").content == jpeg(1)
        assert client.get("/readyz").json()["crops"] == 3
        assert client.delete("/gallery/p-1").json()["removed"] == {
            "identities": 1,
            "crops": 2,
            "vectors": 2,
            "pictures": 2,
        }
        assert _found(client, 1) == []
        assert client.post("/query", content=jpeg(1), headers=JPEG).json()["complete"]
    with serving(settings):
        assert [row.identity for row in audit(settings.url, settings.data_dir)] == ["other"]


def test_an_enrolment_that_could_not_be_indexed_is_found_after_the_next_write_and_keeps_its_picture(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("service.start.SegmentedIndex", _FailingIndex)
    with serving(settings) as client:
        _FailingIndex.failures = 1
        assert client.post("/gallery?identity=p-1", content=jpeg(1), headers=JPEG).status_code == 503
        assert client.post("/gallery?identity=p-2", content=jpeg(2), headers=JPEG).status_code == 201
        (crop,) = _found(client, 1)
        assert client.get(f"/crops/{crop}/picture").content == jpeg(1)
    with serving(settings) as client:
        assert [row.identity for row in audit(settings.url, settings.data_dir)] == ["p-1", "p-2"]
        assert client.get(f"/crops/{crop}/picture").content == jpeg(1)


@with_a_server
def test_a_commit_that_the_database_breaks_off_is_unknown_and_can_be_repeated(settings: Settings) -> None:
    """The server ends the writer's connection right before the commit."""
    at = _At("before-commit")
    with serving(settings, at) as client:
        at.action = lambda: _directly(settings.url, lambda connection: connection.execute(END_THE_WRITER))
        key = {**JPEG, "Idempotency-Key": "once"}
        answer = client.post("/gallery?identity=p-1", content=jpeg(1), headers=key)
        assert (answer.status_code, answer.json()["error"]) == (503, "OUTCOME_UNKNOWN")
        assert client.get("/gallery").json()["identities"] == []
        again = client.post("/gallery?identity=p-1", content=jpeg(1), headers=key)
        assert again.status_code == 201
        assert _found(client, 1) == [again.json()["accepted"][0]["crop"]]
    with serving(settings):
        assert [row.identity for row in audit(settings.url, settings.data_dir)] == ["p-1"]


@pytest.mark.parametrize("made_anew", [False, True])
def test_an_enrolment_into_a_collection_that_goes_meanwhile_is_refused_and_leaves_nothing(
    settings: Settings, made_anew: bool
) -> None:
    at = _At("after-stage-before-commit")

    def remove(connection: Connection) -> None:
        (old,) = connection.execute(select(collections).where(collections.c.name == "brief")).all()
        connection.execute(delete(collections).where(collections.c.id == old.id))
        if made_anew:
            connection.execute(insert(collections).values(name="brief", created_at=old.created_at))

    with serving(settings, at) as client:
        client.post("/collections", json={"name": "brief"})
        at.action = lambda: _directly(settings.url, remove)
        answer = client.post("/gallery?collection=brief", content=jpeg(1), headers=JPEG)
        assert answer.status_code == (409 if made_anew else 404), answer.text
        assert audit(settings.url, settings.data_dir) == []
        again = client.post("/gallery?collection=brief", content=jpeg(1), headers=JPEG)
        assert again.status_code == (201 if made_anew else 404)


def test_a_picture_that_is_published_while_it_is_unlinked_does_not_stay(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A crop may be removed as soon as it is committed, which is before its picture is in place."""
    store, unlink = FolderStore(tmp_path), Path.unlink
    for moment in range(3):
        (name,) = store.stage([b"a picture"])
        steps = iter(range(3))

        def interrupted(path: Path, missing_ok: bool = False) -> None:
            if next(steps) == moment:  # noqa: B023
                store.publish([name])  # noqa: B023
            unlink(path, missing_ok=missing_ok)

        monkeypatch.setattr(Path, "unlink", interrupted)
        store.unlink([name])
        monkeypatch.setattr(Path, "unlink", unlink)
        store.publish([name])
        assert [path for path in tmp_path.rglob("*") if path.is_file()] == []
    store.close()


@with_a_server
def test_a_start_waits_for_the_commit_that_a_killed_service_left_running(settings: Settings) -> None:
    """PostgreSQL may still be committing for a service that is dead already: its picture must not be dropped."""
    with serving(settings) as client:
        vector = client.post("/embed", content=jpeg(1), headers=JPEG).json()["vector"]
    store = FolderStore(settings.data_dir / "pictures")
    (name,) = store.stage([jpeg(1)])
    store.close()
    with _connected(settings.url) as late:
        _enrol(late, name, vector)
        committing = threading.Timer(1.0, late.commit)
        committing.start()
        with serving(settings) as client:
            committing.join()
            (crop,) = _found(client, 1)
            assert client.get(f"/crops/{crop}/picture").content == jpeg(1)


@with_a_server
def test_an_enrolment_whose_commit_ends_long_after_its_connection_broke_is_found_with_its_picture(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Housekeeping, which comes in between, must neither drop the picture nor take the index for up to date."""
    told = threading.Event()

    async def keep_house_when_told(parts: Parts, ready: Callable[[], None], every_s: float) -> None:
        await asyncio.to_thread(told.wait, 10)
        await keep_house(parts, ready, every_s)

    monkeypatch.setattr("service.app.keep_house", keep_house_when_told)
    monkeypatch.setattr("service.app.HOUSEKEEPING_S", 0.1)
    at = _At("before-commit")
    with serving(settings, at) as client, _connected(settings.url) as late:
        client.post("/gallery?identity=other", content=jpeg(9), headers=JPEG)
        vector = client.post("/embed", content=jpeg(1), headers=JPEG).json()["vector"]

        def break_off() -> None:
            _directly(settings.url, lambda connection: connection.execute(END_THE_WRITER))
            (staged,) = (settings.data_dir / "pictures" / "staging").iterdir()
            _enrol(late, staged.name, vector)

        at.action = break_off
        answer = client.post("/gallery?identity=p-1", content=jpeg(1), headers=JPEG)
        assert (answer.status_code, answer.json()["error"]) == (503, "OUTCOME_UNKNOWN")
        told.set()
        time.sleep(0.5)
        late.commit()
        deadline = time.monotonic() + 5
        while not (found := _found(client, 1)) and time.monotonic() < deadline:
            time.sleep(0.05)
        assert len(found) == 1
        assert client.get(f"/crops/{found[0]}/picture").content == jpeg(1)
    with serving(settings):
        assert [row.identity for row in audit(settings.url, settings.data_dir)] == ["other", "p-1"]


def _enrol(connection: Connection, picture: str, vector: list[float]) -> None:
    """The statements of an enrolment, in their order, without the commit."""
    now = datetime.now(UTC)
    home = connection.execute(select(collections.c.id).where(collections.c.name == "default")).scalar_one()
    person = {"collection_id": home, "external_id": "p-1", "attributes": {}, "created_at": now, "updated_at": now}
    identity = connection.execute(insert(identities).values(person).returning(identities.c.id)).scalar_one()
    row = {
        "identity_id": identity, "picture": picture, "picture_sha256": hashlib.sha256(jpeg(1)).hexdigest(),
        "media_type": "image/jpeg", "width": 64, "height": 128, "sharpness": 1.0, "created_at": now,
    }  # fmt: skip
    crop = connection.execute(insert(crops).values(row).returning(crops.c.id)).scalar_one()
    model = connection.execute(select(models.c.id)).scalar_one()
    blob = encode_vector(np.array(vector, np.float32))
    connection.execute(insert(vectors).values(crop_id=crop, model_id=model, vector=blob))
    raised = update(meta).values(generation=meta.c.generation + 1).returning(meta.c.generation, meta.c.epoch)
    generation, epoch = connection.execute(raised).one()
    change = {"generation": generation, "epoch": epoch, "op": "add", "collection_id": home, "crop_id": crop}
    connection.execute(insert(changes).values(change))
