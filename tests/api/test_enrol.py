"""Enrolment as its clients see it, in each of its three forms."""

import io
import json
import threading
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np
import pytest
from fastapi.testclient import TestClient
from PIL import Image

from service.config import Settings
from tests.api.holdings import files, holdings, parts_of, wait_for, writer_held
from tests.api.sending import base64_of, form, form_of, json_images, raw
from tests.pictures import encode, jpeg, person

FIELDS = {
    "identity": "p-0042",
    "name": "Zoë Ångström",
    "attributes": {"jacket": "red", "age": 30, "bag": None, "tags": ["a", "b"]},
    "camera": "c3",
    "captured_at": "2026-05-01T14:29:58.250000+02:00",
    "track": "t-9",
}


def crops_of(client: TestClient, identity: str, **parameters: Any) -> list[dict[str, Any]]:
    answer = client.get(f"/gallery/{identity}/crops", params=parameters)
    assert answer.status_code == 200, answer.text
    found: list[dict[str, Any]] = answer.json()["crops"]
    return found


def vector_of(client: TestClient, picture: bytes) -> np.ndarray:
    return np.array(client.post("/embed", **raw(picture)).json()["vector"])


def test_a_form_enrols_several_pictures_with_all_that_is_said_of_the_person(client: TestClient) -> None:
    pictures = [jpeg(1), jpeg(1, view=1), jpeg(1, view=2)]
    answer = client.post("/gallery", **form("images", pictures, **{**FIELDS, "attributes": json.dumps({"a": 1})}))
    assert answer.status_code == 201
    content = answer.json()
    assert set(content) == {"identity", "accepted", "rejected", "model", "generation"}
    identity = content["identity"]
    assert set(identity) == {"id", "name", "attributes", "crops", "created_at", "updated_at"}
    assert (identity["id"], identity["name"]) == ("p-0042", "Zoë Ångström")
    assert (identity["attributes"], identity["crops"]) == ({"a": 1}, 3)
    assert content["rejected"] == []
    assert content["generation"] == 3
    assert content["model"] == client.get("/version").json()["model"]
    assert client.get("/gallery/p-0042").json() == identity
    vectors = np.stack([vector_of(client, picture) for picture in pictures])
    similar = vectors @ vectors.T - 9 * np.eye(3)
    for place, accepted in enumerate(content["accepted"]):
        assert set(accepted) == {"index", "filename", "crop", "quality", "similarity_to_identity"}
        assert (accepted["index"], accepted["filename"]) == (place, f"{place}.jpg")
        assert accepted["quality"]["width"] == 64
        assert accepted["quality"]["height"] == 128
        assert 0 < accepted["quality"]["sharpness"] <= 1
        assert accepted["similarity_to_identity"] == pytest.approx(similar[place].max(), abs=1e-4)
    crops = crops_of(client, "p-0042")
    assert [crop["crop"] for crop in crops] == [accepted["crop"] for accepted in content["accepted"]]
    for crop, accepted in zip(crops, content["accepted"], strict=True):
        assert (crop["camera"], crop["track"], crop["captured_at"]) == ("c3", "t-9", "2026-05-01T12:29:58.250000Z")
        assert crop["quality"] == accepted["quality"]
        assert crop["picture"] == f"/crops/{crop['crop']}/picture"


