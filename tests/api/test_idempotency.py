"""`Idempotency-Key`: a request may be sent again, and is done once."""

import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from service.config import Settings
from tests.api.conftest import running
from tests.api.holdings import holdings, parts_of, wait_for, writer_held
from tests.api.sending import base64_of, form, form_of, raw
from tests.pictures import jpeg

FIELDS = {"identity": "p-1", "name": "One", "camera": "c1", "captured_at": "2026-05-01T12:30:00Z"}


def keyed(sent: dict[str, Any], key: str = "key-1") -> dict[str, Any]:
    return {**sent, "headers": {**sent.get("headers", {}), "Idempotency-Key": key}}


def told(answer: Any) -> Any:
    """An answer without what is of the moment and not of the request."""
    return {name: value for name, value in answer.json().items() if name != "generation"}


def test_a_request_sent_again_gets_the_first_answer_and_is_not_done_again(
    client: TestClient, settings: Settings
) -> None:
    sent = keyed(form("images", [jpeg(1), b"text"], **FIELDS))
    first = client.post("/gallery", **sent)
    assert first.status_code == 201
    assert "idempotency-replayed" not in first.headers
    client.post("/gallery", **raw(jpeg(2), identity="p-2"))
    client.patch("/gallery/p-1", json={"name": "Changed since"})
    before = holdings(client, settings.data_dir)
    again = client.post("/gallery", **sent)
    assert again.status_code == 201, "as the first time, although the identity is not new any more"
    assert told(again) == told(first)
    assert again.headers["idempotency-replayed"] == "true"
    assert holdings(client, settings.data_dir) == before


def test_the_same_request_in_another_wrapping_is_the_same_request(client: TestClient) -> None:
    parts = [("images", jpeg(1), "a.jpg"), *((name, value.encode()) for name, value in FIELDS.items())]
    first = client.post("/gallery", **keyed(form_of(parts, boundary="first")))
    assert first.status_code == 201
    in_json = {**FIELDS, "images": [{"image": base64_of(jpeg(1)), "filename": "a.jpg"}]}
    for sent in (
        form_of(parts, boundary="second"),
        form_of(parts[::-1], boundary="third"),
        form("images", [jpeg(1)], **FIELDS),
        raw(jpeg(1), **FIELDS),
        {"json": in_json},
        raw(jpeg(1), **{**FIELDS, "captured_at": "2026-05-01T14:30:00+02:00"}),
    ):
        again = client.post("/gallery", **keyed(sent))
        assert (again.status_code, told(again)) == (201, told(first))
    assert client.get("/gallery/p-1").json()["crops"] == 1


@pytest.mark.parametrize(
    "changed",
    [
        {"identity": "p-2"}, {"name": "Two"}, {"camera": "c2"}, {"captured_at": "2026-05-01T12:30:01Z"},
        {"track": "t-1"}, {"attributes": '{"a": 1}'}, {"box": "0,0,50,100"},
    ],
)  # fmt: skip
def test_a_key_that_was_used_for_something_else_is_refused(
    changed: dict[str, str], lite: TestClient, tmp_path: Path
) -> None:
    assert lite.post("/gallery", **keyed(raw(jpeg(1), **FIELDS))).status_code == 201
    before = holdings(lite, tmp_path / "data")
    for sent in (
        raw(jpeg(1), **{**FIELDS, **changed}),
        raw(jpeg(2), **FIELDS),
        form("images", [jpeg(1)] * 2, **FIELDS),
    ):
        answer = lite.post("/gallery", **keyed(sent))
        assert (answer.status_code, answer.json()["error"]) == (409, "KEY_REUSED")
    assert holdings(lite, tmp_path / "data") == before


def test_a_key_belongs_to_one_collection(client: TestClient) -> None:
    client.post("/collections", json={"name": "other"})
    for collection in ("default", "other"):
        answer = client.post("/gallery", **keyed(raw(jpeg(1), **FIELDS, collection=collection)))
        assert answer.status_code == 201
        assert "idempotency-replayed" not in answer.headers
    assert client.get("/collections/other").json()["crops"] == 1
    client.delete("/collections/other?with_identities=true")
    client.post("/collections", json={"name": "other"})
    answer = client.post("/gallery", **keyed(raw(jpeg(2), **FIELDS, collection="other")))
    assert answer.status_code == 201, "its answers went with the collection"


