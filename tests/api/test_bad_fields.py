"""Fields of enrolments and changes that cannot be used, on both databases."""

import json
import time
import unicodedata
from typing import Any

import pytest

from service.api.fields import check_id, check_label
from tests.api.conftest import Filled
from tests.api.refused import BAD_BOXES, BAD_IDS, BAD_LABELS, LONG, PICTURE, assert_refused
from tests.api.sending import as_parameters, base64_of, form, form_of, json_images, json_text, raw

BAD_MOMENTS = [
    "2026-05-01T12:30:00",  # naive
    "2026-05-01",
    "2026-02-30T00:00:00Z",
    "2026-05-01T25:00:00Z",
    "2026-05-01T12:30:00+25:00",
    "0001-01-01T00:00:00+01:00",  # in UTC before the year 1
    "9999-12-31T23:59:59-01:00",  # in UTC after the year 9999
    "0000-01-01T00:00:00Z",
    "12026-05-01T12:30:00Z",
    "1777638600",
    "yesterday",
    "",
]

BAD_ENROL_FIELDS: list[tuple[str, Any]] = [
    *(("identity", value) for value in BAD_IDS),
    *(("collection", value) for value in BAD_IDS),
    *(("camera", value) for value in BAD_LABELS),
    *(("track", value) for value in BAD_LABELS),
    *(("captured_at", value) for value in BAD_MOMENTS),
    *(("box", value) for value in BAD_BOXES),
    ("name", "a\x00b"),
    ("name", "x" * 1025),
    ("colour", "red"),
    ("images_", "red"),
    ("k", "5"),
]
BAD_ATTRIBUTES: list[Any] = [
    [], [1], "text", 3, True, {"": 1}, {LONG: 1}, {"a\x00": 1}, {"a": "\x00"}, {"a": {"b\x00": 1}}, {"a": ["\x00"]},
    {"a": 2**53 + 1}, {"a": -(2**60)}, {"a": [2**53 + 1]}, {"a": {"b": {"c": {"d": {"e": 1}}}}}, {"a": "x" * 17_000},
    {"a": 1e20}, {"a": 2.0**60},
    {f"key{number}": number for number in range(65)},
]  # fmt: skip
BAD_JSON_TEXTS = [  # what no JSON library writes: not a number, too large a number, half a surrogate pair
    '{"a": NaN}', '{"a": Infinity}', '{"a": -Infinity}', '{"a": 1e999}', f'{{"a": {10**400}}}', '{"a": "\\ud800"}',
    '{"a": 18446744073709551617}', '{"a": -9223372036854775809}',
    '{"\\udfff": 1}', "{", "", '{"a": 1}}', '{"a": 1', "'a'", '{"a":' * 2000,
]  # fmt: skip


def test_a_long_label_of_marks_is_refused_before_it_is_composed() -> None:
    """Which takes time by the square of its length: a megabyte of them, minutes."""
    began = time.process_time()
    for check in (check_label, check_id):
        with pytest.raises(ValueError, match="must have 1–128 characters, has 2000000"):
            check("\u0301" * 1_000_000 + "\u0323" * 1_000_000)
    assert time.process_time() - began < 5


def test_a_label_may_be_sent_in_as_many_characters_as_it_is_composed_of() -> None:
    composed = "\u1ed9" * 128
    assert check_label(unicodedata.normalize("NFD", composed)) == composed


def test_a_field_that_is_not_known_is_told_with_those_that_are(filled: Filled) -> None:
    detail = filled.client.post("/compare", json={"a": {"crop": 1}, "b": {"crop": 2}, "treshold": 0.5}).json()["detail"]
    assert detail.startswith("treshold: ")
    assert detail.endswith("; the fields are a, b, collection, threshold")


@pytest.mark.parametrize(("field", "value"), BAD_ENROL_FIELDS)
def test_an_enrolment_with_a_bad_field_is_refused(field: str, value: str, filled_on_each: Filled) -> None:
    client = filled_on_each.client
    for sent in (
        raw(PICTURE, **{field: value}),
        form_of([("images", PICTURE, "a.jpg"), (field, value.encode())]),
        json_images(PICTURE, **{field: value}),
    ):
        word = field if field != "images_" else ""
        assert_refused(filled_on_each, client.post("/gallery", **sent), word=word)


@pytest.mark.parametrize("attributes", BAD_ATTRIBUTES, ids=lambda value: json.dumps(value)[:40])
def test_attributes_that_not_everybody_can_keep_are_refused(attributes: Any, filled_on_each: Filled) -> None:
    client = filled_on_each.client
    for answer in (
        client.post("/gallery", **form("images", [PICTURE], attributes=json.dumps(attributes))),
        client.post("/gallery", **raw(PICTURE, attributes=json.dumps(attributes), identity="p-1")),
        client.post("/gallery", **json_images(PICTURE, attributes=attributes)),
        client.patch("/gallery/p-1", json={"attributes": attributes}),
    ):
        assert_refused(filled_on_each, answer)


