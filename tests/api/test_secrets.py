"""What a process with keys says and leaves: how it starts, how it does not, and that no secret and no person is ever in
its log."""

import json
import secrets
from collections.abc import Callable
from pathlib import Path

import httpx2 as httpx
import pytest
from fastapi.testclient import TestClient

from service.app import create_app
from service.config import Settings
from service.db.schema import upgrade
from service.errors import KeysRefused
from tests.api.holders import bearer, keyed, made_key
from tests.api.sending import base64_of, form, json_text, raw
from tests.api.test_start import assert_refused, start
from tests.conftest import wait_until_ready
from tests.pictures import jpeg
from tests.server import Server

GOOD = "k" * 32
Spoil = Callable[[Path], object]


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda path: path.write_text("k" * 31), "32 ASCII characters or more"),
        (lambda path: path.write_text(""), "openssl rand -hex 32"),
        (lambda path: path.write_text("\n\n"), "32 ASCII characters or more"),
        (lambda path: path.write_text("two words and more than 32 characters"), "without spaces"),
        (lambda path: path.write_text(f"{GOOD}\n{GOOD}"), "without spaces"),
        (lambda path: path.write_text("ä" * 40), "ASCII"),
        (lambda path: path.write_bytes(b"\xff" * 40), "cannot be read"),
        (lambda path: path.write_text(GOOD + "\x07"), "ASCII"),
        (lambda path: path.mkdir(), "cannot be read"),
        (lambda path: None, "must be able to read it"),
    ],
    ids=["short", "empty", "blank", "spaces", "two lines", "not ASCII", "no text", "control", "a folder", "not there"],
)
def test_a_file_without_a_usable_key_is_refused_with_what_to_do(
    spoil: Spoil, words: str, tmp_path: Path, sqlite_url: str
) -> None:
    path = tmp_path / "admin-key"
    spoil(path)
    values = {"data_dir": tmp_path / "data", "database_url": sqlite_url, "admin_key_file": path}
    assert_refused(KeysRefused, words, host="0.0.0.0", **values)
    assert_refused(KeysRefused, words, **values)  # on loopback too: somebody thinks it is locked


@pytest.mark.parametrize(
    "values", [{"host": "0.0.0.0"}, {"host": "::"}, {"host": "192.0.2.7"}, {"auth": "on"}], ids=str
)
def test_a_service_that_asks_for_keys_does_not_start_without_one(
    values: dict[str, str], tmp_path: Path, sqlite_url: str
) -> None:
    place = {"data_dir": tmp_path / "data", "database_url": sqlite_url}
    assert_refused(KeysRefused, r"REAPPEAR_ADMIN_KEY_FILE.*127\.0\.0\.1", **place, **values)


def test_an_admin_key_in_the_database_is_enough_to_start_and_one_of_a_collection_is_not(
    database_url: str, tmp_path: Path
) -> None:
    with keyed(tmp_path, database_url) as (client, admin):
        made_key(client, admin, "write")
        bound = made_key(client, admin, "admin", collection="default")
    values = {"data_dir": tmp_path / "data", "database_url": database_url, "auth": "on"}
    assert_refused(KeysRefused, "there is no admin key", **values)
    with keyed(tmp_path, database_url) as (client, admin):
        key = made_key(client, admin, "admin")
    settings = Settings(**values, log_level="error")
    with TestClient(create_app(settings), base_url="http://127.0.0.1") as client:
        wait_until_ready(client)
        assert client.get("/keys", headers=bearer(key["token"])).status_code == 200
        assert client.get("/keys", headers=admin).status_code == 401, "its file is not named any more"
        for one in (bound["id"], key["id"]):
            client.delete(f"/keys/{one}", headers=bearer(key["token"]))
    assert_refused(KeysRefused, "there is no admin key", **values)


def test_the_process_ends_with_3_and_says_what_to_do(tmp_path: Path) -> None:
    refused = start(tmp_path / "data", "--migrate", REAPPEAR_HOST="0.0.0.0")
    assert refused.returncode == 3
    (reason,) = [
        line["message"] for line in map(json.loads, refused.stderr.splitlines()) if line["level"] == "CRITICAL"
    ]
    assert "REAPPEAR_ADMIN_KEY_FILE" in reason
    assert "127.0.0.1" in reason