def test_more_pictures_of_a_known_person_are_added_and_what_is_said_is_merged(client: TestClient) -> None:
    first = client.post("/gallery", **json_images(jpeg(1), **{k: v for k, v in FIELDS.items() if k != "captured_at"}))
    assert first.status_code == 201
    assert first.json()["accepted"][0]["similarity_to_identity"] is None, "there was nothing to compare it with"
    assert first.json()["identity"]["attributes"] == {"jacket": "red", "age": 30, "tags": ["a", "b"]}
    second = client.post("/gallery", **raw(jpeg(1, view=1), identity="p-0042", attributes='{"age":31,"jacket":null}'))
    assert second.status_code == 200
    identity = second.json()["identity"]
    assert (identity["crops"], identity["name"]) == (2, FIELDS["name"])
    assert identity["attributes"] == {"age": 31, "tags": ["a", "b"]}
    assert identity["created_at"] == first.json()["identity"]["created_at"]
    similar = vector_of(client, jpeg(1)) @ vector_of(client, jpeg(1, view=1))
    assert second.json()["accepted"][0]["similarity_to_identity"] == pytest.approx(similar, abs=1e-4)
    third = client.post("/gallery", **json_images(jpeg(1, view=2), identity="p-0042", name=None, attributes={}))
    assert third.json()["identity"]["name"] is None, "null removes, as in any merge patch"
    assert third.json()["identity"]["attributes"] == {"age": 31, "tags": ["a", "b"]}
    assert client.get("/gallery/p-0042").json() == third.json()["identity"]
    crops = crops_of(client, "p-0042")
    assert [crop["camera"] for crop in crops] == ["c3", None, None], "a place belongs to its pictures"
    assert client.get("/gallery").json()["identities"] == [third.json()["identity"]]


def test_pictures_in_json_have_places_and_times_of_their_own(client: TestClient) -> None:
    frame = person(1, height=300, width=200)
    sent = {
        "identity": "p-1", "camera": "c1", "track": "t-1", "captured_at": "2026-05-01T12:00:00Z",
        "images": [
            {"image": base64_of(encode(frame, "PNG"))},
            {"image": base64_of(encode(frame, "PNG")), "camera": "c2", "captured_at": "2026-05-02T00:00:00+03:00",
             "track": "t-2", "filename": "second.png", "box": [20, 30, 80, 160]},
            {"image": base64_of(encode(frame, "PNG")), "box": {"x": 0, "y": 0, "width": 64, "height": 128}},
        ],
    }  # fmt: skip
    accepted = client.post("/gallery", json=sent).json()["accepted"]
    assert [one["filename"] for one in accepted] == [None, "second.png", None]
    assert [(one["quality"]["width"], one["quality"]["height"]) for one in accepted] == [
        (200, 300),
        (80, 160),
        (64, 128),
    ]
    crops = crops_of(client, "p-1")
    assert [crop["camera"] for crop in crops] == ["c1", "c2", "c1"]
    assert [crop["track"] for crop in crops] == ["t-1", "t-2", "t-1"]
    assert [crop["captured_at"] for crop in crops] == [
        "2026-05-01T12:00:00Z", "2026-05-01T21:00:00Z", "2026-05-01T12:00:00Z"
    ]  # fmt: skip


@pytest.mark.parametrize("moment", ["0001-01-01T00:00:00Z", "9999-12-31T23:59:59.999999Z", "1969-07-20T20:17:40Z"])
def test_the_first_and_the_last_moment_there_are_may_be_given(moment: str, client: TestClient) -> None:
    client.post("/gallery", **raw(jpeg(1), identity="p-1", captured_at=moment))
    assert [crop["captured_at"] for crop in crops_of(client, "p-1")] == [moment]
    found = client.post("/query", **raw(jpeg(1), filter=json.dumps({"captured_at": moment}))).json()
    assert found["candidates"][0]["hits"][0]["captured_at"] == moment


def test_without_an_id_each_enrolment_is_a_new_person_with_an_id_of_its_own(lite: TestClient) -> None:
    made = [lite.post("/gallery", **raw(jpeg(1))) for _ in range(3)]
    assert [one.status_code for one in made] == [201] * 3
    ids = [one.json()["identity"]["id"] for one in made]
    assert len(set(ids)) == 3
    assert [lite.get(f"/gallery/{identity}").json()["crops"] for identity in ids] == [1, 1, 1]


