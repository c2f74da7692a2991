"""Keys: made, shown once, rotated, revoked and expired; bound to a collection; and with a share of the minute."""

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import MetaData, select

from service.db.engine import make_engine, parse_url
from tests.api.conftest import Filled, running
from tests.api.holders import Headers, bearer, holder, keyed, made_key
from tests.api.holdings import holdings, parts_of
from tests.api.sending import form, json_images, raw
from tests.pictures import jpeg


def everything_in(database_url: str) -> str:
    """All rows of all tables, as text."""
    engine = make_engine(parse_url(database_url), pool_size=1, read_only=True)
    tables = MetaData()
    with engine.connect() as connection:
        tables.reflect(connection)
        rows = [repr(tuple(row)) for table in tables.sorted_tables for row in connection.execute(select(table))]
    engine.dispose()
    return "\n".join(rows)


def test_a_token_is_shown_once_and_only_its_digest_is_kept(database_url: str, tmp_path: Path) -> None:
    with keyed(tmp_path, database_url) as (client, admin):
        made = made_key(client, admin, "write", collection="default", reads_per_minute=5)
        assert client.get("/gallery", headers=bearer(made["token"])).status_code == 200
        (shown,) = client.get("/keys", headers=admin).json()["keys"]
        assert shown == {name: value for name, value in made.items() if name != "token"}
        assert (shown["scope"], shown["collection"], shown["reads_per_minute"]) == ("write", "default", 5)
        assert shown["revoked_at"] is None
    secrets = [made["token"].split("_", 2)[2], admin["Authorization"].removeprefix("Bearer ")]
    kept = everything_in(database_url) + "".join(
        path.read_bytes().decode("latin-1")
        for path in tmp_path.rglob("*")
        if path.is_file() and path.name != "admin-key"
    )
    assert made["id"] in kept
    for secret in secrets:
        assert secret not in kept


def test_both_headers_take_a_key_and_two_different_ones_are_refused(lite_keyed: tuple[TestClient, Headers]) -> None:
    client, admin = lite_keyed
    token = made_key(client, admin, "read")["token"]
    good: list[Headers] = [
        {"X-API-Key": token}, {"Authorization": f"Bearer {token}"}, {"Authorization": f"bearer  {token}"},
        {"X-API-Key": token, "Authorization": f"Bearer {token}"},
    ]  # fmt: skip
    for headers in good:
        assert client.get("/gallery", headers=headers).status_code == 200, headers
    both = client.get("/gallery", headers={"X-API-Key": token, **admin})
    assert both.status_code == 422
    assert token not in both.text


@pytest.fixture
def lite_keyed(sqlite_url: str, tmp_path: Path) -> Any:
    with keyed(tmp_path, sqlite_url) as found:
        yield found


def test_a_key_is_rotated_without_a_gap_and_the_old_one_stays_shut(database_url: str, tmp_path: Path) -> None:
    with keyed(tmp_path, database_url) as (client, admin):
        old, new = made_key(client, admin, "read"), made_key(client, admin, "read")
        for one in (old, new):
            assert client.get("/gallery", headers=bearer(one["token"])).status_code == 200
        revoked = client.delete(f"/keys/{old['id']}", headers=admin)
        assert revoked.status_code == 200
        assert revoked.json()["revoked_at"] is not None
        assert client.get("/gallery", headers=bearer(old["token"])).status_code == 401, "from the answer on"
        again = client.delete(f"/keys/{old['id']}", headers=admin)
        assert again.json() == revoked.json(), "the first moment counts"
        assert client.get("/gallery", headers=bearer(new["token"])).status_code == 200
        stones = [(stone.kind, stone.row) for stone in parts_of(client).tombstones.read()]
        assert stones == [("key", old["id"])], "before the answer: a backup must not bring it back"
        missing = client.delete("/keys/000000000000", headers=admin)
        assert (missing.status_code, missing.json()["error"]) == (404, "KEY_NOT_FOUND")
    with keyed(tmp_path, database_url) as (client, admin):
        assert client.get("/gallery", headers=bearer(old["token"])).status_code == 401
        assert client.get("/gallery", headers=bearer(new["token"])).status_code == 200, "it outlives a restart"
        assert [one["id"] for one in client.get("/keys", headers=admin).json()["keys"]] == [old["id"], new["id"]]


def test_an_admin_key_may_revoke_itself(lite_keyed: tuple[TestClient, Headers]) -> None:
    client, admin = lite_keyed
    mine = made_key(client, admin, "admin")
    assert client.delete(f"/keys/{mine['id']}", headers=bearer(mine["token"])).status_code == 200
    assert client.get("/keys", headers=bearer(mine["token"])).status_code == 401


