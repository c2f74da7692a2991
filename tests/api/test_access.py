"""Who may do what, for every operation of the OpenAPI document and every route of the application: one that is added
without a guard, or without a line here, fails."""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.routing import iter_route_contexts
from fastapi.testclient import TestClient

from service.flows.keys import revoke
from tests.api.holders import Headers, bearer, expire, holder, keyed, made_key
from tests.api.holdings import holdings, parts_of
from tests.api.sending import base64_of, json_images, json_text, raw
from tests.pictures import jpeg

OPEN = {"GET /livez", "GET /readyz"}
SCOPES = {
    "GET /version": "read", "GET /metrics": "read",
    "GET /gallery": "read", "GET /gallery/{identity}": "read", "GET /gallery/{identity}/crops": "read",
    "GET /crops/{crop}/picture": "read", "GET /collections": "read", "GET /collections/{name}": "read",
    "POST /query": "read", "POST /compare": "read", "POST /embed": "read",
    "POST /gallery": "write", "PATCH /gallery/{identity}": "write", "DELETE /gallery/{identity}": "write",
    "DELETE /gallery/{identity}/crops/{crop}": "write",
    "POST /collections": "admin", "PATCH /collections/{name}": "admin", "DELETE /collections/{name}": "admin",
    "GET /keys": "admin", "POST /keys": "admin", "DELETE /keys/{key}": "admin", "GET /audit": "admin",
    "GET /retention": "admin", "POST /retention": "admin", "POST /audit/rotation": "admin",
}  # fmt: skip
LESSER = {"read": [], "write": ["read"], "admin": ["read", "write"]}
DOCUMENTATION = {  # of the page that tells what the routes are
    "GET /openapi.json", "HEAD /openapi.json", "GET /docs", "GET /docs/oauth2-redirect", "/static-offline-docs",
}  # fmt: skip
BODIES: dict[str, dict[str, Any]] = {  # that would work, for routes that take one
    "POST /query": {"json": {"identity": "p-1"}},
    "POST /compare": {"json": {"a": {"identity": "p-1"}, "b": {"identity": "p-1"}}},
    "POST /embed": {"json": {"image": base64_of(jpeg(1))}},
    "POST /gallery": json_images(jpeg(1), identity="p-9"),
    "PATCH /gallery/{identity}": {"json": {"name": "Zorro"}},
    "POST /collections": {"json": {"name": "made"}},
    "PATCH /collections/{name}": {"json": {"retention_days": 5}},
    "POST /keys": {"json": {"name": "n", "scope": "admin"}},
    "POST /audit/rotation": {"json": {"entries": 9_999, "sha256": "0" * 64, "file": "f"}},
}


@dataclass
class Locked:
    """A service that asks for keys, with one person in `default`, and its first admin."""

    client: TestClient
    admin: Headers
    crop: int
    data_dir: Path

    def send(self, operation: str, headers: Headers, sent: dict[str, Any] | None = None) -> Any:
        """An operation that would work for a holder of the right key, or what is `sent` instead of its body."""
        method, path = operation.split(" ")
        path = path.format(identity="p-1", crop=self.crop, name="other", key="0f3c9a2b7d04")
        sent = BODIES.get(operation, {}) if sent is None else sent
        return self.client.request(method, path, **{**sent, "headers": {**sent.get("headers", {}), **headers}})


@pytest.fixture(scope="module")
def locked(sqlite_template: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Locked]:
    folder = tmp_path_factory.mktemp("locked")
    (folder / "own.db").write_bytes(sqlite_template.read_bytes())
    with keyed(folder, f"sqlite:///{folder / 'own.db'}") as (client, admin):
        client.post("/collections", json={"name": "other"}, headers=admin)
        answer = client.post("/gallery", **json_images(jpeg(1), identity="p-1"), headers=admin)
        yield Locked(client, admin, answer.json()["accepted"][0]["crop"], folder / "data")


def test_every_operation_of_the_document_has_a_scope_here(locked: Locked) -> None:
    document = locked.client.get("/openapi.json").json()
    found = {f"{method.upper()} {path}" for path, methods in document["paths"].items() for method in methods}
    assert found == {*OPEN, *SCOPES}


def test_no_route_hides_from_the_document(locked: Locked) -> None:
    app = locked.client.app
    assert isinstance(app, FastAPI)
    found = set()
    for route in iter_route_contexts(app.routes):
        found.update({f"{method} {route.path}" for method in route.methods} if route.methods else {str(route.path)})
    assert found == {*OPEN, *SCOPES, *DOCUMENTATION}


