"""Collections: separate people, settings of their own."""

import threading
from typing import Any

from fastapi.testclient import TestClient

from service.config import Settings
from tests.api.holdings import files, holdings, parts_of
from tests.api.sending import form, raw
from tests.pictures import jpeg


def names(client: TestClient) -> list[str]:
    return [one["name"] for one in client.get("/collections").json()["collections"]]


def test_a_collection_is_made_shown_changed_and_removed(client: TestClient) -> None:
    (default,) = client.get("/collections").json()["collections"]
    assert set(default) == {
        "name", "match_threshold", "possible_threshold", "retention_days", "keep_pictures", "identities", "crops",
        "created_at",
    }  # fmt: skip
    assert (default["name"], default["match_threshold"], default["identities"], default["crops"]) == (
        "default", None, 0, 0
    )  # fmt: skip
    made = client.post("/collections", json={"name": "warehouse", "match_threshold": 0.7, "possible_threshold": 0.5})
    assert made.status_code == 201
    assert client.get("/collections/warehouse").json() == made.json()
    assert (made.json()["match_threshold"], made.json()["possible_threshold"]) == (0.7, 0.5)
    assert client.post("/collections", json={"name": "Zoë's"}).status_code == 201
    assert names(client) == ["Zoë's", "default", "warehouse"]
    changed = client.patch("/collections/warehouse", json={"possible_threshold": 0.6})
    assert (changed.json()["match_threshold"], changed.json()["possible_threshold"]) == (0.7, 0.6)
    assert client.patch("/collections/warehouse", json={"match_threshold": None}).json()["match_threshold"] is None
    assert client.patch("/collections/warehouse", json={}).json()["possible_threshold"] == 0.6
    removed = client.delete("/collections/warehouse")
    assert (removed.status_code, removed.json()["removed"]["crops"]) == (200, 0)
    assert client.get("/collections/warehouse").status_code == 404
    assert names(client) == ["Zoë's", "default"]


def test_collections_are_in_the_same_order_on_either_database(client: TestClient) -> None:
    for name in ("b", "B", "a b", "ab", "é", "Z", "_", "1"):
        assert client.post("/collections", json={"name": name}).status_code == 201
    assert names(client) == sorted(names(client))


def test_a_name_can_be_taken_only_once_and_the_default_stays(client: TestClient, settings: Settings) -> None:
    client.post("/collections", json={"name": "warehouse"})
    client.post("/collections", json={"name": "Zoë"})
    client.post("/gallery", **raw(jpeg(1), identity="p-1"))
    before = holdings(client, settings.data_dir)
    for name in ("warehouse", "default", "Zoe\u0308"):
        answer = client.post("/collections", json={"name": name})
        assert (answer.status_code, answer.json()["error"]) == (409, "CONFLICT")
    for parameters in ("", "?with_identities=true"):
        answer = client.delete(f"/collections/default{parameters}")
        assert (answer.status_code, answer.json()["error"]) == (409, "CONFLICT")
    assert holdings(client, settings.data_dir) == before


def test_people_of_two_collections_know_nothing_of_each_other(client: TestClient) -> None:
    for collection, threshold in (("a", 0.9), ("b", None)):
        client.post("/collections", json={"name": collection, "match_threshold": threshold})
    crops = {}
    for seed, collection in ((1, "a"), (2, "b"), (3, "default")):
        answer = client.post("/gallery", **raw(jpeg(seed), identity="same", name=collection, collection=collection))
        assert answer.status_code == 201
        crops[collection] = answer.json()["accepted"][0]["crop"]
        assert answer.json()["accepted"][0]["similarity_to_identity"] is None
    for collection, crop in crops.items():
        assert client.get(f"/gallery/same?collection={collection}").json()["name"] == collection
        found = client.post("/query", **raw(jpeg(1), collection=collection)).json()
        assert [(one["name"], one["hits"][0]["crop"]) for one in found["candidates"]] == [(collection, crop)]
        listed = client.get(f"/gallery?collection={collection}").json()["identities"]
        assert [one["name"] for one in listed] == [collection]
        assert client.get(f"/collections/{collection}").json()["crops"] == 1
    assert client.post("/query", **raw(jpeg(1), collection="a")).json()["threshold"] == 0.9
    compared = client.post("/compare", json={"a": {"identity": "same"}, "b": {"crop": crops["a"]}, "collection": "a"})
    assert compared.json()["threshold"] == 0.9
    client.patch("/gallery/same?collection=a", json={"name": "changed"})
    client.delete(f"/gallery/same/crops/{crops['b']}?collection=b")
    client.delete("/gallery/same")
    assert client.get("/gallery/same?collection=a").json()["name"] == "changed"
    assert client.get("/gallery/same?collection=b").json()["crops"] == 0
    assert client.get("/gallery/same").status_code == 404


def test_a_collection_goes_with_its_people_only_when_told_to(client: TestClient, settings: Settings) -> None:
    client.post("/collections", json={"name": "going"})
    client.post("/gallery", **raw(jpeg(9), identity="stays"))
    client.post("/gallery", **form("images", [jpeg(1), jpeg(2)], identity="p-1", collection="going"))
    crop = client.post("/gallery", **raw(jpeg(3), identity="p-2", collection="going")).json()["accepted"][0]["crop"]
    before = holdings(client, settings.data_dir)
    refused = client.delete("/collections/going")
    assert (refused.status_code, refused.json()["error"]) == (409, "CONFLICT")
    assert "with_identities=true" in refused.json()["detail"]
    assert holdings(client, settings.data_dir) == before
    removed = client.delete("/collections/going?with_identities=true").json()
    assert removed["removed"] == {"identities": 2, "crops": 3, "vectors": 3, "pictures": 3}
    assert list(files(settings.data_dir).values()) == [jpeg(9)]
    assert client.get(f"/crops/{crop}/picture").status_code == 404
    assert client.post("/query", **raw(jpeg(1), collection="going")).status_code == 404
    assert len(parts_of(client).galleries) == 1
    assert len(parts_of(client).galleries.cut()) == 1, "an index without people is not kept either"
    client.post("/collections", json={"name": "going"})
    assert client.post("/query", **raw(jpeg(1), collection="going")).json()["candidates"] == []
    assert client.get("/gallery?collection=going").json()["identities"] == []
    assert client.get("/gallery/stays").json()["crops"] == 1


def test_one_name_asked_for_by_many_at_once_is_given_once(client: TestClient) -> None:
    answers: list[Any] = []
    threads = [
        threading.Thread(target=lambda: answers.append(client.post("/collections", json={"name": "new"})))
        for _ in range(6)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(answer.status_code for answer in answers) == [201, 409, 409, 409, 409, 409]
    assert names(client) == ["default", "new"]
