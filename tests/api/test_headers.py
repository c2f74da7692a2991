"""What every answer carries, who else's pages may call, and which pages there are: security headers, CORS, /docs."""

import re
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from service.flows import lookup
from tests.api.conftest import Filled, running
from tests.api.holders import keyed
from tests.api.sending import raw
from tests.pictures import jpeg

SECURITY = {
    "x-content-type-options": "nosniff", "x-frame-options": "DENY", "referrer-policy": "no-referrer",
    "cross-origin-resource-policy": "same-origin",
}  # fmt: skip
ORIGIN = "https://page.example"


def assert_secure(answer: Any) -> None:
    for name, value in SECURITY.items():
        assert answer.headers[name] == value, f"{answer.status_code} without {name}"
    assert "no-store" in answer.headers["cache-control"]
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    assert "frame-ancestors 'none'" in answer.headers["content-security-policy"]
    assert answer.headers["x-request-id"]
    assert "server" not in answer.headers


def test_every_kind_of_answer_has_the_security_headers(filled: Filled, monkeypatch: pytest.MonkeyPatch) -> None:
    client = filled.client

    async def fail(*arguments: object) -> None:
        raise RuntimeError("nobody foresaw this")

    answers = [
        client.get("/gallery"), client.post("/query", **raw(jpeg(1))), client.get("/crops/1/picture"),
        client.get("/metrics"), client.get("/gallery/nobody"), client.get("/nowhere"), client.put("/gallery"),
        client.post("/gallery", content=b"x", headers={"Content-Type": "text/plain"}), client.get("/gallery?k=1"),
        client.get("/livez", headers={"Host": "evil.example"}), client.get("/gallery/a%2Fb"),
        client.delete("/gallery/x", headers={"Origin": "https://evil.example"}), client.get("/gallery?name=%FF"),
        client.post("/query", content=b"x", headers={"Content-Length": "99999999999"}),
        client.get("/gallery", headers={"X-API-Key": "wrong"}), client.options("/gallery"), client.head("/livez"),
    ]  # fmt: skip
    monkeypatch.setattr(lookup, "show_identity", fail)
    answers.append(client.get("/gallery/p-1"))
    for answer in answers:
        assert_secure(answer)
    assert {answer.status_code for answer in answers} == {200, 404, 405, 415, 422, 403, 413, 401, 500}


def test_refusals_of_a_service_with_keys_have_them_too(tmp_path: Path, sqlite_url: str) -> None:
    with keyed(tmp_path, sqlite_url, reads_per_minute=1, writes_per_minute=1) as (client, admin):
        answers = [client.get("/gallery"), *(client.get("/gallery", headers=admin) for _ in range(2))]
        assert [answer.status_code for answer in answers] == [401, 200, 429]
        for answer in answers:
            assert_secure(answer)


def sources(policy: str) -> dict[str, list[str]]:
    """A content security policy by directive."""
    return {part.split()[0]: part.split()[1:] for part in policy.split(";") if part.strip()}


def test_the_documentation_page_works_under_its_policy(filled: Filled) -> None:
    page = filled.client.get("/docs")
    policy = sources(page.headers["content-security-policy"])
    assert policy["default-src"] == ["'self'"], "also what it fetches: /openapi.json, and requests it tries"
    assert policy["frame-ancestors"] == ["'none'"]
    allowed = {word for words in policy.values() for word in words}
    assert allowed <= {"'self'", "'none'", "'unsafe-inline'", "data:"}, "nothing from elsewhere, no eval"
    places = re.findall(r'(?:src|href)="([^"]+)"', page.text)
    assert len(places) >= 3
    for place in places:
        assert place.startswith("/"), place
        assert filled.client.get(place).status_code == 200, place
    assert re.search(r"<script>\s*\S", page.text), "an inline script, which the policy must allow"
    assert "'unsafe-inline'" in policy["script-src"]
    assert "'unsafe-inline'" in policy["style-src"]
    for name, value in SECURITY.items():
        assert page.headers[name] == value


def test_without_documentation_nothing_tells_what_the_routes_are(tmp_path: Path, sqlite_url: str) -> None:
    with running(tmp_path / "data", sqlite_url, docs=False) as client:
        for path in ("/docs", "/openapi.json", "/redoc", "/docs/oauth2-redirect", "/static-offline-docs/favicon.png"):
            answer = client.get(path)
            assert (answer.status_code, answer.json()["error"]) == (404, "NOT_FOUND"), path
        assert client.get("/gallery?colour=red").status_code == 422, "it still knows its own parameters"
        assert client.post("/query", **raw(jpeg(1))).status_code == 200


def test_the_documentation_is_open_also_where_keys_are_asked_for(tmp_path: Path, sqlite_url: str) -> None:
    with keyed(tmp_path, sqlite_url) as (client, _):
        assert client.get("/docs").status_code == 200
        assert client.get("/openapi.json").status_code == 200


