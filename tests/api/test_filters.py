"""`filter` and `exclude_camera`: who is left, before the best are chosen."""

import json
import time
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from service.app import create_app
from service.config import Settings
from service.db.sightings import allowed_crops
from service.domain import CropIds
from tests.api.conftest import Filled, running
from tests.api.sending import base64_of, raw
from tests.conftest import wait_until_ready
from tests.pictures import jpeg

PEOPLE: dict[str, dict[str, Any]] = {
    "red": {
        "attributes": {"jacket": "red", "age": 30, "vip": True, "tags": ["a", "b", 7], "a.b": "dotted", "naïve": "é"},
        "camera": "c1", "track": "t-1", "captured_at": "2026-05-01T10:00:00Z",
    },
    "blue": {
        "attributes": {"jacket": "blue", "age": 40.5, "vip": False, "tags": ["b"], "deep": {"jacket": "red"}},
        "camera": "c2", "track": "t-2", "captured_at": "2026-05-01T12:00:00Z",
    },
    "odd": {
        "attributes": {"jacket": 1, "age": "30", "vip": "true", "tags": [], "zero": 0, "negative": -3, "ends": [0, 10]},
        "camera": "C1", "captured_at": "2026-05-02T00:00:00.000001Z",
    },
    "bare": {},
}  # fmt: skip
EVERYBODY = set(PEOPLE)


def shown(value: Any) -> str:
    """A test's id, the same in every process."""
    return str(sorted(value) if isinstance(value, set) else value)[:60]


ATTRIBUTE_FILTERS: list[tuple[Any, set[str]]] = [
    ({}, EVERYBODY),
    ({"attributes.jacket": "red"}, {"red"}),
    ({"attributes.jacket": "Red"}, set()),
    ({"attributes.jacket": ["red", "blue"]}, {"red", "blue"}),
    ({"attributes.jacket": {"in": ["red", 1]}}, {"red", "odd"}),
    ({"attributes.jacket": {"eq": "blue"}}, {"blue"}),
    ({"attributes.jacket": 1}, {"odd"}),
    ({"attributes.jacket": 1.0}, {"odd"}),
    ({"attributes.jacket": "1"}, set()),
    ({"attributes.jacket": True}, set()),
    ({"attributes.jacket": []}, set()),
    ({"attributes.age": 30}, {"red"}),
    ({"attributes.age": "30"}, {"odd"}),
    ({"attributes.age": [30, 40.5]}, {"red", "blue"}),
    ({"attributes.age": [40, 40.5, 3_000_000_000]}, {"blue"}),
    ({"attributes.age": {"gte": 30}}, {"red", "blue"}),
    ({"attributes.age": {"gt": 30}}, {"blue"}),
    ({"attributes.age": {"gt": 30, "lt": 40.5}}, set()),
    ({"attributes.age": {"gte": 30, "lte": 40.5}}, {"red", "blue"}),
    ({"attributes.age": {"lt": 1e300}}, {"red", "blue"}),
    ({"attributes.age": {"gte": "3", "lt": "4"}}, {"odd"}),
    ({"attributes.jacket": {"gt": "blue", "lte": "red"}}, {"red"}),
    ({"attributes.jacket": {"gte": "b"}}, {"red", "blue"}),
    ({"attributes.jacket": {"lt": "a"}}, set()),
    ({"attributes.vip": True}, {"red"}),
    ({"attributes.vip": False}, {"blue"}),
    ({"attributes.vip": [True, "true"]}, {"red", "odd"}),
    ({"attributes.vip": 1}, set()),
    ({"attributes.vip": 0}, set()),
    ({"attributes.vip": {"gte": 0}}, set()),
    ({"attributes.zero": 0}, {"odd"}),
    ({"attributes.zero": False}, set()),
    ({"attributes.negative": {"lt": 0}}, {"odd"}),
    ({"attributes.tags": "b"}, {"red", "blue"}),
    ({"attributes.tags": ["a", "z"]}, {"red"}),
    ({"attributes.tags": {"gte": 7}}, {"red"}),
    ({"attributes.ends": {"gte": 3}}, {"odd"}),
    ({"attributes.ends": {"gte": 3, "lte": 5}}, set()),  # by two of its elements: it is not between them
    ({"attributes.ends": {"gte": 10, "lte": 10}}, {"odd"}),
    ({"attributes.a.b": "dotted"}, {"red"}),
    ({"attributes.deep": "red"}, set()),
    ({"attributes.nowhere": "red"}, set()),
    ({"attributes.naïve": "é"}, {"red"}),
    ({"attributes.nai\u0308ve": "é"}, {"red"}),
    ({"attributes.jacket": "red", "attributes.age": 30}, {"red"}),
    ({"attributes.jacket": "red", "attributes.age": 40.5}, set()),
    ({"attributes.jacket": "red' OR '1'='1"}, set()),
    ({"attributes.jacket": "%"}, set()),
]
CROP_FILTERS: list[tuple[Any, set[str]]] = [
    ({"camera": "c1"}, {"red"}),
    ({"camera": ["c1", "c2", "c9"]}, {"red", "blue"}),
    ({"camera": {"gte": "c1"}}, {"red", "blue"}),
    ({"camera": {"lt": "c1"}}, {"odd"}),  # capitals come first, on either database
    ({"camera": []}, set()),
    ({"track": "t-2"}, {"blue"}),
    ({"track": {"gt": "t-1"}}, {"blue"}),
    ({"captured_at": "2026-05-01T10:00:00Z"}, {"red"}),
    ({"captured_at": "2026-05-01T12:00:00+02:00"}, {"red"}),
    ({"captured_at": ["2026-05-01T10:00:00Z", "2026-05-01T12:00:00Z"]}, {"red", "blue"}),
    ({"captured_at": {"gte": "2026-05-01T12:00:00Z"}}, {"blue", "odd"}),
    ({"captured_at": {"gt": "2026-05-01T12:00:00Z"}}, {"odd"}),
    ({"captured_at": {"gt": "2026-05-02T00:00:00Z"}}, {"odd"}),
    ({"captured_at": {"gte": "2026-05-01T00:00:00Z", "lt": "2026-05-02T00:00:00Z"}}, {"red", "blue"}),
    ({"captured_at": {"lt": "9999-12-31T23:59:59Z"}}, {"red", "blue", "odd"}),
    ({"camera": "c1", "attributes.jacket": "red", "captured_at": {"lte": "2026-05-01T10:00:00Z"}}, {"red"}),
    ({"camera": "c1", "attributes.jacket": "blue"}, set()),
]