def test_the_document_says_what_a_wrong_key_gets(locked: Locked) -> None:
    document = locked.client.get("/openapi.json").json()
    for operation in SCOPES:
        method, path = operation.split(" ")
        assert {"401", "403", "429"} <= set(document["paths"][path][method.lower()]["responses"]), operation


def test_what_is_open_is_open(locked: Locked) -> None:
    for operation in OPEN:
        assert locked.send(operation, {}).status_code == 200


@pytest.mark.parametrize("operation", SCOPES)
def test_without_a_key_that_opens_nothing_is_looked_at(operation: str, locked: Locked) -> None:
    client, admin = locked.client, locked.admin
    revoked = made_key(client, admin, "admin")
    assert client.delete(f"/keys/{revoked['id']}", headers=admin).status_code == 200
    expired = made_key(client, admin, "admin", expires_at="2127-01-01T00:00:00Z")
    expire(client, expired["id"])
    good = made_key(client, admin, "admin")
    wrong: list[Headers] = [{}]
    tokens = [
        "x", "admin-file", "loopback", good["id"], good["token"][:-1], good["token"] + "A", good["token"].lower(),
        good["token"].upper(), f"rk_{good['id']}_{'A' * 43}", f"rk_{revoked['id']}_{good['token'][16:]}",
        revoked["token"], expired["token"], "rk__", "null", "'; DROP TABLE api_keys; --", "A" * 8000, "é",
    ]  # fmt: skip
    for token in tokens:
        wrong += [{"Authorization": b"Bearer " + token.encode()}, {"X-API-Key": token.encode()}]  # type: ignore[dict-item]
    wrong += [
        {"Authorization": "Bearer"}, {"Authorization": "Bearer "}, {"Authorization": ""}, {"X-API-Key": ""},
        {"Authorization": good["token"]}, {"Authorization": f"Basic {good['token']}"},
        {"Authorization": f"Token {good['token']}"}, {"Cookie": f"X-API-Key={good['token']}"},
    ]  # fmt: skip
    before = locked.client.get("/readyz").json()
    for headers in wrong:
        answer = locked.send(operation, headers)
        assert (answer.status_code, answer.json()["error"]) == (401, "UNAUTHORISED"), headers
        assert answer.headers["www-authenticate"] == "Bearer"
        assert good["token"] not in answer.text
    spoiled: list[dict[str, Any]] = [
        {"params": {"colour": "red"}}, {"params": {"limit": "-1", "cursor": "x" * 100, "at": "never"}},
        {"params": {"api_key": good["token"]}}, {"params": {"collection": "a/b"}}, json_text("{"),
        {"content": b"x", "headers": {"Content-Type": "text/plain"}}, {"content": b""},
    ]  # fmt: skip
    for sent in spoiled:
        assert locked.send(operation, {}, sent).status_code == 401, sent
    method, path = operation.split(" ")
    for missing in ("x" * 200, "0", "%00", "nobody", "99999"):
        there = path.format(identity=missing, crop=missing, name=missing, key=missing)
        assert locked.client.request(method, there).status_code == 401, there
    assert locked.client.get("/readyz").json() == before


@pytest.mark.parametrize("operation", [operation for operation, scope in SCOPES.items() if LESSER[scope]])
def test_a_key_of_a_lesser_scope_is_refused_and_does_nothing(operation: str, locked: Locked) -> None:
    client = locked.client
    for lesser in LESSER[SCOPES[operation]]:
        headers = holder(client, locked.admin, lesser)
        before = holdings(client, locked.data_dir)
        answer = locked.send(operation, headers)
        assert (answer.status_code, answer.json()["error"]) == (403, "NOT_ALLOWED"), lesser
        assert SCOPES[operation] in answer.json()["detail"]
        assert lesser in answer.json()["detail"]
        assert locked.send(operation, headers, json_text("{")).status_code == 403, "before the body is read"
        assert holdings(client, locked.data_dir) == before