def test_a_key_expires_by_the_clock(lite_keyed: tuple[TestClient, Headers]) -> None:
    client, admin = lite_keyed
    moment = datetime.now(UTC) + timedelta(seconds=0.8)
    key = made_key(client, admin, "read", expires_at=moment.isoformat())
    assert client.get("/gallery", headers=bearer(key["token"])).status_code == 200
    time.sleep(max(0.0, (moment - datetime.now(UTC)).total_seconds()))
    assert client.get("/gallery", headers=bearer(key["token"])).status_code == 401


@pytest.mark.parametrize(
    "values",
    [
        {}, {"scope": "read"}, {"name": "n"}, {"name": "", "scope": "read"}, {"name": "n", "scope": "root"},
        {"name": "n", "scope": ["read"]}, {"name": "n", "scope": None}, {"name": "a\x00b", "scope": "read"},
        {"name": "n" * 129, "scope": "read"}, {"name": "n", "scope": "read", "collection": ""},
        {"name": "n", "scope": "read", "expires_at": "2026-01-01T00:00:00Z"},
        {"name": "n", "scope": "read", "expires_at": "2127-01-01T00:00:00"},
        {"name": "n", "scope": "read", "expires_at": 4_000_000_000}, {"name": "n", "scope": "read", "id": "mine"},
        {"name": "n", "scope": "read", "secret": "x"}, {"name": "n", "scope": "read", "reads_per_minute": -1},
        {"name": "n", "scope": "read", "reads_per_minute": 1_000_001},
        {"name": "n", "scope": "read", "writes_per_minute": 1.5},
        {"name": "n", "scope": "read", "writes_per_minute": True},
    ],
    ids=str,
)  # fmt: skip
def test_a_key_that_cannot_be_made_is_refused_and_leaves_nothing(values: dict[str, Any], filled: Filled) -> None:
    answer = filled.client.post("/keys", json=values)
    assert (answer.status_code, answer.json()["error"]) == (422, "INVALID_INPUT"), answer.text
    filled.assert_untouched()


def test_a_key_for_a_collection_that_is_not_there_is_not_made(filled: Filled) -> None:
    answer = filled.client.post("/keys", json={"name": "n", "scope": "read", "collection": "nowhere"})
    assert (answer.status_code, answer.json()["error"]) == (404, "COLLECTION_NOT_FOUND")
    filled.assert_untouched()


def test_on_loopback_no_key_is_needed_but_a_wrong_one_is_still_wrong(filled: Filled) -> None:
    assert filled.client.get("/gallery").status_code == 200
    assert filled.client.get("/gallery", headers=bearer("wrong")).status_code == 401
    filled.assert_untouched()


def of_other(crop: int) -> dict[str, Callable[[TestClient, Headers], Any]]:
    """Every way to reach the collection `other`, whose identity p-3 has this crop."""
    vector = {"vector": [1.0] * 3, "model": "m", "collection": "other"}
    return {
        "list": lambda client, key: client.get("/gallery?collection=other", headers=key),
        "search by name": lambda client, key: client.get("/gallery?collection=other&name=x", headers=key),
        "read": lambda client, key: client.get("/gallery/p-3?collection=other", headers=key),
        "crops": lambda client, key: client.get("/gallery/p-3/crops?collection=other", headers=key),
        "query, query string": lambda client, key: send(client, "/query", key, raw(jpeg(3), collection="other")),
        "query, form": lambda client, key: send(client, "/query", key, form("image", [jpeg(3)], collection="other")),
        "query by crop": lambda client, key: client.post(
            "/query", json={"crop": crop, "collection": "other"}, headers=key
        ),
        "query by identity": lambda client, key: client.post(
            "/query", json={"identity": "p-3", "collection": "other"}, headers=key
        ),
        "query by vector": lambda client, key: client.post("/query", json=vector, headers=key),
        "compare": lambda client, key: client.post(
            "/compare", json={"a": {"crop": crop}, "b": {"crop": crop}, "collection": "other"}, headers=key
        ),
        "compare, form": lambda client, key: client.post(
            "/compare", files={"a": jpeg(1), "b": jpeg(2)}, data={"collection": "other"}, headers=key
        ),
        "enrol, query string": lambda client, key: send(client, "/gallery", key, raw(jpeg(3), collection="other")),
        "enrol, form": lambda client, key: send(client, "/gallery", key, form("images", [jpeg(3)], collection="other")),
        "enrol, JSON": lambda client, key: client.post(
            "/gallery", **json_images(jpeg(3), collection="other", identity="p-3"), headers=key
        ),
        "patch": lambda client, key: client.patch("/gallery/p-3?collection=other", json={"name": "x"}, headers=key),
        "delete": lambda client, key: client.delete("/gallery/p-3?collection=other", headers=key),
        "delete crop": lambda client, key: client.delete(f"/gallery/p-3/crops/{crop}?collection=other", headers=key),
        "see collection": lambda client, key: client.get("/collections/other", headers=key),
        "change collection": lambda client, key: client.patch("/collections/other", json={}, headers=key),
        "delete collection": lambda client, key: client.delete(
            "/collections/other?with_identities=true", headers=key
        ),
        "make a collection": lambda client, key: client.post("/collections", json={"name": "mine"}, headers=key),
        "keys": lambda client, key: client.get("/keys", headers=key),
        "make a key": lambda client, key: client.post("/keys", json={"name": "n", "scope": "read"}, headers=key),
        "revoke a key": lambda client, key: client.delete("/keys/000000000000", headers=key),
        "audit": lambda client, key: client.get("/audit", headers=key),
        "retention": lambda client, key: client.get("/retention", headers=key),
        "apply retention": lambda client, key: client.post("/retention", headers=key),
    }  # fmt: skip


