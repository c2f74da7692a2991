"""Who is this? Compared with a brute-force search over the same vectors."""

import json
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fastapi.testclient import TestClient

import service.flows.candidates
from tests.api.conftest import Filled, running
from tests.api.sending import base64_of, form, json_images, raw
from tests.pictures import encode, jpeg, person

PEOPLE, VIEWS = 7, 4
TOLERANCE = 1e-4  # vectors of one picture may differ this much between batches


def embed(client: TestClient, picture: bytes) -> np.ndarray:
    return np.array(client.post("/embed", **raw(picture)).json()["vector"])


def query(client: TestClient, sent: dict[str, Any]) -> dict[str, Any]:
    answer = client.post("/query", **sent)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


class Crowd:
    """People in a service, and their vectors, to search by hand."""

    def __init__(self, client: TestClient) -> None:
        self.client = client
        self.owner: dict[int, str] = {}
        vectors = []
        for seed in range(PEOPLE):
            pictures = [jpeg(seed, view=view) for view in range(VIEWS)]
            answer = client.post("/gallery", **form("images", pictures, identity=f"p-{seed}", name=f"Person {seed}"))
            for one, picture in zip(answer.json()["accepted"], pictures, strict=True):
                self.owner[one["crop"]] = f"p-{seed}"
                vectors.append(embed(client, picture))
        self.crops = list(self.owner)
        self.vectors = np.stack(vectors)

    def expected(self, vector: np.ndarray, without: tuple[str, ...] = ()) -> dict[str, list[tuple[float, int]]]:
        """Identities, best first, each with all its (similarity, crop), best first."""
        found: dict[str, list[tuple[float, int]]] = {}
        similarities = self.vectors @ (vector / np.linalg.norm(vector))
        for similarity, crop in sorted(zip(similarities, self.crops, strict=True), reverse=True):
            if self.owner[crop] not in without:
                found.setdefault(self.owner[crop], []).append((float(similarity), crop))
        return found


@pytest.fixture(scope="module")
def crowd(tmp_path_factory: pytest.TempPathFactory, sqlite_template: Path) -> Any:
    folder = tmp_path_factory.mktemp("crowd")
    (folder / "own.db").write_bytes(sqlite_template.read_bytes())
    with running(folder / "data", f"sqlite:///{folder / 'own.db'}") as client:
        yield Crowd(client)


def assert_same(answer: dict[str, Any], expected: dict[str, list[tuple[float, int]]], k: int, hits: int) -> None:
    """The candidates are those found by hand, up to the order of near ties."""
    candidates = answer["candidates"]
    assert len(candidates) == min(k, len(expected))
    assert [one["rank"] for one in candidates] == list(range(1, len(candidates) + 1))
    assert len({one["identity"] for one in candidates}) == len(candidates), "nobody comes twice"
    best = [similarities[0][0] for similarities in expected.values()]
    assert [one["similarity"] for one in candidates] == pytest.approx(best[: len(candidates)], abs=TOLERANCE)
    for one in candidates:
        theirs = expected[one["identity"]]
        assert one["similarity"] == pytest.approx(theirs[0][0], abs=TOLERANCE)
        assert one["similarity"] == one["hits"][0]["similarity"]
        assert len(one["hits"]) == min(hits, len(theirs)), "hits are complete"
        wanted = [similarity for similarity, _ in theirs[:hits]]
        assert [hit["similarity"] for hit in one["hits"]] == pytest.approx(wanted, abs=TOLERANCE)
        assert {hit["crop"] for hit in one["hits"]} <= {crop for _, crop in theirs}


@pytest.mark.parametrize(("k", "hits"), [(1, 1), (1, 4), (2, 3), (3, 100), (7, 2), (10, 3), (1000, 100)])
def test_the_answer_is_the_one_a_search_by_hand_gives(k: int, hits: int, crowd: Crowd) -> None:
    for seed in range(PEOPLE):
        picture = jpeg(seed, view=9)
        answer = query(crowd.client, raw(picture, k=k, hits=hits))
        assert_same(answer, crowd.expected(embed(crowd.client, picture)), k, hits)
        assert answer["complete"] is True


