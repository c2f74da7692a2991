"""Real pictures of real vehicles over HTTP: every ranking is the one that NumPy gives for the vectors of `/embed`."""

import base64
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2 as httpx
import numpy as np
import pytest

from tests.crash.audit import audit
from tests.end_to_end.truth import BATCHED, EXACT, KnownCrop, check_candidates, mean, rank
from tests.server import Server

JPEG = {"Content-Type": "image/jpeg"}
QUERIES = 12  # of the 60 vehicles of the test folder, against the gallery made of the train folder


def test_the_other_camera_ranks_all_vehicles_as_brute_force_does(
    server: Server, vehicles: Path, database_url: str
) -> None:
    with httpx.Client(base_url=server.url, timeout=30) as client:
        crops, pictures = [], sorted(vehicles.glob("*_cam1.jpg"))
        for path in pictures:
            vehicle = path.name.removesuffix("_cam1.jpg")
            answer = client.post(
                "/gallery", params={"identity": vehicle, "camera": "c1"}, content=path.read_bytes(), headers=JPEG
            )
            assert answer.status_code == 201, answer.text
            (accepted,) = answer.json()["accepted"]
            crops.append(KnownCrop(accepted["crop"], vehicle, _embed(client, path), "c1"))
        assert len(crops) == 60
        certain = 0
        for path in sorted(vehicles.glob("*_cam2.jpg")):
            truth = rank(_embed(client, path), crops)
            found = _ask(client, path, k=100)
            assert found["complete"]
            certain += check_candidates(found["candidates"], truth, k=100, hits=3, tolerance=EXACT)
            assert _ask(client, path, k=7)["candidates"] == found["candidates"][:7]
        assert certain > 0.99 * 60 * 60, "almost everything is a near tie: the test says little"
    rows = audit(database_url, server.data_dir)
    assert {row.crop: row.identity for row in rows} == {one.crop: one.identity for one in crops}
    for row, one in zip(rows, crops, strict=True):
        assert np.abs(row.vector - one.vector).max() < 1e-6


@dataclass(frozen=True, slots=True)
class Fleet:
    """A service that knows 60 identities of one to six crops, from two cameras, each identity of one kind."""

    client: httpx.Client
    crops: list[KnownCrop]
    queries: list[Path]

    def embed(self, path: Path) -> "np.ndarray":
        return _embed(self.client, path)

    def check(self, where: Callable[[KnownCrop], bool], *, k: int = 10, hits: int = 3, **parameters: object) -> None:
        """Ask with these parameters; only the crops that `where` lets through may answer."""
        certain = asked = 0
        for path in self.queries:
            truth = rank(self.embed(path), filter(where, self.crops))
            found = _ask(self.client, path, k=k, hits=hits, **parameters)
            certain += check_candidates(found["candidates"], truth, k=k, hits=hits, tolerance=BATCHED)
            asked += len(found["candidates"])
        assert certain > 0.8 * asked > 0