PICTURE = base64_of(jpeg(1))
PERSONAL = {
    "identity": "p-zorro-77", "name": "Diego-de-la-Vega", "camera": "cam-north-gate", "track": "track-of-may",
    "attributes": '{"mask-colour": "black-velvet"}',
}  # fmt: skip


def test_no_key_and_no_person_is_ever_in_the_log(tmp_path: Path) -> None:
    database_url = f"sqlite:///{tmp_path / 'own.db'}"
    upgrade(database_url)
    admin = secrets.token_hex(32)
    (tmp_path / "admin-key").write_text(admin)
    server = Server(
        tmp_path / "data", database_url, REAPPEAR_AUTH="on", REAPPEAR_ADMIN_KEY_FILE=str(tmp_path / "admin-key"),
        REAPPEAR_LOG_LEVEL="debug", REAPPEAR_READS_PER_MINUTE="10",
    )  # fmt: skip
    server.start()
    wrong = [f"rk_{'0' * 12}_{'w' * 43}", "a-wrong-key-" + "w" * 30]
    try:
        with httpx.Client(base_url=server.url) as client:
            new = {"name": "tracker-of-hall-3", "scope": "write"}
            made = client.post("/keys", json=new, headers=bearer(admin)).json()
            mine = bearer(made["token"])
            sent = form("images", [jpeg(1)], **PERSONAL)
            sent["files"] = [("images", ("portrait-of-zorro.jpg", jpeg(1), "image/jpeg"))]
            assert client.post("/gallery", **sent, headers={**mine, "Idempotency-Key": "once-zorro"}).status_code == 201
            statuses = set()
            for headers in (mine, *map(bearer, wrong), {"X-API-Key": wrong[0]}, {"X-API-Key": made["token"]}):
                for method, path, body in (
                    ("GET", "/gallery/p-zorro-77", {}), ("GET", "/gallery?name=Diego-de-la-Vega", {}),
                    ("GET", "/gallery/nobody-p-zorro-77", {}), ("GET", f"/gallery?api_key={made['token']}", {}),
                    ("GET", f"/gallery/{made['token']}", {}), ("GET", f"/nowhere/{made['token']}", {}),
                    ("GET", f"/{made['token']}?key={admin}", {}), ("POST", "/query", raw(jpeg(1))),
                    ("POST", "/query", {"json": {"image": PICTURE, "filter": {"attributes.mask-colour": 1}}}),
                    ("POST", "/query", raw(b"portrait-of-zorro")), ("POST", "/gallery", json_text(b"{Diego")),
                    ("PATCH", "/gallery/p-zorro-77", {"json": {"name": 5}}),
                    ("POST", "/gallery", {"content": b"--x\r\nbroken", "headers": {
                        "Content-Type": "multipart/form-data; boundary=x"}}),
                    ("DELETE", "/gallery/nobody-p-zorro-77", {}), ("GET", "/gallery/p-zorro-77%2Fcrops", {}),
                    ("GET", "/keys", {}), ("DELETE", f"/keys/{made['token']}", {}),
                ):  # fmt: skip
                    body = {**body, "headers": {**body.get("headers", {}), **headers}}
                    statuses.add(client.request(method, path, **body).status_code)
            assert statuses >= {200, 401, 403, 404, 415, 422, 429}
            assert client.delete("/gallery/p-zorro-77", headers=bearer(admin)).status_code == 200
            assert client.delete(f"/keys/{made['id']}", headers=bearer(admin)).status_code == 200
            client.get("/gallery", headers=mine)
    finally:
        assert server.stop() in (0, -15)
    log = server.log.read_text()
    assert log.count('"message":"request"') > 60
    private = [
        admin, made["token"], made["token"].split("_", 2)[2], *wrong, "w" * 30, "p-zorro-77", "Diego", "cam-north-gate",
        "track-of-may", "mask-colour", "black-velvet", "portrait-of-zorro", "once-zorro", "tracker-of-hall-3",
    ]  # fmt: skip
    for word in private:
        assert word not in log, word