@pytest.mark.parametrize("text", BAD_JSON_TEXTS, ids=lambda text: text[:40] or "nothing")
def test_attributes_that_are_not_json_are_refused(text: str, filled_on_each: Filled) -> None:
    client = filled_on_each.client
    body = f'{{"images": [{{"image": "{base64_of(PICTURE)}"}}], "attributes": {text}}}'
    for answer in (
        client.post("/gallery", **form_of([("images", PICTURE, "a.jpg"), ("attributes", text.encode())])),
        client.post("/gallery", **raw(PICTURE, attributes=text)),
        client.post("/gallery", **json_text(body)),
        client.patch("/gallery/p-1", **json_text(f'{{"attributes": {text}}}')),
    ):
        assert_refused(filled_on_each, answer)


@pytest.mark.parametrize("field", ["identity", "name", "camera", "track", "collection"])
def test_half_a_surrogate_pair_is_refused_wherever_text_may_stand(field: str, filled_on_each: Filled) -> None:
    client = filled_on_each.client
    half = b"\xed\xa0\x80"  # U+D800 as careless encoders write it
    body = f'{{"images": [{{"image": "{base64_of(PICTURE)}"}}], "{field}": "\\ud800"}}'
    sent = [
        form_of([("images", PICTURE, "a.jpg"), (field, half)]),
        form_of([("images", PICTURE, "a.jpg"), (field, b"+2AA-")], charset="utf-7"),
        form_of([("images", PICTURE, "a.jpg"), (field, rb"\ud800")], charset="unicode_escape"),
        json_text(body),
    ]
    for one in sent:
        assert_refused(filled_on_each, client.post("/gallery", **one))
    answer = client.post(f"/gallery?{field}=%ED%A0%80", content=PICTURE, headers={"Content-Type": "image/jpeg"})
    assert_refused(filled_on_each, answer)


def test_a_form_may_say_that_it_is_utf_8_and_nothing_else(filled: Filled) -> None:
    parts = [("images", PICTURE, "a.jpg"), ("name", "Zoë".encode("utf-16"))]
    assert_refused(filled, filled.client.post("/gallery", **form_of(parts, charset="utf-16")), word="must be utf-8")
    asked = form_of([("image", PICTURE, "a.jpg"), ("k", b"1")], charset="UTF-8")
    assert filled.client.post("/query", **asked).status_code == 200


def test_a_form_in_another_encoding_than_utf_8_is_refused_rather_than_garbled(filled: Filled) -> None:
    latin = form_of([("images", PICTURE, "a.jpg"), ("name", "Zoë".encode("latin-1"))])
    assert_refused(filled, filled.client.post("/gallery", **latin))
    latin = raw(PICTURE)
    assert_refused(filled, filled.client.post("/gallery?name=Zo%EB", content=PICTURE, headers=latin["headers"]))


BAD_IMAGES: list[Any] = [
    "none", None, [], {}, [1], [None], ["text"], [{}], [{"image": None}], [{"image": 5}], [{"image": "%%%"}],
    [{"image": "AAA"}], [{"image": "AAA\n="}], [{"image": "data:image/jpeg;base64,AAAA"}], [{"image": "ä"}],
    [{"image": base64_of(PICTURE), "colour": "red"}], [{"image": base64_of(PICTURE), "camera": ""}],
    [{"image": base64_of(PICTURE), "captured_at": "2026-05-01T12:30:00"}],
    [{"image": base64_of(PICTURE), "captured_at": 1777638600}], [{"image": base64_of(PICTURE), "box": [0, 0, 5]}],
    [{"image": base64_of(PICTURE), "box": {"x": 0, "y": 0, "width": 5}}], [{"image": base64_of(PICTURE), "box": 5}],
    [{"image": base64_of(PICTURE), "box": [0, 0, True, 5]}], [{"image": base64_of(PICTURE), "filename": "x" * 1025}],
    [{"image": base64_of(PICTURE)}] * 33,
]  # fmt: skip


TOO_MUCH = {str(number): 1 for number in range(40_000)}


@pytest.mark.parametrize(
    ("path", "sent"),
    [
        ("/compare", {"json": {"a": TOO_MUCH, "b": {"crop": 1}}}),
        ("/query", {"json": {"crop": 1, "filter": TOO_MUCH}}),
        ("/query", form_of([("image", PICTURE, "a.jpg"), ("filter", json.dumps(TOO_MUCH).encode())])),
        ("/gallery", json_images(PICTURE, attributes={"a": [1] * 40_000})),
        ("/gallery", json_images(PICTURE, attributes={"a": [[]] * 20_000})),
        ("/gallery", {"json": {"images": [{}] * 40_000}}),
    ],
    ids=["keys", "filter", "filter in a form", "numbers", "lists", "images"],
)
def test_more_values_than_any_request_needs_are_refused_unread(path: str, sent: dict[str, Any], filled: Filled) -> None:
    assert_refused(filled, filled.client.post(path, **sent), word="at most 32,768 values")


def test_the_largest_filter_is_taken(filled: Filled) -> None:
    wanted = {f"attributes.k{key}": list(range(1000)) for key in range(16)}
    answer = filled.client.post("/query", json={"crop": 1, "filter": wanted})
    assert (answer.status_code, answer.json()["candidates"]) == (200, [])
    wanted["attributes.one more"] = [1]
    assert_refused(filled, filled.client.post("/query", json={"crop": 1, "filter": wanted}), word="at most 16")