@pytest.fixture(scope="module")
def fleet(
    shared_data: Path, vehicles: Path, tmp_path_factory: pytest.TempPathFactory, sqlite_template: Path
) -> Iterator[Fleet]:
    folder = tmp_path_factory.mktemp("fleet")
    (folder / "reappear.db").write_bytes(sqlite_template.read_bytes())
    server = Server(folder / "data", f"sqlite:///{folder / 'reappear.db'}")
    server.start()
    try:
        with httpx.Client(base_url=server.url, timeout=30) as client:
            queries = sorted(vehicles.glob("*_cam2.jpg"))[:: 60 // QUERIES]
            yield Fleet(client, _enrol_fleet(client, shared_data), queries)
    finally:
        server.stop()


def _enrol_fleet(client: httpx.Client, shared_data: Path) -> list[KnownCrop]:
    """Vehicles of one kind that follow each other count as one identity, so that identities have several crops."""
    left = sorted((shared_data / "vehicle-reid" / "images" / "train").glob("*.jpg"))[::3]  # both cameras in turn
    crops = []
    for number in range(60):
        pictures, left = left[: 1 + number % 6], left[1 + number % 6 :]
        kind = pictures[0].name.partition("_")[0]
        pictures = [path for path in pictures if path.name.startswith(kind)]
        images = [{"image": _base64(path), "camera": _camera(path)} for path in pictures]
        attributes = {"kind": kind, "number": number}
        asked = {"identity": f"fleet-{number}", "attributes": attributes, "images": images}
        answer = client.post("/gallery", json=asked)
        assert answer.status_code == 201, answer.text
        for accepted in answer.json()["accepted"]:  # some are too small
            path = pictures[accepted["index"]]
            known = KnownCrop(accepted["crop"], f"fleet-{number}", _embed(client, path), _camera(path), attributes)
            crops.append(known)
    assert len(crops) > 150
    return crops


def test_several_crops_of_an_identity_make_one_candidate_with_its_best_hits(fleet: Fleet) -> None:
    fleet.check(lambda crop: True)
    fleet.check(lambda crop: True, k=1, hits=1)
    fleet.check(lambda crop: True, k=3, hits=100)


def test_more_candidates_than_there_are_identities_are_all_of_them(fleet: Fleet) -> None:
    fleet.check(lambda crop: True, k=1000, hits=100)


def test_excluded_cameras_do_not_answer(fleet: Fleet) -> None:
    fleet.check(lambda crop: crop.camera != "c1", exclude_camera="c1")
    fleet.check(lambda crop: crop.camera != "c2", exclude_camera=["c2", "c9"], k=1000)
    fleet.check(
        lambda crop: crop.camera != "c2" and crop.attributes["kind"] == "motorcycle",
        exclude_camera="c2", filter='{"attributes.kind": "motorcycle"}',
    )  # fmt: skip


@pytest.mark.parametrize(
    ("wanted", "where"),
    [
        ('{"camera": "c2"}', lambda crop: crop.camera == "c2"),
        ('{"attributes.kind": "car"}', lambda crop: crop.attributes["kind"] == "car"),
        ('{"attributes.number": {"gte": 10, "lt": 25}}', lambda crop: 10 <= crop.attributes["number"] < 25),
        (
            '{"attributes.kind": ["car", "bus"], "camera": {"in": ["c1"]}, "attributes.number": {"gt": 3}}',
            lambda crop: (
                crop.attributes["kind"] in ("car", "bus") and crop.camera == "c1" and crop.attributes["number"] > 3
            ),
        ),
    ],
    ids=["a camera", "an attribute", "a range", "all at once"],
)
def test_a_filter_lets_through_what_it_says_before_the_best_are_taken(
    fleet: Fleet, wanted: str, where: Callable[[KnownCrop], bool]
) -> None:
    fleet.check(where, filter=wanted)
    fleet.check(where, filter=wanted, k=1000, hits=100)
    fleet.check(lambda crop: where(crop) and crop.camera != "c9", filter=wanted, exclude_camera="c9")


def test_a_filter_that_nothing_meets_finds_nobody(fleet: Fleet) -> None:
    found = _ask(fleet.client, fleet.queries[0], filter='{"attributes.kind": "tram"}')
    assert (found["decision"], found["candidates"], found["complete"]) == ("unknown", [], True)


def test_a_raw_body_a_form_and_json_give_the_same_answer(fleet: Fleet) -> None:
    for path in fleet.queries:
        fields = {"k": 20, "hits": 5, "exclude_camera": "c1", "filter": '{"attributes.number": {"lt": 40}}'}
        raw = _ask(fleet.client, path, **fields)
        form = fleet.client.post("/query", data=fields, files={"image": (path.name, path.read_bytes())}).json()
        asked = {**fields, "exclude_camera": ["c1"], "filter": {"attributes.number": {"lt": 40}}}
        as_json = fleet.client.post("/query", json={**asked, "image": _base64(path)}).json()
        embedded = fleet.client.post("/embed", content=path.read_bytes(), headers=JPEG).json()
        vector = {"vector": embedded["vector"], "model": embedded["model"]}
        by_vector = fleet.client.post("/query", json={**asked, **vector}).json()
        for other in (form, as_json):
            assert _without_timings(other) == _without_timings(raw)
        allowed = [one for one in fleet.crops if one.camera != "c1" and one.attributes["number"] < 40]
        for answer in (raw, by_vector):
            truth = rank(fleet.embed(path), allowed)
            check_candidates(answer["candidates"], truth, k=20, hits=5, tolerance=BATCHED)


def test_several_pictures_of_one_vehicle_are_asked_for_as_their_mean(fleet: Fleet) -> None:
    for path in fleet.queries:
        both = [path, path.with_name(path.name.replace("cam2", "cam1"))]
        files = [("image", (one.name, one.read_bytes(), "image/jpeg")) for one in both]
        found = fleet.client.post("/query?k=1000", files=files).json()
        truth = rank(mean([fleet.embed(one) for one in both]), fleet.crops)
        check_candidates(found["candidates"], truth, k=1000, hits=3, tolerance=BATCHED)


def test_a_crop_or_an_identity_asks_for_the_others(fleet: Fleet) -> None:
    for one in fleet.crops[::20]:
        found = fleet.client.post("/query", json={"crop": one.crop, "k": 1000}).json()
        truth = rank(one.vector, (other for other in fleet.crops if other.crop != one.crop))
        check_candidates(found["candidates"], truth, k=1000, hits=3, tolerance=BATCHED)
        found = fleet.client.post("/query", json={"identity": one.identity, "k": 1000}).json()
        vector = mean([other.vector for other in fleet.crops if other.identity == one.identity])
        truth = rank(vector, (other for other in fleet.crops if other.identity != one.identity))
        check_candidates(found["candidates"], truth, k=1000, hits=3, tolerance=BATCHED)


def test_the_decision_follows_the_threshold_of_the_request(fleet: Fleet) -> None:
    path = fleet.queries[0]
    first, second, *_ = rank(fleet.embed(path), fleet.crops)
    between = (first.similarity + second.similarity) / 2
    found = _ask(fleet.client, path, threshold=between)
    assert found["threshold"] == pytest.approx(between)
    assert [one["decision"] == "match" for one in found["candidates"]] == [True, *[False] * 9]
    assert found["decision"] == "match"
    assert _ask(fleet.client, path, threshold=min(1.0, first.similarity + 1e-3))["decision"] != "match"


def test_an_empty_collection_knows_nobody(fleet: Fleet) -> None:
    assert fleet.client.post("/collections", json={"name": "empty"}).status_code == 201
    found = _ask(fleet.client, fleet.queries[0], collection="empty")
    assert (found["decision"], found["candidates"], found["complete"]) == ("unknown", [], True)


def _ask(client: httpx.Client, path: Path, **parameters: Any) -> dict[str, Any]:
    answer = client.post("/query", params=parameters, content=path.read_bytes(), headers=JPEG)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


_embedded: dict[tuple[str, Path], "np.ndarray"] = {}


def _embed(client: httpx.Client, path: Path) -> "np.ndarray":
    key = (str(client.base_url), path)
    if key not in _embedded:
        answer = client.post("/embed", content=path.read_bytes(), headers=JPEG)
        _embedded[key] = np.array(answer.json()["vector"], np.float32)
    return _embedded[key]


def _base64(path: Path) -> str:
    return base64.b64encode(path.read_bytes()).decode()


def _camera(path: Path) -> str:
    return f"c{path.stem[-1]}"


def _without_timings(answer: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in answer.items() if name != "timings_ms"}