@pytest.mark.parametrize("first_fetch", [1, 2, 5, 9])
def test_a_search_that_sees_few_crops_at_first_still_finds_everybody_and_all_their_hits(
    first_fetch: int, crowd: Crowd, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service.flows.candidates, "FIRST_FETCH", first_fetch)
    monkeypatch.setattr(service.flows.candidates, "CROPS_PER_IDENTITY", 1)
    for seed in range(PEOPLE):
        picture = jpeg(seed, view=9)
        expected = crowd.expected(embed(crowd.client, picture))
        for k, hits in ((1, 4), (2, 3), (5, 4), (7, 4), (9, 4)):
            answer = query(crowd.client, raw(picture, k=k, hits=hits))
            assert_same(answer, expected, k, hits)
            assert answer["complete"] is True


def test_an_answer_that_gave_up_says_so(crowd: Crowd, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service.flows.candidates, "FIRST_FETCH", 4)
    monkeypatch.setattr(service.flows.candidates, "CROPS_PER_IDENTITY", 1)
    monkeypatch.setattr(service.flows.candidates, "MAX_FETCH", 4)
    answer = query(crowd.client, raw(jpeg(1, view=9), k=7, hits=4))
    assert 1 <= len(answer["candidates"]) <= 4
    assert answer["complete"] is False
    assert query(crowd.client, raw(jpeg(1, view=9), k=1))["complete"] is True


def test_an_answer_with_everybody_who_may_answer_is_complete_although_crops_are_left(
    crowd: Crowd, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service.flows.candidates, "MAX_FETCH", PEOPLE * VIEWS - 1)
    for probe, others in (({"image": base64_of(jpeg(1))}, PEOPLE), ({"identity": "p-1"}, PEOPLE - 1)):
        answer = query(crowd.client, {"json": {**probe, "k": 10}})
        assert len(answer["candidates"]) == others
        assert answer["complete"] is True


def test_every_way_to_send_a_picture_gives_the_same_answer(crowd: Crowd) -> None:
    picture = jpeg(3, view=9)
    parameters = {"k": 4, "hits": 2, "threshold": 0.5}
    answers = [
        query(crowd.client, sent)
        for sent in (
            raw(picture, **parameters),
            raw(picture, "application/octet-stream", **parameters),
            form("image", [picture], **parameters),
            form("images", [picture], **parameters),
            {**form("image", [picture], k=4, hits=2), "params": {"threshold": 0.5}},
            {"json": {"image": base64_of(picture), **parameters}},
            {"json": {"image": base64_of(picture), "k": 4, "hits": 2}, "params": {"threshold": 0.5}},
            {"json": {"image": base64_of(picture), "filter": None, "exclude_camera": [], "box": None, **parameters}},
        )
    ]
    for answer in answers:
        assert answer["candidates"] == answers[0]["candidates"]
        assert {name: answer[name] for name in ("decision", "threshold", "query", "model", "generation")} == {
            name: answers[0][name] for name in ("decision", "threshold", "query", "model", "generation")
        }


def test_an_answer_tells_all_it_promises(crowd: Crowd) -> None:
    answer = query(crowd.client, raw(jpeg(3)))
    assert set(answer) == {
        "decision", "threshold", "possible_threshold", "metric", "candidates", "complete", "query", "model",
        "generation", "timings_ms",
    }  # fmt: skip
    assert answer["metric"] == "cosine"
    assert {"decode", "embed", "search", "join"} <= set(answer["timings_ms"])
    assert all(0 <= time < 60_000 for time in answer["timings_ms"].values())
    assert answer["query"]["quality"] == {"width": 64, "height": 128, "sharpness": pytest.approx(0.9, abs=0.1)}
    assert answer["generation"] == PEOPLE * VIEWS
    first = answer["candidates"][0]
    assert set(first) == {"rank", "identity", "name", "attributes", "similarity", "decision", "hits"}
    assert (first["identity"], first["name"], first["attributes"]) == ("p-3", "Person 3", {})
    assert len(first["hits"]) == 3, "by default"
    assert len(answer["candidates"]) == min(10, PEOPLE), "by default"
    hit = first["hits"][0]
    assert set(hit) == {"crop", "similarity", "camera", "captured_at", "picture"}
    assert crowd.client.get(hit["picture"]).content == jpeg(3), "the very picture that matched"


def test_several_pictures_are_one_person_seen_several_times(crowd: Crowd) -> None:
    pictures = [jpeg(1, view=8), jpeg(1, view=9), jpeg(4, view=9)]
    mean = np.mean([embed(crowd.client, picture) for picture in pictures], axis=0)
    answer = query(crowd.client, form("image", pictures, k=7))
    assert_same(answer, crowd.expected(mean), 7, 3)
    assert [one["height"] for one in answer["query"]["quality"]] == [128] * 3