@pytest.fixture(scope="module")
def people(module_url: str, tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder: Path = tmp_path_factory.mktemp("people")
    with running(folder / "data", module_url) as client:
        for seed, (identity, fields) in enumerate(PEOPLE.items()):
            sent = {"images": [{"image": base64_of(jpeg(seed))}], "identity": identity, **fields}
            assert client.post("/gallery", json=sent).status_code == 201
        yield client


def found_by(client: TestClient, **parameters: Any) -> list[str]:
    answer = client.post("/query", **raw(jpeg(0), **parameters))
    assert answer.status_code == 200, answer.text
    assert answer.json()["complete"] is True
    return [one["identity"] for one in answer.json()["candidates"]]


@pytest.mark.parametrize(("wanted", "expected"), ATTRIBUTE_FILTERS + CROP_FILTERS, ids=shown)
def test_a_filter_leaves_those_who_meet_all_of_it(wanted: Any, expected: set[str], people: TestClient) -> None:
    found = found_by(people, filter=json.dumps(wanted))
    assert set(found) == expected
    assert len(found) == len(expected)
    by_crop = people.post("/query", json={"crop": 4, "filter": wanted}).json()["candidates"]
    assert {one["identity"] for one in by_crop} == expected - {"bare"}, "crop 4 is the bare one itself"


@pytest.mark.parametrize(("wanted", "expected"), ATTRIBUTE_FILTERS, ids=shown)
def test_the_list_of_people_takes_the_same_filters_on_attributes(
    wanted: Any, expected: set[str], people: TestClient
) -> None:
    listed = people.get("/gallery", params={"filter": json.dumps(wanted)}).json()["identities"]
    assert {one["id"] for one in listed} == expected
    assert len(listed) == len(expected)


@pytest.mark.parametrize(
    ("cameras", "expected"),
    [
        ([], EVERYBODY), (["c1"], {"blue", "odd", "bare"}), (["c1", "c2", "C1"], {"bare"}), (["c9"], EVERYBODY),
        ("c2", {"red", "odd", "bare"}),
    ],
    ids=shown,
)  # fmt: skip
def test_excluding_cameras_keeps_crops_of_others_and_of_none(
    cameras: Any, expected: set[str], people: TestClient
) -> None:
    assert set(found_by(people, exclude_camera=cameras)) == expected
    by_json = people.post("/query", json={"image": base64_of(jpeg(0)), "exclude_camera": cameras}).json()["candidates"]
    assert {one["identity"] for one in by_json} == expected


def test_an_exclusion_and_a_filter_hold_together(people: TestClient) -> None:
    wanted = json.dumps({"attributes.tags": "b"})
    assert found_by(people, filter=wanted, exclude_camera="c1") == ["blue"]
    assert found_by(people, filter=wanted, exclude_camera=["c1", "c2"]) == []


def test_a_filter_works_before_the_best_are_chosen(people: TestClient) -> None:
    ranked = found_by(people)
    assert len(ranked) == 4
    last = ranked[-1]
    wanted = {"red": {"camera": "c1"}, "blue": {"camera": "c2"}, "odd": {"camera": "C1"}}.get(last)
    parameters = {"exclude_camera": ["c1", "c2", "C1"]} if wanted is None else {"filter": json.dumps(wanted)}
    assert found_by(people, k=1, **parameters) == [last]


def test_hits_are_those_crops_of_a_person_that_meet_the_filter(client: TestClient) -> None:
    crops = {}
    for view, camera in enumerate(("c1", "c2", "c1", "c2", None)):
        place = {"camera": camera} if camera else {}
        answer = client.post("/gallery", **raw(jpeg(1, view=view), identity="p-1", **place))
        crops[answer.json()["accepted"][0]["crop"]] = camera
    client.post("/gallery", **raw(jpeg(2), identity="p-2", camera="c2"))

    def hits(**parameters: Any) -> list[str | None]:
        (one,) = client.post("/query", **raw(jpeg(1), k=1, hits=10, **parameters)).json()["candidates"]
        assert one["identity"] == "p-1"
        assert all(crops[hit["crop"]] == hit["camera"] for hit in one["hits"])
        return sorted((hit["camera"] for hit in one["hits"]), key=str)

    assert hits() == [None, "c1", "c1", "c2", "c2"]
    assert hits(filter='{"camera":"c1"}') == ["c1", "c1"]
    assert hits(exclude_camera="c1") == [None, "c2", "c2"]
    assert hits(exclude_camera="c2", filter='{"camera":["c1","c2"]}') == ["c1", "c1"]


def test_filters_follow_every_change_of_a_person(client: TestClient) -> None:
    def listed(value: Any) -> list[str]:
        params = {"filter": json.dumps({"attributes.jacket": value})}
        return [one["id"] for one in client.get("/gallery", params=params).json()["identities"]]

    client.post("/gallery", **raw(jpeg(1), identity="p-1", attributes='{"jacket": ["red", "blue"]}'))
    assert (listed("red"), listed("blue")) == (["p-1"], ["p-1"])
    client.patch("/gallery/p-1", json={"attributes": {"jacket": "green"}})
    assert (listed("red"), listed("green")) == ([], ["p-1"])
    client.post("/gallery", **raw(jpeg(1), identity="p-1", attributes='{"jacket": 5}'))
    assert (listed("green"), listed(5)) == ([], ["p-1"])
    client.patch("/gallery/p-1", json={"attributes": {"jacket": None}})
    assert listed(5) == []
    client.delete("/gallery/p-1")
    client.post("/gallery", **raw(jpeg(1), identity="p-1"))
    assert listed([5, "red", "green"]) == []


def test_a_query_by_filter_follows_every_change_though_filters_are_remembered(client: TestClient) -> None:
    def asked(**wanted: Any) -> set[str]:
        return set(found_by(client, filter=json.dumps(wanted)))

    client.post("/gallery", **raw(jpeg(1), identity="p-1", camera="c1", attributes='{"jacket": "red"}'))
    for _ in range(3):
        assert (asked(camera="c1"), asked(camera="c2"), asked(**{"attributes.jacket": "red"})) == (
            {"p-1"},
            set(),
            {"p-1"},
        )
    client.post("/gallery", **raw(jpeg(2), identity="p-2", camera="c1"))
    assert asked(camera="c1") == {"p-1", "p-2"}
    client.patch("/gallery/p-1", json={"attributes": {"jacket": "green"}})
    assert asked(**{"attributes.jacket": "red"}) == set()
    client.delete("/gallery/p-1")
    assert asked(camera="c1") == {"p-2"}
    client.post("/collections", json={"name": "other"})
    client.post("/gallery", **raw(jpeg(3), identity="p-3", camera="c1", collection="other"))
    assert asked(camera="c1") == {"p-2"}
    assert found_by(client, filter='{"camera": "c1"}', collection="other") == ["p-3"]


def wait_for_entries(client: TestClient, action: str, count: int) -> None:
    """Reads are written down together, twice a second."""
    deadline = time.monotonic() + 30
    while [one["action"] for one in client.get("/audit").json()["entries"]].count(action) < count:
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_a_filter_is_read_once_though_its_queries_go_to_the_audit_log(
    monkeypatch: pytest.MonkeyPatch, settings: Settings
) -> None:
    read: list[int] = []

    def counted(*arguments: Any) -> CropIds:
        read.append(1)
        return allowed_crops(*arguments)

    monkeypatch.setattr("service.start.shared_crops", counted)
    monkeypatch.setattr("service.flows.query.allowed_crops", counted)
    with TestClient(create_app(settings), base_url="http://127.0.0.1") as client:
        wait_until_ready(client)
        client.post("/gallery", **raw(jpeg(1), identity="p-1", camera="c1"))
        for asked in range(1, 4):
            assert found_by(client, filter='{"camera": "c1"}') == ["p-1"]
            wait_for_entries(client, "query", asked)
        assert len(read) == 1
        client.post("/gallery", **raw(jpeg(2), identity="p-2", camera="c2"))
        assert found_by(client, filter='{"camera": "c1"}') == ["p-1"]
        assert len(read) == 2
        many = json.dumps({"camera": ["c1", *(f"d{number}" for number in range(64))]})
        for _ in range(2):
            assert found_by(client, filter=many) == ["p-1"]
        assert len(read) == 4, "one so large is not remembered"


def test_cameras_may_be_left_out_one_parameter_each(filled: Filled) -> None:
    both = "/query?exclude_camera=a&exclude_camera=b"
    assert filled.client.post(both, content=jpeg(1), headers={"Content-Type": "image/jpeg"}).status_code == 200
