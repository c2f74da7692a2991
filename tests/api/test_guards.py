"""What every request passes: who may send it; and what every answer carries."""

from pathlib import Path
from typing import Any

import pytest

from service.api import health
from tests.api.conftest import Filled, running
from tests.api.sending import form, raw
from tests.pictures import jpeg


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("127.0.0.1", 200), ("127.0.0.1:8000", 200), ("localhost", 200), ("LOCALHOST:80", 200), ("[::1]", 200),
        ("[::1]:8000", 200), ("evil.example", 403), ("127.0.0.1.evil.example", 403), ("localhost.", 403),
        ("127.0.0.1@evil.example", 403), ("", 403), ("[", 403), ("[::1", 403), ("[evil]", 403), ("a:b:c", 403),
        ("127.0.0.2", 403), ("0.0.0.0", 403), ("localhost, evil.example", 403),
    ],
)  # fmt: skip
def test_only_this_machines_own_names_are_answered_to(host: str, status: int, filled: Filled) -> None:
    asked = [("GET", path) for path in (*health.PATHS, "/gallery")] + [("DELETE", "/gallery/p-nobody")]
    for method, path in asked:
        answer = filled.client.request(method, path, headers={"Host": host})
        expected = {403} if status == 403 else {200, 404}
        assert answer.status_code in expected, answer.text
        if status == 403:
            assert answer.json()["error"] == "NOT_ALLOWED"
            assert "REAPPEAR_ALLOWED_HOSTS" in answer.json()["detail"]


@pytest.mark.parametrize("names", ["Reid.example,other.example", " reid.example , other.example "])
def test_further_names_may_be_allowed(names: str, tmp_path: Path, sqlite_url: str) -> None:
    with running(tmp_path / "data", sqlite_url, allowed_hosts=names) as client:
        for host in ("reid.example", "REID.example:8000", "other.example", "127.0.0.1"):
            assert client.get("/livez", headers={"Host": host}).status_code == 200, host
        assert client.get("/livez", headers={"Host": "evil.example"}).status_code == 403


def test_beyond_loopback_any_name_is_answered_to_unless_some_are_named(tmp_path: Path, sqlite_url: str) -> None:
    admin_key = tmp_path / "key"
    admin_key.write_text("k" * 32)
    with running(tmp_path / "a", sqlite_url, host="0.0.0.0", admin_key_file=admin_key) as client:
        assert client.get("/livez", headers={"Host": "reid.example"}).status_code == 200
    beyond: dict[str, Any] = {"host": "0.0.0.0", "admin_key_file": admin_key, "allowed_hosts": "reid.example"}
    with running(tmp_path / "a", sqlite_url, **beyond) as client:
        for path in ("/gallery", "/docs", "/livez/", "/nowhere"):
            assert client.get(path, headers={"Host": "reid.example"}).status_code != 403, path
            assert client.get(path, headers={"Host": "evil.example"}).status_code == 403, path


@pytest.mark.parametrize("host", ["10.0.0.7:8000", "reappear:8000", ""])
def test_beyond_loopback_whether_it_is_well_is_told_under_any_name(host: str, tmp_path: Path, sqlite_url: str) -> None:
    admin_key = tmp_path / "key"
    admin_key.write_text("k" * 32)
    beyond: dict[str, Any] = {"host": "0.0.0.0", "admin_key_file": admin_key, "allowed_hosts": "reid.example"}
    for metrics, status in (("open", 200), ("key", 401)):
        with running(tmp_path / "data", sqlite_url, **beyond, metrics=metrics) as client:
            asked = {path: client.get(path, headers={"Host": host}).status_code for path in health.PATHS}
            assert asked == {"/livez": 200, "/readyz": 200, "/metrics": status}
            assert client.get("/version", headers={"Host": host, "X-API-Key": "k" * 32}).status_code == 403