def test_a_vector_is_searched_by_its_direction(crowd: Crowd) -> None:
    model = crowd.client.get("/version").json()["model"]
    vector = embed(crowd.client, jpeg(2, view=9))
    expected = crowd.expected(vector)
    for scale in (1.0, 1e-30, 12345.678):
        answer = query(crowd.client, {"json": {"vector": (vector * scale).tolist(), "model": model}})
        assert_same(answer, expected, 10, 3)
        assert answer["query"]["quality"] is None
        assert "embed" not in answer["timings_ms"]
    opposite = query(crowd.client, {"json": {"vector": (-vector).tolist(), "model": model}})
    assert_same(opposite, crowd.expected(-vector), 10, 3)


def test_a_crop_finds_the_others_of_its_person_but_not_itself(crowd: Crowd) -> None:
    for crop in (crowd.crops[0], crowd.crops[9], crowd.crops[-1]):
        expected = crowd.expected(crowd.vectors[crowd.crops.index(crop)])
        expected = {name: [one for one in theirs if one[1] != crop] for name, theirs in expected.items()}
        expected = dict(sorted(expected.items(), key=lambda item: -item[1][0][0]))
        answer = query(crowd.client, {"json": {"crop": crop, "k": 7, "hits": 4}})
        assert_same(answer, expected, 7, 4)
        assert crop not in [hit["crop"] for one in answer["candidates"] for hit in one["hits"]]
        assert answer["query"]["quality"] is None


def test_an_identity_is_compared_with_everybody_else(crowd: Crowd) -> None:
    for seed in (0, 3, PEOPLE - 1):
        own = [crowd.crops.index(crop) for crop, name in crowd.owner.items() if name == f"p-{seed}"]
        expected = crowd.expected(crowd.vectors[own].mean(axis=0), without=(f"p-{seed}",))
        for k in (1, 6, 10):
            answer = query(crowd.client, {"json": {"identity": f"p-{seed}", "k": k}})
            assert_same(answer, expected, k, 3)
            assert answer["complete"] is True


def test_an_empty_gallery_is_an_answer_and_not_an_error(client: TestClient) -> None:
    client.post("/collections", json={"name": "empty"})
    for sent in (raw(jpeg(1)), raw(jpeg(1), collection="empty"), form("image", [jpeg(1), jpeg(2)])):
        answer = query(client, sent)
        assert (answer["decision"], answer["candidates"], answer["complete"]) == ("unknown", [], True)
    crop = client.post("/gallery", **raw(jpeg(1), identity="p-1")).json()["accepted"][0]["crop"]
    for probe in ({"crop": crop}, {"identity": "p-1"}):
        answer = query(client, {"json": probe})
        assert (answer["decision"], answer["candidates"], answer["complete"]) == ("unknown", [], True)
    client.delete(f"/gallery/p-1/crops/{crop}")
    client.post("/gallery", **raw(jpeg(2), identity="p-2"))
    answer = query(client, {"json": {"identity": "p-1"}})
    assert (answer["decision"], answer["candidates"]) == ("unknown", []), "an identity without crops resembles nobody"


def test_equal_pictures_of_two_people_are_ordered_by_the_lower_crop(client: TestClient) -> None:
    crops: dict[str, int] = {}
    for identity in ("p-z", "p-m", "p-a"):
        crops[identity] = client.post("/gallery", **raw(jpeg(1), identity=identity)).json()["accepted"][0]["crop"]
    for _ in range(3):
        candidates = query(client, raw(jpeg(1)))["candidates"]
        assert [one["identity"] for one in candidates] == ["p-z", "p-m", "p-a"]
        assert len({one["similarity"] for one in candidates}) == 1, "equal pictures tie exactly"
    assert [one["identity"] for one in query(client, raw(jpeg(1), k=2))["candidates"]] == ["p-z", "p-m"]
    client.delete(f"/gallery/p-z/crops/{crops['p-z']}")
    client.post("/gallery", **raw(jpeg(1), identity="p-z"))
    assert [one["identity"] for one in query(client, raw(jpeg(1)))["candidates"]] == ["p-m", "p-a", "p-z"]


