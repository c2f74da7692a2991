"""/compare and /embed: two at a time, one at a time."""

from typing import Any

import numpy as np
import pytest
from fastapi.testclient import TestClient

from service.flows.compare import BLOCK, _best
from tests.api.conftest import Filled
from tests.api.sending import base64_of, form, raw
from tests.index.brute_force import unit_vectors
from tests.pictures import encode, jpeg, person


def embed(client: TestClient, picture: bytes) -> dict[str, Any]:
    answer = client.post("/embed", **raw(picture))
    assert answer.status_code == 200, answer.text
    content: dict[str, Any] = answer.json()
    return content


def compare(client: TestClient, a: Any, b: Any, **fields: Any) -> dict[str, Any]:
    answer = client.post("/compare", json={"a": a, "b": b, **fields})
    assert answer.status_code == 200, answer.text
    content: dict[str, Any] = answer.json()
    return content


def test_a_vector_is_of_unit_length_and_says_which_model_made_it(filled: Filled) -> None:
    content = embed(filled.client, jpeg(1))
    assert set(content) == {"vector", "dim", "model", "quality"}
    assert len(content["vector"]) == content["dim"]
    assert np.linalg.norm(content["vector"]) == pytest.approx(1, abs=1e-3)
    assert content["model"] == filled.client.get("/version").json()["model"]
    assert content["quality"]["width"] == 64
    for sent in (form("image", [jpeg(1)]), {"json": {"image": base64_of(jpeg(1))}}, raw(jpeg(1), "image/png")):
        again = filled.client.post("/embed", **sent).json()
        assert again["vector"] == pytest.approx(content["vector"], abs=1e-4)
    filled.assert_untouched()


def test_a_box_may_be_given_in_each_way_it_is_written(filled: Filled) -> None:
    frame = encode(person(1, height=200, width=100), "PNG")
    part = encode(np.ascontiguousarray(person(1, height=200, width=100)[20:180, 10:90]), "PNG")
    expected = embed(filled.client, part)["vector"]
    box: Any
    for box in ("10,20,80,160", " 10, 20, 80, 160 ", "[10,20,80,160]", '{"x":10,"y":20,"width":80,"height":160}'):
        for sent in (raw(frame, box=box), form("image", [frame], box=box)):
            answer = filled.client.post("/embed", **sent)
            assert answer.json()["vector"] == pytest.approx(expected, abs=1e-4), box
    for box in ([10, 20, 80, 160], {"x": 10, "y": 20, "width": 80, "height": 160}, "10,20,80,160"):
        answer = filled.client.post("/embed", json={"image": base64_of(frame), "box": box})
        assert answer.json()["vector"] == pytest.approx(expected, abs=1e-4), box


def test_two_of_any_kind_are_compared_by_their_cosine(filled: Filled) -> None:
    client = filled.client
    one, two = embed(client, jpeg(1)), embed(client, jpeg(2))
    expected = float(np.dot(one["vector"], two["vector"]))
    first = client.get("/gallery/p-1/crops").json()["crops"][0]["crop"]
    second = client.get("/gallery/p-2/crops").json()["crops"][0]["crop"]
    for a in ({"image": base64_of(jpeg(1))}, {"vector": one["vector"], "model": one["model"]}, {"crop": first}):
        for b in ({"image": base64_of(jpeg(2))}, {"vector": two["vector"], "model": two["model"]}, {"crop": second}):
            answer = compare(client, a, b)
            assert set(answer) == {"similarity", "decision", "threshold", "possible_threshold", "metric", "model"}
            assert answer["similarity"] == pytest.approx(expected, abs=1e-4)
            assert compare(client, b, a)["similarity"] == pytest.approx(answer["similarity"], abs=1e-6)
    as_form = client.post("/compare", files=[("a", ("a.jpg", jpeg(1))), ("b", ("b.jpg", jpeg(2)))])
    assert as_form.json()["similarity"] == pytest.approx(expected, abs=1e-4)
    assert compare(client, {"crop": first}, {"crop": first})["similarity"] == pytest.approx(1, abs=1e-3)
    filled.assert_untouched()


def test_no_cosine_is_above_one_whatever_rounding_makes_of_it(client: TestClient) -> None:
    for seed in range(8):
        sent = raw(jpeg(seed), identity=f"p-{seed}")
        assert client.post("/gallery", **sent).status_code == 201
        told = client.post("/gallery", **sent).json()["accepted"][0]["similarity_to_identity"]
        same = compare(client, {"identity": f"p-{seed}"}, {"image": base64_of(jpeg(seed))})["similarity"]
        found = client.post("/query", **raw(jpeg(seed))).json()["candidates"][0]["similarity"]
        for similarity in (told, same, found):
            assert 0.9999 < similarity <= 1


def test_of_an_identity_its_best_crop_counts(filled: Filled) -> None:
    client = filled.client
    theirs = {seed: np.array([embed(client, jpeg(seed, view=view))["vector"] for view in range(2)]) for seed in (1, 2)}
    pair = compare(client, {"identity": "p-1"}, {"identity": "p-2"})
    assert pair["similarity"] == pytest.approx(float((theirs[1] @ theirs[2].T).max()), abs=1e-4)
    probe = embed(client, jpeg(5))
    single = compare(client, {"vector": probe["vector"], "model": probe["model"]}, {"identity": "p-1"})
    assert single["similarity"] == pytest.approx(float((theirs[1] @ probe["vector"]).max()), abs=1e-4)


def test_the_decision_is_made_by_the_threshold_in_force(client: TestClient) -> None:
    client.post("/gallery", **raw(jpeg(1), identity="p-1"))
    client.post("/gallery", **raw(jpeg(2), identity="p-2"))
    pair = {"identity": "p-1"}, {"identity": "p-2"}
    similarity = compare(client, *pair)["similarity"]
    above, below = similarity + 1e-4, similarity - 1e-4
    assert compare(client, *pair, threshold=below)["decision"] == "match"
    assert compare(client, *pair, threshold=below)["threshold"] == below
    client.patch("/collections/default", json={"match_threshold": above, "possible_threshold": above})
    assert compare(client, *pair)["decision"] == "unknown"
    client.patch("/collections/default", json={"possible_threshold": below})
    assert compare(client, *pair)["decision"] == "possible"
    client.patch("/collections/default", json={"match_threshold": below})
    assert compare(client, *pair)["decision"] == "match"
    as_form = client.post(
        "/compare", files=[("a", ("a.jpg", jpeg(1))), ("b", ("b.jpg", jpeg(2)))], data={"threshold": "1"}
    )
    assert as_form.json()["threshold"] == 1


def test_the_best_pair_of_two_who_have_many_crops_is_found_wherever_it_is() -> None:
    left, right = unit_vectors(BLOCK + 9, 16, seed=1), unit_vectors(2 * BLOCK + 1, 16, seed=2)
    left[-1] = right[-1]
    assert _best(left, right) == pytest.approx(1.0, abs=1e-6)
    left[-1] = -right[-1]
    assert _best(left, right) == pytest.approx(float((left.astype(np.float64) @ right.T).max()), abs=1e-6)