@pytest.mark.parametrize("images", BAD_IMAGES, ids=lambda value: json.dumps(value)[:40])
def test_json_images_of_another_shape_are_refused(images: Any, filled: Filled) -> None:
    assert_refused(filled, filled.client.post("/gallery", json={"images": images}))


@pytest.mark.parametrize(
    ("path", "sent"),
    [
        ("/gallery", {"json": {"identity": "p-1"}}),
        ("/gallery", form("images", [PICTURE] * 33)),
        ("/query", form("image", [PICTURE] * 33)),
        ("/gallery", form_of([("identity", b"p-1")])),
        ("/query", form_of([("k", b"3")])),
        ("/embed", form_of([])),
        ("/embed", form("image", [PICTURE] * 2)),
        ("/embed", form("picture", [PICTURE])),
        ("/embed", {"json": {}}),
        ("/gallery", form("picture", [PICTURE])),
        ("/gallery", form("name", [PICTURE])),
        ("/query", form("picture", [PICTURE])),
        ("/query", form_of([("image", PICTURE)])),  # without a file name it is a text
        ("/compare", form("a", [PICTURE])),
        ("/compare", form("a", [PICTURE] * 2)),
        ("/compare", {"files": [("a", PICTURE), ("b", PICTURE), ("c", PICTURE)]}),
        ("/compare", {"files": [("a", PICTURE), ("b", PICTURE), ("b", PICTURE)]}),
        ("/compare", raw(PICTURE)),
        ("/compare", {"json": {"a": {"crop": 1}}}),
        ("/compare", {"json": {"a": {"crop": 1}, "b": {"crop": 1, "identity": "p-1"}}}),
        ("/compare", {"json": {"a": {"crop": 1}, "b": {}}}),
        ("/compare", {"json": {"a": {"crop": 1}, "b": "p-1"}}),
    ],
    ids=lambda value: value if isinstance(value, str) else str(value)[:60],
)
def test_too_few_or_too_many_or_misplaced_pictures_are_refused(path: str, sent: Any, filled: Filled) -> None:
    assert_refused(filled, filled.client.post(path, **sent))


def test_more_cameras_to_exclude_than_a_database_takes_are_the_clients_mistake(filled_on_each: Filled) -> None:
    cameras = [f"c{number}" for number in range(30_000)]
    answer = filled_on_each.client.post("/query", json={"crop": 1, "exclude_camera": cameras})
    assert_refused(filled_on_each, answer, word="exclude_camera")


@pytest.mark.parametrize(
    ("path", "change"),
    [
        ("/gallery/p-1", {"name": "a\x00b"}), ("/gallery/p-1", {"name": 5}), ("/gallery/p-1", {"colour": "red"}),
        ("/gallery/p-1", {"id": "p-9"}), ("/gallery/p-1", {"name": "x" * 1025}),
        ("/collections/other", {"match_threshold": 2}), ("/collections/other", {"match_threshold": "nan"}),
        ("/collections/other", {"possible_threshold": -2}), ("/collections/other", {"name": "renamed"}),
        ("/collections/other", {"match_threshold": 0.5, "possible_threshold": 0.6}),
    ],
)  # fmt: skip
def test_a_bad_change_is_refused(path: str, change: dict[str, Any], filled_on_each: Filled) -> None:
    assert_refused(filled_on_each, filled_on_each.client.patch(path, json=change))


@pytest.mark.parametrize(
    "new",
    [
        {}, {"name": ""}, {"name": ".."}, {"name": "a/b"}, {"name": LONG}, {"name": "a\x00b"}, {"name": None},
        {"name": 5}, {"name": "new", "colour": "red"}, {"name": "new", "match_threshold": 1.5},
        {"name": "new", "match_threshold": 0.5, "possible_threshold": 0.6}, {"name": "new", "match_threshold": "high"},
    ],
    ids=lambda value: json.dumps(value)[:50],
)  # fmt: skip
def test_a_bad_collection_is_refused(new: dict[str, Any], filled_on_each: Filled) -> None:
    assert_refused(filled_on_each, filled_on_each.client.post("/collections", json=new))


def test_the_detail_of_a_refusal_is_bounded_whatever_was_sent(filled: Filled) -> None:
    for sent in ({"images": [1] * 20_000}, {f"key{number}": 1 for number in range(20_000)}):
        assert_refused(filled, filled.client.post("/gallery", json=sent))
    parameters = as_parameters({f"key{number}": 1 for number in range(2000)})
    assert_refused(filled, filled.client.post("/query", **raw(PICTURE, **parameters)))


@pytest.mark.parametrize("key", ["", "x" * 256])
def test_a_key_that_is_empty_or_too_long_is_refused(key: str, filled: Filled) -> None:
    sent = raw(PICTURE)
    sent["headers"]["Idempotency-Key"] = key
    assert_refused(filled, filled.client.post("/gallery", **sent))