def send(client: TestClient, path: str, key: Headers, sent: dict[str, Any]) -> Any:
    return client.post(path, **{**sent, "headers": {**sent.get("headers", {}), **key}})


@pytest.fixture(scope="module")
def bound(filled_on_each: Filled) -> Headers:
    """An admin key for the collection `default` only."""
    made = filled_on_each.client.post("/keys", json={"name": "n", "scope": "admin", "collection": "default"})
    filled_on_each.before = holdings(filled_on_each.client, filled_on_each.data_dir)
    return bearer(made.json()["token"])


@pytest.mark.parametrize("way", of_other(0))
def test_a_key_of_one_collection_reaches_nothing_of_another(way: str, filled_on_each: Filled, bound: Headers) -> None:
    client = filled_on_each.client
    crop = client.get("/gallery/p-3/crops?collection=other").json()["crops"][0]["crop"]
    answer = of_other(crop)[way](client, bound)
    assert (answer.status_code, answer.json()["error"]) == (403, "NOT_ALLOWED"), answer.text
    for word in ("p-3", "other"):
        assert word not in answer.text
    filled_on_each.assert_untouched()


def test_crops_of_another_collection_are_crops_that_are_not_there(filled_on_each: Filled, bound: Headers) -> None:
    client, key = filled_on_each.client, bound
    theirs = client.get("/gallery/p-3/crops?collection=other").json()["crops"][0]["crop"]
    mine = client.get("/gallery/p-1/crops").json()["crops"][0]["crop"]
    assert client.get(f"/crops/{mine}/picture", headers=key).status_code == 200
    for there, nowhere in (
        (client.get(f"/crops/{theirs}/picture", headers=key), client.get("/crops/9999/picture", headers=key)),
        (
            client.post("/query", json={"crop": theirs}, headers=key),
            client.post("/query", json={"crop": 9999}, headers=key),
        ),
        (
            client.delete(f"/gallery/p-1/crops/{theirs}", headers=key),
            client.delete("/gallery/p-1/crops/9999", headers=key),
        ),
    ):
        assert (there.status_code, nowhere.status_code) == (404, 404)
        assert there.text.replace(str(theirs), "N") == nowhere.text.replace("9999", "N")
    assert client.post("/query", json={"identity": "p-3"}, headers=key).status_code == 404
    assert [one["name"] for one in client.get("/collections", headers=key).json()["collections"]] == ["default"]
    found = client.post("/query", json={"crop": mine, "k": 1000}, headers=key).json()["candidates"]
    assert "p-3" not in {one["identity"] for one in found}
    filled_on_each.assert_untouched()


def test_a_key_of_one_collection_works_in_its_own(lite_keyed: tuple[TestClient, Headers]) -> None:
    client, admin = lite_keyed
    client.post("/collections", json={"name": "mine"}, headers=admin)
    key = holder(client, admin, "admin", collection="mine")
    assert send(client, "/gallery", key, raw(jpeg(1), identity="p", collection="mine")).status_code == 201
    assert send(client, "/gallery", key, raw(jpeg(1), identity="p")).status_code == 403, "the default is another"
    assert client.get("/gallery").status_code == 401
    assert client.patch("/collections/mine", json={"match_threshold": 0.5}, headers=key).status_code == 200
    assert send(client, "/embed", key, raw(jpeg(1))).status_code == 200