@pytest.mark.parametrize("operation", SCOPES)
def test_a_key_whose_share_is_used_up_is_told_when_to_come_again(operation: str, locked: Locked) -> None:
    client, admin = locked.client, locked.admin
    headers = holder(client, admin, "admin", reads_per_minute=1, writes_per_minute=1)
    if time.time() % 60 > 50:  # shares are of minutes of the clock, and what follows must lie within one
        time.sleep(60 - time.time() % 60)
    first = locked.send(operation, headers, json_text("{"))  # counted whatever becomes of it
    assert first.status_code not in (401, 403, 429, 500)
    assert first.headers["ratelimit-remaining"] == "0"
    answer = locked.send(operation, headers)
    assert (answer.status_code, answer.json()["error"]) == (429, "TOO_MANY_REQUESTS")
    assert answer.headers["ratelimit-limit"] == "1"
    assert answer.headers["ratelimit-remaining"] == "0"
    assert 1 <= int(answer.headers["ratelimit-reset"]) <= 120
    assert answer.headers["retry-after"] == answer.headers["ratelimit-reset"]
    assert client.get("/livez", headers=headers).status_code == 200


@pytest.mark.parametrize(
    ("method", "path", "sent"),
    [
        ("POST", "/gallery", raw(jpeg(8), identity="late")), ("POST", "/query", raw(jpeg(1))),
        ("POST", "/embed", raw(jpeg(1))), ("POST", "/compare", BODIES["POST /compare"]),
        ("POST", "/collections", {"json": {"name": "late"}}), ("POST", "/keys", BODIES["POST /keys"]),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)  # fmt: skip
def test_a_key_that_is_revoked_while_the_body_comes_opens_nothing(
    method: str, path: str, sent: dict[str, Any], locked: Locked
) -> None:
    client, key = locked.client, made_key(locked.client, locked.admin, "admin")
    request = client.build_request(
        method, path, **{**sent, "headers": {**sent.get("headers", {}), **bearer(key["token"])}}
    )
    body, answered = iter([request.content[:10], request.content[10:]]), []

    async def receive() -> dict[str, Any]:
        part = next(body)
        if part != request.content[:10]:
            await revoke(parts_of(client), key["id"])
        return {"type": "http.request", "body": part, "more_body": part == request.content[:10]}

    async def send(message: dict[str, Any]) -> None:
        answered.append(message)

    scope = {
        "type": "http", "method": method, "path": path, "raw_path": path.encode(), "http_version": "1.1",
        "query_string": request.url.query, "headers": [(name.lower(), value) for name, value in request.headers.raw],
        "state": dict(client.app_state), "scheme": "http", "server": ("127.0.0.1", 80), "client": ("127.0.0.1", 1),
        "root_path": "",
    }  # fmt: skip
    before = client.get("/readyz").json()["crops"]
    assert client.portal is not None
    client.portal.call(client.app, scope, receive, send)
    assert answered[0]["status"] == 401, answered
    assert client.get("/readyz").json()["crops"] == before


@pytest.mark.parametrize("operation", SCOPES)
def test_a_request_with_an_unknown_parameter_is_counted_and_refused(operation: str, locked: Locked) -> None:
    headers = holder(locked.client, locked.admin, "admin", reads_per_minute=2, writes_per_minute=2)
    for left in ("1", "0"):
        answer = locked.send(operation, headers, {"params": {"colour": "red"}})
        assert answer.status_code == 422, answer.text
        assert "colour" in answer.json()["detail"]
        assert answer.headers["ratelimit-remaining"] == left
    assert locked.send(operation, headers, {"params": {"colour": "red"}}).status_code == 429
    if LESSER[SCOPES[operation]]:
        lesser = holder(locked.client, locked.admin, "read")
        assert locked.send(operation, lesser, {"params": {"colour": "red"}}).status_code == 403


def test_a_key_counts_beside_what_a_proxy_is_told(locked: Locked) -> None:
    token = made_key(locked.client, locked.admin, "read")["token"]
    answers = [
        locked.client.get("/gallery", headers={"Authorization": "Basic dTpw", "X-API-Key": key}).status_code
        for key in (token, token[:-1], "")
    ]
    assert answers == [200, 401, 401]


@pytest.mark.parametrize("operation", SCOPES)
def test_a_key_of_the_right_scope_is_let_through(operation: str, locked: Locked) -> None:
    """Last in this file: it changes what there is."""
    headers = holder(locked.client, locked.admin, SCOPES[operation])
    answer = locked.send(operation, headers)
    assert answer.status_code in (200, 201, 404) or answer.json()["error"] == "CONFLICT", answer.text
    if answer.status_code == 404:
        assert answer.json()["error"] != "NOT_FOUND", "that is a route which is not there"