def test_a_key_is_erased_with_its_person_and_may_then_be_used_again(client: TestClient) -> None:
    client.post("/gallery", **keyed(raw(jpeg(1), **FIELDS), "key-1"))
    client.post("/gallery", **keyed(raw(jpeg(2), identity="p-2"), "key-2"))
    assert client.delete("/gallery/p-1").status_code == 200
    kept = holdings(client, Path("nowhere"))["idempotency"]
    assert len(kept) == 1
    assert "p-1" not in kept[0]
    again = client.post("/gallery", **keyed(raw(jpeg(3), identity="p-3"), "key-1"))
    assert again.status_code == 201
    assert "idempotency-replayed" not in again.headers
    assert client.post("/gallery", **keyed(raw(jpeg(2), identity="p-2"), "key-2")).headers["idempotency-replayed"]


def test_a_request_that_was_refused_leaves_its_key_free(client: TestClient) -> None:
    for sent, status in ((raw(b"text", identity="p-1"), 422), (raw(jpeg(1), identity="p-1", collection="no"), 404)):
        assert client.post("/gallery", **keyed(sent)).status_code == status
    good = client.post("/gallery", **keyed(raw(jpeg(1), identity="p-1")))
    assert good.status_code == 201
    assert "idempotency-replayed" not in good.headers


def test_a_key_in_flight_is_refused_and_free_again_with_its_answer(client: TestClient) -> None:
    sent = keyed(raw(jpeg(1), **FIELDS))
    answers: list[Any] = []
    with writer_held(client) as release:
        thread = threading.Thread(target=lambda: answers.append(client.post("/gallery", **sent)))
        thread.start()
        wait_for(lambda: parts_of(client).writer.batcher.waiting == 1)
        for meanwhile in (sent, keyed(raw(jpeg(2), **FIELDS))):
            answer = client.post("/gallery", **meanwhile)
            assert (answer.status_code, answer.json()["error"]) == (409, "KEY_IN_FLIGHT")
        other = threading.Thread(
            target=lambda: answers.append(client.post("/gallery", **keyed(raw(jpeg(2), identity="p-2"), "key-2")))
        )
        other.start()
        wait_for(lambda: parts_of(client).writer.batcher.waiting == 2)
        release.set()
    thread.join()
    other.join()
    assert [answer.status_code for answer in answers] == [201, 201]
    again = client.post("/gallery", **sent)
    assert (again.status_code, again.headers["idempotency-replayed"]) == (201, "true")
    assert client.get("/gallery/p-1").json()["crops"] == 1


def test_one_key_from_many_threads_is_done_once(client: TestClient) -> None:
    sent = keyed(raw(jpeg(1), **FIELDS))
    answers: list[Any] = []
    threads = [threading.Thread(target=lambda: answers.append(client.post("/gallery", **sent))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {answer.status_code for answer in answers} <= {201, 409}
    assert 201 in {answer.status_code for answer in answers}
    assert client.get("/gallery/p-1").json()["crops"] == 1


def test_a_key_may_be_used_again_when_its_time_is_over(tmp_path: Path, sqlite_url: str) -> None:
    with running(tmp_path / "data", sqlite_url, idempotency_hours=1e-9) as client:
        for seed in (1, 2, 2):
            answer = client.post("/gallery", **keyed(raw(jpeg(seed), identity="p-1")))
            assert "idempotency-replayed" not in answer.headers
        assert client.get("/gallery/p-1").json()["crops"] == 3
        assert len(holdings(client, tmp_path / "data")["idempotency"]) == 1, "what is over is dropped"


def test_a_request_is_the_same_also_after_its_crops_have_had_their_time(client: TestClient) -> None:
    soon = datetime.now(UTC) + timedelta(seconds=2)
    sent = keyed(raw(jpeg(1), identity="p-1", expires_at=soon.isoformat()))
    first = client.post("/gallery", **sent)
    wait_for(lambda: datetime.now(UTC) > soon)
    again = client.post("/gallery", **sent)
    assert (again.status_code, told(again)) == (201, told(first))
    assert client.post("/gallery", **keyed(sent, "another")).status_code == 422


def test_an_answer_outlives_the_process(tmp_path: Path, sqlite_url: str) -> None:
    sent = keyed(raw(jpeg(1), **FIELDS))
    with running(tmp_path / "data", sqlite_url) as client:
        first = client.post("/gallery", **sent)
    with running(tmp_path / "data", sqlite_url) as client:
        again = client.post("/gallery", **sent)
        assert (again.status_code, again.headers["idempotency-replayed"]) == (201, "true")
        assert again.json() == first.json()