@pytest.mark.parametrize(
    "identity",
    ["x" * 128, "…", "a b", "Zoë", "%", "?x=1&y#z", "'; DROP TABLE crops; --", "人", "...", " ", "\U0001f600"],
)
def test_an_id_may_be_anything_that_can_stand_in_a_path(identity: str, lite: TestClient) -> None:
    for sent in (raw(jpeg(1), identity=identity), form("images", [jpeg(1)], identity=identity)):
        assert lite.post("/gallery", **sent).json()["identity"]["id"] == identity
    assert lite.get("/gallery").json()["identities"][0]["crops"] == 2
    path = quote(identity, safe="")
    assert lite.get(f"/gallery/{path}").json()["id"] == identity
    assert lite.delete(f"/gallery/{path}").json()["removed"]["crops"] == 2


def test_ids_and_labels_that_look_the_same_are_the_same(client: TestClient) -> None:
    composed, decomposed = "Zoë", "Zoe\u0308"
    client.post("/gallery", **raw(jpeg(1), identity=composed, camera=composed, track=composed))
    again = client.post("/gallery", **raw(jpeg(1), identity=decomposed, camera=decomposed, track=decomposed))
    assert again.status_code == 200
    assert again.json()["identity"]["id"] == composed
    assert [crop["camera"] for crop in crops_of(client, decomposed)] == [composed] * 2
    for wanted in ({"camera": decomposed}, {"track": {"eq": decomposed}}, {"camera": {"in": [decomposed]}}):
        answer = client.post("/query", **raw(jpeg(1), filter=json.dumps(wanted))).json()
        assert [one["identity"] for one in answer["candidates"]] == [composed], wanted
    left = client.post("/query", **raw(jpeg(1), exclude_camera=decomposed)).json()
    assert left["candidates"] == []


def test_good_pictures_are_taken_and_bad_ones_are_told_by_their_place(client: TestClient, settings: Settings) -> None:
    pictures = [jpeg(1), jpeg(1, height=40, width=20), b"text", jpeg(1, view=1), b"", jpeg(1)[:500]]
    content = client.post("/gallery", **form("images", pictures, identity="p-1")).json()
    assert [one["index"] for one in content["accepted"]] == [0, 3]
    assert [(one["index"], one["filename"], one["reasons"]) for one in content["rejected"]] == [
        (1, "1.jpg", ["TOO_SMALL"]), (2, "2.jpg", ["UNSUPPORTED_FORMAT"]), (4, "4.jpg", ["EMPTY"]),
        (5, "5.jpg", ["CORRUPT"]),
    ]  # fmt: skip
    assert "20×40" in content["rejected"][0]["detail"]
    assert content["identity"]["crops"] == 2
    assert len(files(settings.data_dir)) == 2


def test_where_all_are_rejected_nothing_is_stored_not_even_a_name(client: TestClient, settings: Settings) -> None:
    client.post("/gallery", **raw(jpeg(1), identity="p-1", name="before"))
    before = holdings(client, settings.data_dir)
    for identity in ("p-1", "p-2"):
        sent = form("images", [b"text", jpeg(1, height=40, width=20)], identity=identity, name="after")
        answer = client.post("/gallery", **sent)
        content = answer.json()
        assert answer.status_code == 422
        assert set(content) == {"identity", "accepted", "rejected", "model", "generation", "error", "detail"}
        assert (content["identity"], content["accepted"]) == (None, [])
        assert [one["index"] for one in content["rejected"]] == [0, 1]
        assert content["error"] == "ALL_REJECTED"
    assert holdings(client, settings.data_dir) == before