def test_the_threshold_of_the_request_rules_over_that_of_the_collection_and_of_the_model(client: TestClient) -> None:
    for seed in (1, 2, 3):
        client.post("/gallery", **raw(jpeg(seed), identity=f"p-{seed}"))
    plain = query(client, raw(jpeg(1, view=9)))
    similarities = [one["similarity"] for one in plain["candidates"]]
    assert similarities == sorted(similarities, reverse=True)
    above, below = min(1.0, similarities[0] + 1e-4), similarities[0] - 1e-6

    def decisions(**parameters: Any) -> tuple[str, float, float, list[str]]:
        answer = query(client, raw(jpeg(1, view=9), **parameters))
        assert answer["decision"] == answer["candidates"][0]["decision"]
        each = [one["decision"] for one in answer["candidates"]]
        return answer["decision"], answer["threshold"], answer["possible_threshold"], each

    # the model's
    match, possible = plain["threshold"], plain["possible_threshold"]
    assert possible <= match
    expected = [
        "match" if one >= match else "possible" if one >= possible else "unknown" for one in similarities
    ]  # fmt: skip
    assert decisions() == (expected[0], match, possible, expected)
    # the collection's
    client.patch("/collections/default", json={"match_threshold": above, "possible_threshold": below})
    assert decisions() == ("possible", above, below, ["possible", "unknown", "unknown"])
    client.patch("/collections/default", json={"match_threshold": similarities[0]})
    assert decisions()[0] == "match", "a threshold that is reached is passed"
    client.patch("/collections/default", json={"match_threshold": above, "possible_threshold": above})
    assert decisions()[0] == "unknown"
    # the request's
    assert decisions(threshold=similarities[0])[:3] == ("match", similarities[0], similarities[0])
    assert decisions(threshold=similarities[1])[3] == ["match", "match", "unknown"]
    assert decisions(threshold=-1)[3] == ["match"] * 3
    client.patch("/collections/default", json={"match_threshold": None, "possible_threshold": None})
    assert decisions() == (expected[0], match, possible, expected)


def test_reads_see_every_write_that_was_answered(client: TestClient) -> None:
    for turn in range(4):
        crop = client.post("/gallery", **raw(jpeg(turn), identity="p-1")).json()["accepted"][0]["crop"]
        found = query(client, raw(jpeg(turn)))["candidates"]
        assert [one["hits"][0]["crop"] for one in found] == [crop]
        assert found[0]["similarity"] == pytest.approx(1, abs=TOLERANCE)
        if turn % 2:
            client.delete("/gallery/p-1")
        else:
            client.delete(f"/gallery/p-1/crops/{crop}")
        assert query(client, raw(jpeg(turn)))["candidates"] == []


def test_a_removed_crop_is_in_no_answer_and_the_others_of_its_person_stay(client: TestClient) -> None:
    pictures = [jpeg(1, view=view) for view in range(6)]
    crops = [
        one["crop"] for one in client.post("/gallery", **json_images(*pictures, identity="p-1")).json()["accepted"]
    ]
    client.post("/gallery", **json_images(*(jpeg(2, view=view) for view in range(6)), identity="p-2"))
    for gone in range(1, 6):
        client.delete(f"/gallery/p-1/crops/{crops[gone - 1]}")
        for k in (1, 2):
            found = {one["identity"]: one for one in query(client, raw(jpeg(1, view=9), k=k, hits=10))["candidates"]}
            shown = [hit["crop"] for hit in found["p-1"]["hits"]] if "p-1" in found else crops[gone:]
            assert sorted(shown) == crops[gone:]


def test_queries_at_the_same_time_get_their_own_answers(crowd: Crowd) -> None:
    answers: dict[int, dict[str, Any]] = {}

    def ask(seed: int) -> None:
        answers[seed] = query(crowd.client, raw(jpeg(seed), k=1, hits=1))

    threads = [threading.Thread(target=ask, args=(seed,)) for seed in range(PEOPLE)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {seed: one["candidates"][0]["identity"] for seed, one in answers.items()} == {
        seed: f"p-{seed}" for seed in range(PEOPLE)
    }


def test_one_picture_gives_one_vector_whatever_its_file_format(crowd: Crowd) -> None:
    image = person(1, view=9)
    png, webp = encode(image, "PNG"), encode(image, "WEBP", lossless=True)
    assert embed(crowd.client, png) == pytest.approx(embed(crowd.client, webp), abs=TOLERANCE)
    assert np.linalg.norm(embed(crowd.client, png)) == pytest.approx(1, abs=1e-3)


def test_a_filter_may_come_as_text_or_as_an_object(filled: Filled) -> None:
    for wanted in ({"camera": "c1"}, {}, None):
        text = query(filled.client, raw(jpeg(1), filter=json.dumps(wanted or {})))
        as_object = query(filled.client, {"json": {"image": base64_of(jpeg(1)), "filter": wanted}})
        assert text["candidates"] == as_object["candidates"]
        assert bool(text["candidates"]) is (wanted != {"camera": "c1"})