def granted(answer: Any) -> list[str]:
    return [name for name in answer.headers if name.startswith("access-control-")]


def preflight(client: TestClient, origin: str, method: str = "POST", path: str = "/gallery") -> Any:
    asked = {"Origin": origin, "Access-Control-Request-Method": method, "Access-Control-Request-Headers": "x-api-key"}
    return client.options(path, headers=asked)


def test_pages_of_other_sites_may_call_nothing_unless_named(filled: Filled) -> None:
    for origin in (ORIGIN, "null", "http://127.0.0.1:9"):
        asked = preflight(filled.client, origin)
        assert asked.status_code >= 400
        assert granted(asked) == []
        assert granted(filled.client.get("/gallery", headers={"Origin": origin})) == []
        assert filled.client.post("/query", **raw(jpeg(1)), **{}).status_code == 200
        sent = raw(jpeg(1))
        refused = filled.client.post("/query", **{**sent, "headers": {**sent["headers"], "Origin": origin}})
        assert refused.status_code == 403
    filled.assert_untouched()


def test_pages_of_named_sites_may_call_and_others_still_not(tmp_path: Path, sqlite_url: str) -> None:
    with running(
        tmp_path / "data", sqlite_url, cors_origins=f" {ORIGIN} , https://Second.example:8443"
    ) as client:  # fmt: skip
        for origin in (ORIGIN, "https://second.example:8443"):
            for method in ("GET", "POST", "PATCH", "DELETE"):
                asked = preflight(client, origin, method)
                assert asked.status_code == 200, asked.text
                assert asked.headers["access-control-allow-origin"] == origin
                assert method in asked.headers["access-control-allow-methods"]
                assert "x-api-key" in asked.headers["access-control-allow-headers"].lower()
            sent = raw(jpeg(1))
            headers = {**sent["headers"], "Origin": origin, "Sec-Fetch-Site": "cross-site"}
            answer = client.post("/gallery", **{**sent, "headers": headers})
            assert answer.status_code == 201
            assert answer.headers["access-control-allow-origin"] == origin
            exposed = answer.headers["access-control-expose-headers"].lower()
            for name in ("retry-after", "ratelimit-remaining", "x-request-id"):
                assert name in exposed
            assert "access-control-allow-credentials" not in answer.headers, "no cookie opens anything here"
            assert client.get("/gallery/nobody", headers={"Origin": origin}).headers["access-control-allow-origin"]
        for origin in (
            "https://evil.example", "http://page.example", f"{ORIGIN}.evil.example", f"{ORIGIN}:444", "null", "*",
            "https://sub.page.example", "https://second.example",
        ):  # fmt: skip
            refused = preflight(client, origin)
            assert refused.status_code >= 400, origin
            assert refused.json()["error"] == "NOT_ALLOWED"
            assert "access-control-allow-origin" not in refused.headers
            assert "access-control-allow-origin" not in client.get("/gallery", headers={"Origin": origin}).headers
            sent = raw(jpeg(1))
            headers = {**sent["headers"], "Origin": origin}
            assert client.post("/gallery", **{**sent, "headers": headers}).status_code == 403, origin


def test_a_named_site_needs_a_key_all_the_same(tmp_path: Path, sqlite_url: str) -> None:
    with keyed(tmp_path, sqlite_url, cors_origins=ORIGIN) as (client, admin):
        refused = client.get("/gallery", headers={"Origin": ORIGIN})
        assert refused.status_code == 401
        assert refused.headers["access-control-allow-origin"] == ORIGIN, "the page must be able to read why"
        assert client.get("/gallery", headers={"Origin": ORIGIN, **admin}).status_code == 200
        assert preflight(client, ORIGIN).status_code == 200, "which browsers send without a key"


def test_pages_of_a_named_origin_can_read_what_the_guard_refuses(sqlite_url: str, tmp_path: Path) -> None:
    with running(tmp_path / "data", sqlite_url, cors_origins=ORIGIN, max_body_bytes=1024) as client:
        from_page, elsewhere = {"Origin": ORIGIN}, {"Origin": "https://evil.example"}
        large = client.post("/gallery", content=b"x" * 2000, headers={**from_page, "Content-Type": "image/jpeg"})
        assert (large.status_code, large.headers["access-control-allow-origin"]) == (413, ORIGIN)
        assert "x-request-id" in large.headers["access-control-expose-headers"].lower()
        for path in ("/gallery/a%2Fb", "/gallery/%ff", "/gallery/nobody"):
            refused = client.get(path, headers=from_page)
            assert refused.status_code in (404, 422), refused.text
            assert refused.headers.get_list("access-control-allow-origin") == [ORIGIN], path
            assert refused.headers["vary"] == "Origin"
            assert "access-control-allow-origin" not in client.get(path, headers=elsewhere).headers
