"""The audit log: who did what to whom, for every operation that touches personal data; append-only, and never behind by
more than a second of reads."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import insert, text
from sqlalchemy.exc import DBAPIError

from service.config import Settings
from service.db.engine import make_engine, parse_url
from service.db.tables import audit
from service.flows.housekeeping import put_right
from tests.api.holders import Headers, holder, keyed, made_key
from tests.api.holdings import flushed, parts_of
from tests.api.sending import base64_of, json_images, raw
from tests.pictures import jpeg

NOT_PERSONAL = {  # they neither show nor change anything that is kept of a person
    "GET /livez", "GET /readyz", "GET /version", "GET /metrics", "GET /collections", "GET /collections/{name}",
    "GET /keys", "GET /retention",
}  # fmt: skip
ELSEWHERE = {"POST /audit/rotation"}  # which takes entries away: tests/command/test_rotate.py
BEYOND_COLLECTIONS = ("POST /embed", "GET /audit")
PERSON = {"identity": "p-1"}
ENTRIES: dict[str, tuple[str, dict[str, Any], str, list[str] | None]] = {  # path, body, action, subjects
    "POST /gallery": ("/gallery", json_images(jpeg(9), identity="p-9"), "enrol", ["p-9"]),
    "GET /gallery": ("/gallery?limit=2", {}, "identity.list", ["p-1", "p-2"]),
    "GET /gallery/{identity}": ("/gallery/p-1", {}, "identity.read", ["p-1"]),
    "PATCH /gallery/{identity}": ("/gallery/p-1", {"json": {"name": "Z"}}, "identity.change", ["p-1"]),
    "GET /gallery/{identity}/crops": ("/gallery/p-1/crops", {}, "crop.list", ["p-1"]),
    "GET /crops/{crop}/picture": ("/crops/{crop}/picture", {}, "picture.read", ["p-1"]),
    "POST /query": ("/query", {"json": {**PERSON, "k": 2}}, "query", None),
    "POST /compare": ("/compare", {"json": {"a": PERSON, "b": {"crop": 1}}}, "compare", ["p-1", "p-1"]),
    "POST /embed": ("/embed", {"json": {"image": base64_of(jpeg(1))}}, "embed", []),
    "GET /audit": ("/audit", {}, "audit.read", []),
    "DELETE /gallery/{identity}/crops/{crop}": ("/gallery/p-1/crops/{crop}", {}, "crop.remove", ["p-1"]),
    "DELETE /gallery/{identity}": ("/gallery/p-2", {}, "identity.remove", ["p-2"]),
    "POST /collections": ("/collections", {"json": {"name": "new"}}, "collection.create", []),
    "PATCH /collections/{name}": ("/collections/new", {"json": {"retention_days": 9}}, "collection.change", []),
    "DELETE /collections/{name}": ("/collections/new", {}, "collection.remove", []),
    "POST /keys": ("/keys", {"json": {"name": "n", "scope": "read"}}, "key.create", None),
    "DELETE /keys/{key}": ("/keys/{key}", {}, "key.revoke", None),
    "POST /retention": ("/retention", {}, "retention.remove", ["p-7"]),
}  # fmt: skip


def test_every_operation_on_personal_data_is_noted_with_who_what_whom_and_in_which_request(
    database_url: str, tmp_path: Path
) -> None:
    with keyed(tmp_path, database_url) as (client, admin):
        document = client.get("/openapi.json").json()
        found = {f"{method.upper()} {path}" for path, methods in document["paths"].items() for method in methods}
        assert found == {*NOT_PERSONAL, *ENTRIES, *ELSEWHERE}, "a new operation needs a line in one of them"
        made = made_key(client, admin, "admin")
        for seed in (1, 2):
            answer = client.post("/gallery", **json_images(jpeg(seed), identity=f"p-{seed}"), headers=admin)
        ids = {"crop": answer.json()["accepted"][0]["crop"] - 1, "key": made["id"]}
        soon = json_images(jpeg(7), identity="p-7", expires_at="2127-01-01T00:00:00Z")
        client.post("/gallery", **soon, headers=admin)
        expire_crops(client)
        key = made_key(client, admin, "admin")
        headers = {"Authorization": f"Bearer {key['token']}"}
        flushed(client)
        for operation, (path, sent, action, subjects) in ENTRIES.items():
            method = operation.split(" ")[0]
            before = len(flushed(client))
            answer = client.request(method, path.format(**ids), **sent, headers=headers)
            assert answer.status_code in (200, 201), f"{operation}: {answer.text}"
            (entry,) = flushed(client)[before:]
            assert (entry.action, entry.caller) == (action, key["id"]), operation
            assert entry.request_id == answer.headers["x-request-id"], operation
            assert abs(entry.at.timestamp() - time.time()) < 60, operation
            if subjects is not None:
                assert list(entry.subjects) == subjects, operation
            if operation == "POST /query":
                assert list(entry.subjects) == ["p-1", *(one["identity"] for one in answer.json()["candidates"])]
                assert len(entry.subjects) == 3
            if operation.endswith(("{name}", "/collections")):
                assert entry.collection == "new"
            elif operation not in BEYOND_COLLECTIONS and "keys" not in operation:
                assert entry.collection == "default", operation
        before = len(flushed(client))
        for path in ("/readyz", "/version", "/metrics", "/collections", "/keys", "/retention"):
            assert client.get(path, headers=headers).status_code == 200
        assert len(flushed(client)) == before


def expire_crops(client: TestClient) -> None:
    """Let the time of all crops that have an end be over."""
    with parts_of(client).database.begin() as connection:
        connection.execute(text("UPDATE crops SET expires_at = '2026-01-01 00:00:00' WHERE expires_at IS NOT NULL"))


def test_a_repeated_enrolment_is_noted_as_a_read(lite: TestClient) -> None:
    once = {"Idempotency-Key": "once", "Content-Type": "image/jpeg"}
    for _ in range(2):
        lite.post("/gallery?identity=p", content=jpeg(1), headers=once)
    assert [(one.action, one.subjects) for one in flushed(lite)] == [("enrol", ("p",)), ("enrol.repeat", ("p",))]


def test_what_fails_or_shows_nothing_leaves_no_entry(client: TestClient) -> None:
    client.post("/gallery", **raw(jpeg(1), identity="p-1"))
    before = flushed(client)
    for method, path, sent in (
        ("GET", "/gallery/nobody", {}), ("GET", "/crops/99/picture", {}), ("DELETE", "/gallery/nobody", {}),
        ("DELETE", "/gallery/p-1/crops/99", {}), ("PATCH", "/gallery/nobody", {"json": {"name": "x"}}),
        ("PATCH", "/gallery/p-1", {"json": {"attributes": {f"k{place}": 1 for place in range(65)}}}),
        ("POST", "/collections", {"json": {"name": "default"}}), ("DELETE", "/collections/default", {}),
        ("POST", "/gallery", raw(b"text")), ("POST", "/query", raw(b"text")), ("DELETE", "/keys/nobody", {}),
        ("POST", "/keys", {"json": {"name": "n", "scope": "read", "collection": "nowhere"}}),
        ("POST", "/retention", {}),
    ):  # fmt: skip
        assert client.request(method, path, **sent).status_code >= 400 or path == "/retention", path
    assert flushed(client) == before


def test_no_picture_vector_name_or_attribute_is_in_the_log(lite: TestClient) -> None:
    sent = json_images(jpeg(1), identity="p-1", name="Zorro", attributes={"mask": "velvet"}, camera="cam-north")
    crop = lite.post("/gallery", **sent).json()["accepted"][0]["crop"]
    lite.get(f"/crops/{crop}/picture")
    lite.get("/gallery?name=Zorro")
    lite.post("/query", **raw(jpeg(1)))
    flushed(lite)
    shown = lite.get("/audit").text
    assert "p-1" in shown
    for word in ("Zorro", "mask", "velvet", "cam-north", "jpg", "JFIF", "/9j/"):
        assert word not in shown


def test_the_removal_of_a_collection_names_whom_it_removed(client: TestClient) -> None:
    client.post("/collections", json={"name": "going"})
    for identity in ("p-1", "p-2"):
        client.post("/gallery", **raw(jpeg(1), identity=identity, collection="going"))
    client.delete("/collections/going?with_identities=true")
    removals = [one for one in flushed(client) if one.action == "collection.remove"]
    assert {one.collection for one in removals} == {"going"}
    assert sorted(subject for one in removals for subject in one.subjects) == ["p-1", "p-2"]


STATEMENTS = [
    "UPDATE audit SET caller = 'nobody'", "DELETE FROM audit", "DELETE FROM audit WHERE id = 1",
    "UPDATE audit SET id = id + 100",
]  # fmt: skip
ON_SQLITE = [
    "INSERT OR REPLACE INTO audit SELECT id, at, request_id, 'nobody', action, collection, subjects FROM audit",
    "REPLACE INTO audit (id, at, caller, action, subjects) VALUES (1, '2026-01-01', 'nobody', 'x', '[]')",
    "UPDATE OR IGNORE audit SET caller = 'nobody'",
    "INSERT INTO audit SELECT * FROM audit WHERE true ON CONFLICT (id) DO UPDATE SET caller = 'nobody'",
]
ON_POSTGRES = [
    "TRUNCATE audit", "TRUNCATE audit, crops CASCADE",
    "INSERT INTO audit SELECT * FROM audit ON CONFLICT (id) DO UPDATE SET caller = 'nobody'",
    "MERGE INTO audit USING audit AS b ON audit.id = b.id WHEN MATCHED THEN DELETE",
]  # fmt: skip


def test_the_log_is_append_only_in_the_database_itself(client: TestClient, settings: Settings) -> None:
    client.post("/gallery", **raw(jpeg(1), identity="p-1"))
    before = flushed(client)
    engine = make_engine(parse_url(settings.url), pool_size=1, read_only=False)
    own = ON_SQLITE if engine.dialect.name == "sqlite" else ON_POSTGRES
    for statement in [*STATEMENTS, *own]:
        with pytest.raises(DBAPIError, match="append-only"), engine.begin() as connection:
            connection.execute(text(statement))
    with engine.begin() as connection:
        more = {"at": before[0].at, "caller": "c", "action": "a", "subjects": []}
        connection.execute(insert(audit), [more, more])
    engine.dispose()
    assert flushed(client)[: len(before)] == before
    assert len(flushed(client)) == len(before) + 2


async def later() -> None:
    """Writes nothing down yet."""


def pages(client: TestClient, limit: int, between: Callable[[], object] = lambda: None) -> list[dict[str, Any]]:
    """The whole log, page by page, as an exporter takes it."""
    found: list[dict[str, Any]] = []
    cursor = ""
    while True:
        page = client.get("/audit", params={"cursor": cursor, "limit": limit}).json()
        found += page["entries"]
        cursor = page["next"]
        if len(page["entries"]) < limit:
            return found
        between()


def test_an_exporter_gets_each_entry_exactly_once_also_while_the_log_grows(
    client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parts_of(client).audit, "flush", later)  # its own looks would be in it too
    for number in range(12):
        client.post("/collections", json={"name": f"c{number}"})
    grown = iter(range(12, 18))

    def grow() -> None:
        number = next(grown, None)
        if number is not None:
            client.post("/collections", json={"name": f"c{number}"})

    assert [one["collection"] for one in pages(client, 5, grow)] == [f"c{number}" for number in range(14)]
    assert [one["collection"] for one in pages(client, 500)] == [f"c{number}" for number in range(14)]
    page = client.get("/audit?limit=500").json()
    for _ in range(2):
        assert client.get("/audit", params={"cursor": page["next"]}).json() == {"entries": [], "next": page["next"]}
    client.post("/collections", json={"name": "late"})
    (entry,) = client.get("/audit", params={"cursor": page["next"]}).json()["entries"]
    assert (entry["action"], entry["collection"], entry["caller"]) == ("collection.create", "late", "loopback")


def test_housekeeping_signs_as_the_service(lite: TestClient) -> None:
    lite.post("/gallery", **raw(jpeg(1), identity="p-1", expires_at="2127-01-01T00:00:00Z"))
    expire_crops(lite)
    assert lite.portal is not None
    lite.portal.call(put_right, parts_of(lite))
    (entry,) = [one for one in flushed(lite) if one.action == "retention.remove"]
    assert (entry.caller, entry.request_id, entry.subjects) == ("service", None, ("p-1",))


def test_who_has_no_key_is_not_noted_and_each_holder_is(sqlite_url: str, tmp_path: Path) -> None:
    with keyed(tmp_path, sqlite_url) as (client, admin):
        keys: dict[str, Headers] = {scope: holder(client, admin, scope) for scope in ("read", "write")}
        client.get("/gallery")
        for headers in (keys["read"], keys["write"], admin):
            client.get("/gallery", headers=headers)
        names = {one["id"]: one["scope"] for one in client.get("/keys", headers=admin).json()["keys"]}
        callers = [names.get(one.caller, one.caller) for one in flushed(client) if one.action == "identity.list"]
        assert callers == ["read", "write", "admin-file"]