@pytest.mark.parametrize(
    ("headers", "allowed"),
    [
        ({}, True),
        ({"Origin": "http://127.0.0.1"}, True),
        ({"Sec-Fetch-Site": "same-origin"}, True),
        ({"Sec-Fetch-Site": "none"}, True),
        ({"Origin": "http://127.0.0.1", "Sec-Fetch-Site": "same-origin"}, True),
        ({"Origin": "http://evil.example"}, False),
        ({"Origin": "null"}, False),
        ({"Origin": "http://127.0.0.1:9999"}, False),
        ({"Origin": "http://["}, False),
        ({"Origin": "127.0.0.1"}, False),
        ({"Origin": "http://evil.example?http://127.0.0.1"}, False),
        ({"Sec-Fetch-Site": "cross-site"}, False),
        ({"Sec-Fetch-Site": "same-site"}, False),
        ({"Origin": "http://127.0.0.1", "Sec-Fetch-Site": "cross-site"}, False),
    ],
    ids=str,
)
def test_pages_of_other_sites_cannot_change_anything(headers: dict[str, str], allowed: bool, filled: Filled) -> None:
    client = filled.client
    for method, path, sent in (
        ("POST", "/query", raw(jpeg(1))),
        ("POST", "/gallery", form("images", [b"text"])),
        ("PATCH", "/gallery/nobody", {"json": {"name": "x"}}),
        ("DELETE", "/gallery/nobody", {}),
        ("DELETE", "/collections/nowhere", {}),
    ):
        answer = client.request(method, path, **{**sent, "headers": {**sent.get("headers", {}), **headers}})
        assert (answer.status_code != 403) is allowed, (method, path)
        if not allowed:
            assert answer.json()["error"] == "NOT_ALLOWED"
    assert client.get("/gallery", headers=headers).status_code == 200, "reading sends nothing back to another site"
    filled.assert_untouched()


@pytest.mark.parametrize("path", ["/gallery/", "/query/", "/audit/", "/keys/"])
def test_nobody_is_sent_elsewhere_with_what_they_sent(path: str, filled: Filled) -> None:
    """The address would be http, where a proxy speaks TLS: keys and pictures would go in clear text."""
    answer = filled.client.post(path, **raw(jpeg(1)), follow_redirects=False)
    assert answer.status_code == 404
    assert "location" not in answer.headers


@pytest.mark.parametrize("header", ["Forwarded", "Via", "X-Forwarded-For", "X-Real-IP"])
def test_who_comes_through_a_proxy_is_not_taken_for_this_machine(
    header: str, filled: Filled, tmp_path: Path, sqlite_url: str
) -> None:
    answer = filled.client.get("/gallery", headers={header: "203.0.113.9"})
    assert answer.status_code == 403
    assert "REAPPEAR_AUTH=on" in answer.json()["detail"]
    admin_key = tmp_path / "key"
    admin_key.write_text("k" * 32)
    with running(tmp_path / "a", sqlite_url, auth="on", admin_key_file=admin_key) as client:
        headers = {header: "203.0.113.9", "X-API-Key": "k" * 32}
        assert client.get("/gallery", headers=headers).status_code == 200


@pytest.mark.parametrize(
    ("given", "echoed"),
    [
        ("req-1", True), ("A.b_c-9", True), ("x" * 64, True), ("x" * 65, False), ("a b", False), ("a\tb", False),
        ("", False), ("a/b", False), ("{}", False),
    ],
)  # fmt: skip
def test_each_answer_has_the_id_of_its_request(given: str, echoed: bool, filled: Filled) -> None:
    seen = set()
    for method, path in (("GET", "/livez"), ("GET", "/nowhere"), ("POST", "/query"), ("GET", "/gallery/a%2Fb")):
        answer = filled.client.request(method, path, headers={"X-Request-ID": given})
        shown = answer.headers["x-request-id"]
        assert (shown == given) is echoed
        assert shown
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["cache-control"]
        seen.add(shown)
    assert len(seen) == (1 if echoed else 4), "ids of our own are all different"