def test_a_box_cuts_the_crop_out_and_the_frame_is_never_kept(lite: TestClient, tmp_path: Path) -> None:
    frame = person(5, height=400, width=300)
    for sent in (raw(encode(frame, "PNG"), "image/png", box="40,60,100,200"),
                 form("images", [encode(frame, "PNG")], box="[40,60,100,200]")):  # fmt: skip
        (accepted,) = lite.post("/gallery", **sent).json()["accepted"]
        picture = lite.get(f"/crops/{accepted['crop']}/picture")
        assert picture.headers["content-type"] == "image/png"
        stored = np.asarray(Image.open(io.BytesIO(picture.content)))
        assert (stored == frame[60:260, 40:140]).all()
        assert accepted["quality"]["width"] == 100
    assert all(Image.open(io.BytesIO(content)).size == (100, 200) for content in files(tmp_path / "data").values())
    part = lite.post("/query", **raw(encode(frame, "PNG"), box="40,60,100,200")).json()
    assert part["candidates"][0]["similarity"] == pytest.approx(1, abs=1e-4)
    assert part["query"]["quality"]["width"] == 100
    cut_out = vector_of(lite, encode(np.ascontiguousarray(frame[60:260, 40:140]), "PNG"))
    boxed = np.array(lite.post("/embed", **raw(encode(frame, "PNG"), box="40,60,100,200")).json()["vector"])
    assert boxed == pytest.approx(cut_out, abs=1e-5)


def test_a_box_counts_pixels_of_the_upright_picture(lite: TestClient) -> None:
    upright = person(5, height=400, width=300)
    exif = Image.Exif()
    exif[0x0112] = 6
    lying = encode(np.ascontiguousarray(np.rot90(upright)), "PNG", exif=exif)
    (accepted,) = lite.post("/gallery", **raw(lying, "image/png", box="40,60,100,200")).json()["accepted"]
    stored = np.asarray(Image.open(io.BytesIO(lite.get(f"/crops/{accepted['crop']}/picture").content)))
    assert (stored == upright[60:260, 40:140]).all()


def test_pictures_come_back_byte_by_byte_with_the_type_their_content_has(lite: TestClient) -> None:
    kinds = [("JPEG", "image/jpeg"), ("PNG", "image/png"), ("WEBP", "image/webp")]
    for form_name, media_type in kinds:
        picture = encode(person(1), form_name)
        for said in ("image/jpeg", "image/png", "image/webp", "application/octet-stream"):
            (accepted,) = lite.post("/gallery", **raw(picture, said)).json()["accepted"]
            answer = lite.get(f"/crops/{accepted['crop']}/picture")
            assert answer.content == picture
            assert answer.headers["content-type"] == media_type, f"sent as {said}"
            assert answer.headers["x-content-type-options"] == "nosniff"
            assert "no-store" in answer.headers["cache-control"]


def test_names_of_files_are_echoed_without_what_could_do_harm(lite: TestClient) -> None:
    names = {
        "a.jpg": "a.jpg",
        "../../etc/passwd": "../../etc/passwd",
        "a\x1b[31m.jpg": "a[31m.jpg",
        "x" * 900: "x" * 255,
    }
    for given, shown in names.items():
        sent = form_of([("images", jpeg(1), given)])
        assert lite.post("/gallery", **sent).json()["accepted"][0]["filename"] == shown
        sent = {"json": {"images": [{"image": base64_of(jpeg(1)), "filename": given}]}}
        assert lite.post("/gallery", **sent).json()["accepted"][0]["filename"] == shown


def test_names_and_attributes_may_be_any_text_there_is(client: TestClient) -> None:
    name = "Zoë 人 \U0001f600 ‮ \\ ' \" % _ <b> \u0085 \t" + "x" * 900
    attributes = {"ключ": name, "a.b": 1, "deep": {"list": [1, 2.5, None, {"x": True}]}, "zero": 0, "false": False}
    sent = form("images", [jpeg(1)], identity="p-1", name=name, attributes=json.dumps(attributes))
    assert client.post("/gallery", **sent).status_code == 201
    found = client.get("/gallery/p-1").json()
    assert found["name"] == name
    assert found["attributes"] == attributes
    assert client.post("/query", **raw(jpeg(1))).json()["candidates"][0]["attributes"] == attributes


def test_a_long_text_may_be_kept_with_a_person_on_either_database(client: TestClient) -> None:
    noise = np.random.default_rng(1)
    text = "".join(chr(code) for code in noise.integers(0x4E00, 0x9000, 4000))  # nothing that could be compressed
    answer = client.post("/gallery", **json_images(jpeg(1), identity="p-1", attributes={"notes": text, "list": [text]}))
    assert answer.status_code in (201, 422), answer.text
    if answer.status_code == 201:
        assert client.get("/gallery/p-1").json()["attributes"]["notes"] == text


