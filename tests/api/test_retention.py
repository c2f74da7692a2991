"""What has had its time: crops by their own end or their collection's days, identities with the last of theirs; and
collections that keep no pictures."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import insert, select, update

from service.config import Settings
from service.db.people import add_identity, change_collection
from service.db.tables import crops, models, vectors
from service.flows import retention
from service.flows.housekeeping import put_right
from tests.api.conftest import Filled, running
from tests.api.holdings import files, holdings, parts_of, wait_for
from tests.api.sending import form, json_images, raw
from tests.pictures import jpeg

LATER = "2127-01-01T00:00:00Z"


def enrol(client: TestClient, identity: str, *seeds: int, **fields: Any) -> list[int]:
    answer = client.post("/gallery", **form("images", [jpeg(seed) for seed in seeds], identity=identity, **fields))
    assert answer.status_code in (200, 201), answer.text
    return [one["crop"] for one in answer.json()["accepted"]]


def age(client: TestClient, crop_ids: list[int], *, days: float = 0, expired: bool = False) -> None:
    """Make crops older, or let the time they were given be over."""
    parts = parts_of(client)
    with parts.database.begin() as connection:
        now = datetime.now(UTC)
        values: dict[str, Any] = {"created_at": now - timedelta(days=days)} if days else {}
        if expired:
            values["expires_at"] = now - timedelta(seconds=1)
        connection.execute(update(crops).where(crops.c.id.in_(crop_ids)).values(values))


def left(client: TestClient, identity: str, collection: str = "default") -> list[int]:
    shown = client.get(f"/gallery/{identity}/crops?collection={collection}").json()
    return [one["crop"] for one in shown.get("crops", [])]


def test_each_crop_goes_at_its_own_end_and_an_identity_with_the_last_of_them(
    client: TestClient, settings: Settings
) -> None:
    for_ever = enrol(client, "stays", 1)
    ending = enrol(client, "stays", 2, expires_at=LATER)
    whole = enrol(client, "goes", 3, 4, expires_at=LATER)
    (shown,) = [one for one in client.get("/gallery/stays/crops").json()["crops"] if one["crop"] == ending[0]]
    assert datetime.fromisoformat(shown["expires_at"]) == datetime(2127, 1, 1, tzinfo=UTC)
    assert client.post("/retention").json()["collections"] == [], "not before its time"
    age(client, ending + whole, expired=True)
    generation = client.get("/readyz").json()["generation"]
    expected = [{"collection": "default", "crops": 3, "identities": 1}]
    assert client.get("/retention").json()["collections"] == expected
    assert client.get("/readyz").json()["crops"] == 4, "a dry run removes nothing"
    assert client.post("/retention").json()["collections"] == expected
    assert client.get("/readyz").json() == {"ready": True, "crops": 1, "generation": generation + 3}
    assert left(client, "stays") == for_ever
    assert client.get("/gallery/goes").status_code == 404
    assert list(files(settings.data_dir).values()) == [jpeg(1)]
    found = client.post("/query", **raw(jpeg(3), k=10, hits=10)).json()["candidates"]
    assert [(one["identity"], [hit["crop"] for hit in one["hits"]]) for one in found] == [("stays", for_ever)]
    stones = sorted((one.kind, one.row) for one in parts_of(client).tombstones.read())
    assert [kind for kind, _ in stones] == ["crop", "crop", "crop", "identity"]
    assert {row for kind, row in stones if kind == "crop"} == {str(one) for one in ending + whole}
    assert client.post("/retention").json()["collections"] == []


def test_the_days_of_a_collection_count_for_its_crops_alone(client: TestClient, settings: Settings) -> None:
    client.post("/collections", json={"name": "brief", "retention_days": 7})
    old, new = enrol(client, "p", 1, collection="brief"), enrol(client, "p", 2, collection="brief")
    early = enrol(client, "q", 3, collection="brief", expires_at=LATER)
    same_age = enrol(client, "p", 4)
    age(client, old + same_age, days=7.01)
    age(client, new, days=6.99)
    age(client, early, expired=True)
    before = client.get("/retention").json()
    assert before["collections"] == [{"collection": "brief", "crops": 2, "identities": 1}]
    assert client.post("/retention").json()["collections"] == before["collections"]
    assert left(client, "p", "brief") == new
    assert left(client, "p") == same_age
    assert client.get("/gallery/q?collection=brief").status_code == 404


def test_a_dry_run_says_what_will_have_gone_at_a_moment(lite: TestClient, tmp_path: Path) -> None:
    lite.post("/collections", json={"name": "brief", "retention_days": 7})
    enrol(lite, "p", 1, collection="brief")
    enrol(lite, "q", 2, collection="brief", expires_at=(datetime.now(UTC) + timedelta(days=2)).isoformat())
    before = holdings(lite, tmp_path / "data")
    for days, expected in ((0, 0), (1, 0), (3, 1), (8, 2)):
        moment = (datetime.now(UTC) + timedelta(days=days, seconds=5)).isoformat()
        shown = lite.get("/retention", params={"at": moment}).json()
        assert sum(one["crops"] for one in shown["collections"]) == expected, days
        assert datetime.fromisoformat(shown["at"]) == datetime.fromisoformat(moment)
    assert holdings(lite, tmp_path / "data") == before


def test_a_moment_in_the_past_or_none_is_refused(filled: Filled) -> None:
    for moment in ("2026-01-01T00:00:00Z", "2127-01-01T00:00:00", "soon", ""):
        answer = filled.client.get("/retention", params={"at": moment})
        assert (answer.status_code, answer.json()["error"]) == (422, "INVALID_INPUT"), moment
    filled.assert_untouched()


@pytest.mark.parametrize(
    "moment",
    ["2026-01-01T00:00:00Z", "2127-01-01T00:00:00", "2127-01-01", "4000000000", "", "9999-12-31T23:59:59-01:00"],
)  # fmt: skip
def test_an_end_that_has_passed_or_is_none_is_refused(moment: str, filled: Filled) -> None:
    for sent in (
        raw(jpeg(1), expires_at=moment), form("images", [jpeg(1)], expires_at=moment),
        json_images(jpeg(1), expires_at=moment),
    ):  # fmt: skip
        answer = filled.client.post("/gallery", **sent)
        assert (answer.status_code, answer.json()["error"]) == (422, "INVALID_INPUT")
        assert "expires_at" in answer.json()["detail"]
    filled.assert_untouched()


@pytest.mark.parametrize(
    ("field", "value"),
    [("retention_days", value) for value in (0, -1, 1.5, "thirty", True, [], 36_501, 10**30)]
    + [("keep_pictures", value) for value in (None, "perhaps", "false", 0, 2, [])],
)
def test_rules_that_cannot_be_used_are_refused(field: str, value: object, filled: Filled) -> None:
    for answer in (
        filled.client.post("/collections", json={"name": "new", field: value}),
        filled.client.patch("/collections/other", json={field: value}),
    ):
        assert (answer.status_code, answer.json()["error"]) == (422, "INVALID_INPUT"), answer.text
        assert field in answer.json()["detail"]
    filled.assert_untouched()


def test_more_than_one_batch_goes_whole(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retention, "CROPS_AT_ONCE", 40)
    enrol(client, "stays", 1)
    many = 101
    parts = parts_of(client)
    with parts.database.begin() as connection:
        home, now = 1, datetime.now(UTC)
        model = connection.execute(select(models.c.id)).scalar_one()
        for place in range(many):
            if place % 2 == 0:
                identity = add_identity(connection, home, f"old-{place // 2}", None, {}, now)
            row = {
                "identity_id": identity, "picture_sha256": "0" * 64, "media_type": "image/jpeg", "width": 1,
                "height": 1, "sharpness": 0.5, "created_at": now, "expires_at": now - timedelta(days=1),
            }  # fmt: skip
            crop = connection.execute(insert(crops).values(row).returning(crops.c.id)).scalar_one()
            connection.execute(insert(vectors).values(crop_id=crop, model_id=model, vector=b"\0" * 4 * parts.model.dim))
    expected = [{"collection": "default", "crops": many, "identities": 51}]
    assert client.get("/retention").json()["collections"] == expected
    assert client.post("/retention").json()["collections"] == expected
    assert client.get("/collections/default").json()["crops"] == 1
    removals = [one for one in client.get("/audit?limit=500").json()["entries"] if one["action"] == "retention.remove"]
    assert len(removals) == 3
    assert {name for one in removals for name in one["subjects"]} == {f"old-{place}" for place in range(51)}
    assert client.get("/readyz").json()["generation"] == 1 + many


def test_days_that_are_taken_back_between_two_batches_take_no_more(
    lite: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retention, "CROPS_AT_ONCE", 2)
    lite.patch("/collections/default", json={"retention_days": 7})
    old = enrol(lite, "p", 1, 2, 3, 4, 5, 6)
    age(lite, old, days=8)
    parts = parts_of(lite)
    batches = 0

    def after_one(name: str) -> None:
        nonlocal batches
        if name == "after-commit-before-index":
            batches += 1
        if batches == 1:
            with parts.database.begin() as connection:
                change_collection(connection, 1, {"retention_days": None})
            batches += 1

    parts.writer._fail_point = after_one
    assert lite.post("/retention").json()["collections"] == [{"collection": "default", "crops": 2, "identities": 0}]
    assert left(lite, "p") == old[2:]


def test_it_is_done_without_being_asked_for(sqlite_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("service.app.HOUSEKEEPING_S", 0.05)
    with running(tmp_path / "data", sqlite_url) as client:
        age(client, enrol(client, "p", 1, expires_at=LATER), expired=True)
        wait_for(lambda: client.get("/gallery/p").status_code == 404)
        wait_for(lambda: files(tmp_path / "data") == {})


def test_a_shorter_time_counts_for_what_is_there_already(lite: TestClient) -> None:
    old = enrol(lite, "p", 1)
    age(lite, old, days=30)
    lite.patch("/collections/default", json={"retention_days": 31})
    assert lite.get("/retention").json()["collections"] == []
    assert lite.patch("/collections/default", json={"retention_days": 29}).json()["retention_days"] == 29
    assert lite.get("/retention").json()["collections"][0]["crops"] == 1
    lite.patch("/collections/default", json={"retention_days": None})
    assert lite.get("/retention").json()["collections"] == []
    assert lite.portal is not None
    lite.portal.call(put_right, parts_of(lite))
    assert left(lite, "p") == old


def test_an_identity_that_never_had_a_crop_stays(lite: TestClient) -> None:
    crop = enrol(lite, "p", 1)
    lite.delete(f"/gallery/p/crops/{crop[0]}")
    lite.patch("/collections/default", json={"retention_days": 1})
    lite.post("/retention")
    assert lite.get("/gallery/p").status_code == 200


def test_the_same_request_with_another_end_is_another_request(lite: TestClient) -> None:
    once = {"Idempotency-Key": "once", "Content-Type": "image/jpeg"}
    assert lite.post("/gallery?identity=p", content=jpeg(1), headers=once).status_code == 201
    other = lite.post(f"/gallery?identity=p&expires_at={LATER}", content=jpeg(1), headers=once)
    assert (other.status_code, other.json()["error"]) == (409, "KEY_REUSED")


def test_a_collection_that_keeps_no_pictures_finds_people_all_the_same(client: TestClient, settings: Settings) -> None:
    client.post("/collections", json={"name": "bare", "keep_pictures": False})
    (crop,) = enrol(client, "p", 1, collection="bare")
    assert files(settings.data_dir) == {}
    found = client.post("/query", **raw(jpeg(1), collection="bare")).json()["candidates"][0]
    assert (found["identity"], found["hits"][0]["crop"], found["hits"][0]["picture"]) == ("p", crop, None)
    assert found["similarity"] > 0.999
    assert client.get("/gallery/p/crops?collection=bare").json()["crops"][0]["picture"] is None
    answer = client.get(f"/crops/{crop}/picture")
    assert (answer.status_code, answer.json()["error"]) == (404, "PICTURE_NOT_KEPT")
    by_crop = client.post("/query", json={"crop": crop, "collection": "bare"})
    assert by_crop.status_code == 200
    removed = client.delete("/gallery/p?collection=bare").json()["removed"]
    assert removed == {"identities": 1, "crops": 1, "vectors": 1, "pictures": 0}


def test_pictures_are_removed_when_they_shall_not_be_kept_and_only_new_ones_kept_again(
    database_url: str, tmp_path: Path
) -> None:
    with running(tmp_path / "data", database_url) as client:
        client.post("/collections", json={"name": "other"})
        old = enrol(client, "p", 1, 2)
        enrol(client, "q", 3, collection="other")
        assert client.patch("/collections/default", json={"keep_pictures": False}).json()["keep_pictures"] is False
        assert list(files(tmp_path / "data").values()) == [jpeg(3)], "before the answer, and of this collection alone"
        assert [client.get(f"/crops/{one}/picture").json()["error"] for one in old] == ["PICTURE_NOT_KEPT"] * 2
        hits = client.post("/query", **raw(jpeg(1))).json()["candidates"][0]["hits"]
        assert hits[0]["crop"] == old[0]
        client.patch("/collections/default", json={"match_threshold": 0.5})
        assert client.get("/collections/default").json()["keep_pictures"] is False, "what is not named stays"
        client.patch("/collections/default", json={"keep_pictures": True})
        (new,) = enrol(client, "p", 4)
        assert client.get(f"/crops/{new}/picture").content == jpeg(4)
        assert client.get(f"/crops/{old[0]}/picture").status_code == 404
    with running(tmp_path / "data", database_url) as client:
        assert client.get("/readyz").json()["crops"] == 4, "a restart finds crops without pictures as they were"
        assert sorted(files(tmp_path / "data").values()) == sorted([jpeg(3), jpeg(4)])
        assert client.post("/query", **raw(jpeg(2))).json()["candidates"][0]["similarity"] > 0.999


def test_collections_with_and_without_days_are_told_apart(client: TestClient) -> None:
    for name, rules in {"a": {}, "b": {"retention_days": 9}, "c": {"retention_days": 9}, "d": {}}.items():
        client.post("/collections", json={"name": name, **rules})
    crops = {name: enrol(client, "one", 1, collection=name) for name in "abcd"}
    age(client, crops["a"] + crops["b"], days=10)
    age(client, crops["c"] + crops["d"], expired=True)
    gone = [{"collection": name, "crops": 1, "identities": 1} for name in "bcd"]
    assert client.get("/retention").json()["collections"] == gone
    assert client.post("/retention").json()["collections"] == gone
    assert client.post("/retention").json()["collections"] == []