def test_a_key_dies_with_its_collection_and_does_not_open_one_made_anew(database_url: str, tmp_path: Path) -> None:
    with keyed(tmp_path, database_url) as (client, admin):
        client.post("/collections", json={"name": "brief"}, headers=admin)
        key = holder(client, admin, "admin", collection="brief")
        assert client.get("/gallery?collection=brief", headers=key).status_code == 200
        assert client.delete("/collections/brief", headers=key).status_code == 200
        client.post("/collections", json={"name": "brief"}, headers=admin)
        assert client.get("/gallery?collection=brief", headers=key).status_code == 401
        assert client.get("/keys", headers=admin).json()["keys"] == []
    with keyed(tmp_path, database_url) as (client, _):
        assert client.get("/gallery?collection=brief", headers=key).status_code == 401


def test_a_key_dies_with_its_collection_also_where_files_cannot_follow(lite_keyed: tuple[TestClient, Headers]) -> None:
    client, admin = lite_keyed
    client.post("/collections", json={"name": "brief"}, headers=admin)
    key = holder(client, admin, "read", collection="brief")
    send(client, "/gallery", admin, raw(jpeg(1), collection="brief"))
    store = parts_of(client).store
    unlink = store.unlink

    def refused(names: list[str]) -> None:
        raise OSError("the disk is read-only")

    store.unlink = refused  # type: ignore[method-assign]
    answer = client.delete("/collections/brief?with_identities=true", headers=admin)
    assert answer.json()["error"] == "OUTCOME_UNKNOWN"
    client.post("/collections", json={"name": "brief"}, headers=admin)
    assert client.get("/gallery?collection=brief", headers=key).status_code == 401
    store.unlink = unlink  # type: ignore[method-assign]


def test_idempotency_keys_of_two_holders_know_nothing_of_each_other(database_url: str, tmp_path: Path) -> None:
    with keyed(tmp_path, database_url) as (client, admin):
        one, two = holder(client, admin, "write"), holder(client, admin, "write")
        once = {"Idempotency-Key": "the-same"}
        first = send(client, "/gallery", {**one, **once}, raw(jpeg(1), identity="p-1"))
        assert first.status_code == 201
        other = send(client, "/gallery", {**two, **once}, raw(jpeg(2), identity="p-2"))
        assert other.status_code == 201, "neither replayed nor refused as used for something else"
        assert "idempotency-replayed" not in other.headers
        again = send(client, "/gallery", {**one, **once}, raw(jpeg(1), identity="p-1"))
        assert again.headers["idempotency-replayed"] == "true"
        assert again.json()["accepted"] == first.json()["accepted"]
        assert client.get("/readyz").json()["crops"] == 2


def shares(answer: Any) -> tuple[str, str]:
    return answer.headers["ratelimit-limit"], answer.headers["ratelimit-remaining"]


def test_reads_and_writes_are_counted_apart_and_for_each_key(sqlite_url: str, tmp_path: Path) -> None:
    with keyed(tmp_path, sqlite_url, reads_per_minute=3, writes_per_minute=2) as (client, admin):
        free = holder(client, admin, "admin", reads_per_minute=0, writes_per_minute=0)
        one, two = holder(client, free, "write"), holder(client, free, "write", reads_per_minute=5)
        seen = [client.get("/gallery", headers=one) for _ in range(4)]
        assert [answer.status_code for answer in seen] == [200, 200, 200, 429]
        assert [shares(answer) for answer in seen] == [("3", "2"), ("3", "1"), ("3", "0"), ("3", "0")]
        assert "retry-after" not in seen[2].headers
        assert 1 <= int(seen[3].headers["retry-after"]) <= 60
        written = [client.delete("/gallery/nobody", headers=one) for _ in range(3)]
        assert [answer.status_code for answer in written] == [404, 404, 429]
        assert "2 writes a minute" in written[2].json()["detail"]
        own = [client.get("/gallery", headers=two) for _ in range(6)]
        assert [answer.status_code for answer in own] == [200] * 5 + [429]
        for _ in range(10):
            answer = client.get("/gallery", headers=free)
            assert answer.status_code == 200
            assert "ratelimit-limit" not in answer.headers
        assert client.get("/gallery", headers=bearer("wrong")).status_code == 401
        assert client.get("/livez").status_code == 200
        assert client.get("/readyz").status_code == 200


def test_no_share_is_as_many_as_one_likes(filled: Filled) -> None:
    answers = [filled.client.get("/version") for _ in range(50)]
    assert {answer.status_code for answer in answers} == {200}
    assert not any("ratelimit-limit" in answer.headers for answer in answers)


def test_a_loopback_service_without_keys_has_a_share_too(sqlite_url: str, tmp_path: Path) -> None:
    with running(tmp_path / "data", sqlite_url, reads_per_minute=2) as client:
        assert [client.get("/gallery").status_code for _ in range(3)] == [200, 200, 429]