def test_ids_of_crops_are_never_used_again(client: TestClient) -> None:
    seen: list[int] = []
    for turn in range(3):
        enrolled = client.post("/gallery", **form("images", [jpeg(1), jpeg(2)], identity=f"p-{turn}")).json()
        first, second = (one["crop"] for one in enrolled["accepted"])
        assert first < second
        assert not seen or first > max(seen)
        seen += [first, second]
        assert client.delete(f"/gallery/p-{turn}/crops/{second}").status_code == 200
        if turn:
            assert client.delete(f"/gallery/p-{turn}").status_code == 200
    for crop in seen[1:]:
        assert client.get(f"/crops/{crop}/picture").status_code == 404


def test_equal_pictures_of_two_people_are_two_files(client: TestClient, settings: Settings) -> None:
    crops = [
        client.post("/gallery", **raw(jpeg(1), identity=identity)).json()["accepted"][0]["crop"]
        for identity in ("p-1", "p-2")
    ]
    assert list(files(settings.data_dir).values()) == [jpeg(1), jpeg(1)]
    client.delete("/gallery/p-1")
    assert list(files(settings.data_dir).values()) == [jpeg(1)]
    assert client.get(f"/crops/{crops[1]}/picture").content == jpeg(1)


def test_each_answer_counts_the_changes_up_to_its_own(client: TestClient) -> None:
    generations = [
        client.post("/gallery", **form("images", [jpeg(1), jpeg(2)], identity="p-1")).json()["generation"],
        client.post("/query", **raw(jpeg(1))).json()["generation"],
        client.post("/gallery", **raw(jpeg(1), identity="p-2")).json()["generation"],
        client.patch("/gallery/p-2", json={"name": "x"}) and client.get("/readyz").json()["generation"],
        client.delete("/gallery/p-2").json()["generation"],
        client.delete("/gallery/p-1").json()["generation"],
        client.get("/readyz").json()["generation"],
    ]
    assert generations == [2, 2, 3, 3, 4, 6, 6]


def test_enrolments_at_the_same_time_all_arrive_and_one_new_person_is_made_once(client: TestClient) -> None:
    answers: list[Any] = []

    def enrol(view: int) -> None:
        answers.append(client.post("/gallery", **raw(jpeg(1, view=view), identity="p-1")))

    threads = [threading.Thread(target=enrol, args=(view,)) for view in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(answer.status_code for answer in answers) == [200] * 5 + [201]
    assert client.get("/gallery/p-1").json()["crops"] == 6
    found = client.post("/query", **raw(jpeg(1), hits=10)).json()["candidates"]
    assert len(found[0]["hits"]) == 6


def test_a_collection_that_goes_while_an_enrolment_waits_is_told_as_such(
    client: TestClient, settings: Settings
) -> None:
    client.post("/collections", json={"name": "going"})
    waiting = parts_of(client).writer.batcher
    answers: dict[str, Any] = {}

    def send(name: str, *request: Any, **sent: Any) -> threading.Thread:
        thread = threading.Thread(target=lambda: answers.update({name: client.request(*request, **sent)}))
        thread.start()
        return thread

    with writer_held(client):
        threads = [send("removal", "DELETE", "/collections/going")]
        wait_for(lambda: waiting.waiting == 1)
        threads.append(send("enrolment", "POST", "/gallery", **raw(jpeg(1), collection="going")))
        wait_for(lambda: waiting.waiting == 2)
    for thread in threads:
        thread.join()
    assert answers["removal"].status_code == 200
    enrolment = answers["enrolment"]
    assert (enrolment.status_code, enrolment.json()["error"]) == (404, "COLLECTION_NOT_FOUND")
    assert files(settings.data_dir) == {}
