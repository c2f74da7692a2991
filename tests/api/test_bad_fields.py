"""Fields that cannot be used: each is refused with 4xx, `error` and `detail`, on both databases, without a trace."""

import json
import math
from typing import Any

import pytest

from tests.api.conftest import Filled
from tests.api.sending import as_parameters, base64_of, form, form_of, json_images, json_text, raw
from tests.pictures import jpeg

PICTURE = jpeg(1)
LONG = "x" * 129


def assert_refused(filled: Filled, answer: Any, status: int = 422, code: str = "INVALID_INPUT", word: str = "") -> None:
    assert (answer.status_code, answer.json()["error"]) == (status, code), answer.text
    assert set(answer.json()) == {"error", "detail"}
    assert word in answer.json()["detail"]
    assert 0 < len(answer.json()["detail"]) < 2000, "a detail is for people to read"
    filled.assert_untouched()


BAD_IDS = ["", LONG, "a/b", "/", ".", "..", "a\x00b", "a\x07b", "a\nb", "\x7f", "a\u0085b"]
BAD_LABELS = ["", LONG, "a\x00b", "a\x1bb"]
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
BAD_BOXES = [
    "", "1,2,3", "1,2,3,4,5", "a,b,c,d", "0,0,0,10", "0,0,10,0", "-1,0,5,5", "0,0,-5,5", "1.5,0,5,5", "1e3,0,5,5",
    "nan,0,5,5", "9" * 5000 + ",0,5,5", "1;2;3;4",
]  # fmt: skip

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
    {f"key{number}": number for number in range(65)},
]  # fmt: skip
BAD_JSON_TEXTS = [  # what no JSON library writes: not a number, too large a number, half a surrogate pair
    '{"a": NaN}', '{"a": Infinity}', '{"a": -Infinity}', '{"a": 1e999}', f'{{"a": {10**400}}}', '{"a": "\\ud800"}',
    '{"\\udfff": 1}', "{", "", '{"a": 1}}', '{"a": 1', "'a'", '{"a":' * 2000,
]  # fmt: skip


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


BAD_QUERY_FIELDS: list[tuple[str, Any]] = [
    *(("k", value) for value in (0, -1, 1001, 10**9, 10**30, "ten", "", "1.5")),
    *(("hits", value) for value in (0, -1, 101, 10**9, "three")),
    *(("threshold", value) for value in (2, -1.01, "nan", "inf", "-inf", "high", "")),
    *(("box", value) for value in BAD_BOXES),
    *(("collection", value) for value in BAD_IDS),
    *(("exclude_camera", value) for value in BAD_LABELS),
    *(("filter", value) for value in ("", "{", "[]", "3", '"camera"', "{'camera': 'c1'}")),
    ("colour", "red"),
    ("min_generations", "3"),
]
BAD_FILTERS: list[dict[str, Any]] = [
    {"colour": "red"}, {"attributes": "red"}, {"attributes.": "red"}, {"attributes.a\x00": 1},
    {f"attributes.{LONG}": 1},
    {"identity": "p-1"}, {"Camera": "c1"}, {"": 1}, {"camera": 1}, {"camera": True}, {"camera": None},
    {"camera": ["c1", 2]}, {"camera": {"in": "c1"}}, {"camera": {"like": "c%"}}, {"camera": {"eq": None}},
    {"camera": {"eq": ["c1"]}}, {"camera": "\x00"}, {"track": {"gt": 5}}, {"captured_at": "2026-05-01T00:00:00"},
    {"captured_at": 5}, {"captured_at": {"gte": "yesterday"}}, {"captured_at": {"gte": "9999-12-31T23:59:59-01:00"}},
    {"captured_at": {"lt": ["2026-05-01T00:00:00Z"]}}, {"attributes.a": None}, {"attributes.a": {"gt": True}},
    {"attributes.a": {"gt": [1]}}, {"attributes.a": {"gt": None}}, {"attributes.a": {"ne": 1}},
    {"attributes.a": {"eq": {"b": 1}}}, {"attributes.a": [[1]]}, {"attributes.a": 2**60}, {"attributes.a": "\x00"},
    {"attributes.a": list(range(1001))}, {"camera": {}}, {"attributes.a": {}},
]  # fmt: skip


@pytest.mark.parametrize(("field", "value"), BAD_QUERY_FIELDS)
def test_a_query_with_a_bad_field_is_refused(field: str, value: Any, filled_on_each: Filled) -> None:
    text = str(value)
    for sent in (
        raw(PICTURE, **{field: text}),
        form_of([("image", PICTURE, "a.jpg"), (field, text.encode())]),
        {"json": {"image": base64_of(PICTURE), field: value}},
    ):
        assert_refused(filled_on_each, filled_on_each.client.post("/query", **sent), word=field)


@pytest.mark.parametrize("wanted", BAD_FILTERS, ids=lambda value: json.dumps(value)[:50])
def test_a_filter_that_means_nothing_is_refused(wanted: dict[str, Any], filled_on_each: Filled) -> None:
    client = filled_on_each.client
    for answer in (
        client.post("/query", **raw(PICTURE, filter=json.dumps(wanted))),
        client.post("/query", json={"crop": 1, "filter": wanted}),
        client.get("/gallery", params={"filter": json.dumps(wanted)}),
    ):
        assert_refused(filled_on_each, answer, word="filter")


@pytest.mark.parametrize(
    "wanted",
    [
        {f"attributes.key{number}": 1 for number in range(1500)},
        {f"attributes.key{number}": list(range(1000)) for number in range(70)},
        {"captured_at": {"gte": "2026-05-01T00:00:00Z"}, **{f"attributes.k{n}": {"gt": n} for n in range(1100)}},
    ],
    ids=["1,500 demands", "70,000 values", "1,101 ranges"],
)
def test_a_filter_beyond_what_a_database_takes_is_the_clients_mistake(
    wanted: dict[str, Any], filled_on_each: Filled
) -> None:
    answer = filled_on_each.client.post("/query", json={"crop": 1, "filter": wanted})
    assert_refused(filled_on_each, answer, word="filter")


def test_more_cameras_to_exclude_than_a_database_takes_are_the_clients_mistake(filled_on_each: Filled) -> None:
    cameras = [f"c{number}" for number in range(70_000)]
    answer = filled_on_each.client.post("/query", json={"crop": 1, "exclude_camera": cameras})
    assert_refused(filled_on_each, answer, word="exclude_camera")


def vector_cases(model: str, vector: list[float]) -> dict[str, tuple[str, str]]:
    """What is sent as a JSON text, and the code it is refused with."""
    half = json.dumps(vector[:-1])
    zero = json.dumps([0.0] * len(vector))
    whole = json.dumps(vector)
    return {
        "no model": (f'{{"vector": {whole}}}', "MODEL_MISMATCH"),
        "null as model": (f'{{"vector": {whole}, "model": null}}', "MODEL_MISMATCH"),
        "another model": (f'{{"vector": {whole}, "model": "other@sha256:0123456789ab"}}', "MODEL_MISMATCH"),
        "the model without its checksum": (f'{{"vector": {whole}, "model": "{model[:-1]}"}}', "MODEL_MISMATCH"),
        "one number too few": (f'{{"vector": {half}, "model": "{model}"}}', "INVALID_INPUT"),
        "one number too many": (f'{{"vector": {whole[:-1]}, 0], "model": "{model}"}}', "INVALID_INPUT"),
        "no numbers": (f'{{"vector": [], "model": "{model}"}}', "INVALID_INPUT"),
        "zero": (f'{{"vector": {zero}, "model": "{model}"}}', "INVALID_INPUT"),
        "NaN": (f'{{"vector": {zero[:-1]}, NaN], "model": "{model}"}}', "INVALID_INPUT"),
        "NaN of the right length": (f'{{"vector": {zero.replace("0.0", "NaN")}, "model": "{model}"}}', "INVALID_INPUT"),
        "infinity": (f'{{"vector": {zero.replace("0.0", "1e999")}, "model": "{model}"}}', "INVALID_INPUT"),
        "nan as text": (f'{{"vector": {zero.replace("0.0", chr(34) + "nan" + chr(34))}, "model": "{model}"}}',
                        "INVALID_INPUT"),
        "texts": (f'{{"vector": {zero.replace("0.0", chr(34) + "x" + chr(34))}, "model": "{model}"}}', "INVALID_INPUT"),
        "nulls": (f'{{"vector": {zero.replace("0.0", "null")}, "model": "{model}"}}', "INVALID_INPUT"),
        "no list": (f'{{"vector": 5, "model": "{model}"}}', "INVALID_INPUT"),
        "a list in a list": (f'{{"vector": [{whole}], "model": "{model}"}}', "INVALID_INPUT"),
        "10,000 numbers": (f'{{"vector": {json.dumps([0.1] * 10_000)}, "model": "{model}"}}', "INVALID_INPUT"),
    }  # fmt: skip


@pytest.mark.parametrize("case", vector_cases("m", [0.1]))
def test_a_vector_that_this_model_cannot_have_made_is_refused(case: str, filled: Filled) -> None:
    made = filled.client.post("/embed", **raw(PICTURE)).json()
    probe, code = vector_cases(made["model"], made["vector"])[case]
    assert_refused(filled, filled.client.post("/query", **json_text(probe)), code=code)
    for pair in (f'{{"a": {probe}, "b": {{"crop": 1}}}}', f'{{"a": {{"crop": 1}}, "b": {probe}}}'):
        assert_refused(filled, filled.client.post("/compare", **json_text(pair)), code=code)


@pytest.mark.parametrize("number", [1e39, 1e300, 1.7e308, 1e-200, 5e-324])
def test_a_vector_of_any_finite_length_is_answered_or_refused_but_never_fails(number: float, filled: Filled) -> None:
    made = filled.client.post("/embed", **raw(PICTURE)).json()
    probe = {"vector": [math.copysign(number, one) for one in made["vector"]], "model": made["model"]}
    answer = filled.client.post("/query", json=probe)
    assert answer.status_code in (200, 422), answer.text
    if answer.status_code == 200:
        assert -1.001 <= answer.json()["candidates"][0]["similarity"] <= 1.001


@pytest.mark.parametrize(
    "probe",
    [
        {}, {"image": None}, {"image": base64_of(PICTURE), "crop": 1}, {"image": base64_of(PICTURE), "identity": "p-1"},
        {"image": base64_of(PICTURE), "vector": [1.0], "model": "m"}, {"crop": 1, "identity": "p-1"}, {"image": "%%%"},
        {"image": 5}, {"image": [base64_of(PICTURE)]}, {"crop": 0}, {"crop": -1}, {"crop": 2**63}, {"crop": "one"},
        {"crop": 1.5}, {"crop": [1]}, {"identity": ""}, {"identity": LONG}, {"identity": "a/b"}, {"identity": ".."},
        {"identity": "a\x00b"}, {"identity": 5}, {"identity": ["p-1"]}, {"model": "m"}, {"crop": 1, "colour": "red"},
    ],
    ids=lambda value: json.dumps(value)[:50],
)  # fmt: skip
def test_a_probe_that_is_not_exactly_one_good_thing_is_refused(probe: dict[str, Any], filled: Filled) -> None:
    assert_refused(filled, filled.client.post("/query", json=probe))
    assert_refused(filled, filled.client.post("/compare", json={"a": probe, "b": {"crop": 1}}))


@pytest.mark.parametrize(
    "probe", [{"crop": 1, "box": [0, 0, 5, 5]}, {"identity": "p-1", "box": [0, 0, 5, 5]}, {"crop": 1, "model": "other"}]
)
def test_what_a_probe_cannot_use_is_refused_instead_of_ignored(probe: dict[str, Any], filled: Filled) -> None:
    assert_refused(filled, filled.client.post("/query", json=probe))


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "null", "3", '"text"', "not json", "\ufeff{}", '{"k": 01}', "{'k': 1}"]
)
@pytest.mark.parametrize("path", ["/gallery", "/query", "/embed", "/compare", "/collections"])
def test_a_json_body_that_is_no_object_is_refused(path: str, text: str, filled: Filled) -> None:
    assert_refused(filled, filled.client.post(path, **json_text(text.encode())))


@pytest.mark.parametrize("path", ["/gallery", "/query", "/embed", "/compare"])
@pytest.mark.parametrize(
    "content_type", ["", "text/plain", "application/x-www-form-urlencoded", "application/xml", "image/gif", "*/*"]
)
def test_a_body_of_another_content_type_is_refused(path: str, content_type: str, filled: Filled) -> None:
    headers = {"Content-Type": content_type} if content_type else {}
    answer = filled.client.post(path, content=b"identity=p-1&image=abc", headers=headers)
    assert_refused(filled, answer, 415, "UNSUPPORTED_BODY")


@pytest.mark.parametrize("path", ["/gallery/p-1", "/collections/other"])
@pytest.mark.parametrize("content_type", ["", "text/plain", "application/x-www-form-urlencoded", "image/jpeg"])
def test_a_patch_of_another_content_type_is_refused(path: str, content_type: str, filled: Filled) -> None:
    headers = {"Content-Type": content_type} if content_type else {}
    assert_refused(filled, filled.client.patch(path, content=b"{}", headers=headers), 415, "UNSUPPORTED_BODY")


WHOLE_FORM = form_of([("images", PICTURE, "a.jpg"), ("images", PICTURE, "b.jpg")])["content"]
FORM_TYPE = "multipart/form-data; boundary=a-boundary"
BROKEN_FORMS = {
    "no boundary in the header": (WHOLE_FORM, "multipart/form-data"),
    "another boundary in the header": (WHOLE_FORM, "multipart/form-data; boundary=other"),
    "nothing": (b"", FORM_TYPE),
    "no form at all": (b"hello", FORM_TYPE),
    "a part without a name": (WHOLE_FORM.replace(b' name="images";', b""), FORM_TYPE),
    "a part without a header": (WHOLE_FORM.replace(b"Content-Disposition", b"Disposition"), FORM_TYPE),
    "cut within the first picture": (WHOLE_FORM[:300], FORM_TYPE),
    "cut within the second picture": (WHOLE_FORM[:-100], FORM_TYPE),
    "cut before the last boundary": (WHOLE_FORM[: -len(b"--a-boundary--\r\n")], FORM_TYPE),
    "cut before the last dashes": (WHOLE_FORM[: -len(b"--\r\n")], FORM_TYPE),
    "200 files": (form_of([("images", PICTURE, "a.jpg")] * 200)["content"], FORM_TYPE),
    "200 fields": (form_of([("name", b"a")] * 200)["content"], FORM_TYPE),
    "a field of two megabytes": (form_of([("name", b"a" * 2_000_000)])["content"], FORM_TYPE),
}


@pytest.mark.parametrize("path", ["/gallery", "/query", "/embed", "/compare"])
@pytest.mark.parametrize("broken", BROKEN_FORMS)
def test_a_broken_form_is_refused_whole(broken: str, path: str, filled: Filled) -> None:
    content, content_type = BROKEN_FORMS[broken]
    if path != "/gallery":
        content = content.replace(b'"images"', b'"image"' if path != "/compare" else b'"a"')
    answer = filled.client.post(path, content=content, headers={"Content-Type": content_type})
    assert_refused(filled, answer)


@pytest.mark.parametrize(
    ("path", "field"),
    [("/gallery", "collection"), ("/query", "collection"), ("/compare", "collection"), ("/embed", "box")],
)
def test_a_field_given_twice_is_refused(path: str, field: str, filled: Filled) -> None:
    values = ("other", "default") if field == "collection" else ("0,0,5,5", "0,0,6,6")
    picture = {"/gallery": "images", "/compare": "a"}.get(path, "image")
    image = {"/gallery": {"images": [{"image": base64_of(PICTURE)}]}, "/compare": {"a": {"crop": 1}, "b": {"crop": 2}}}
    client = filled.client
    in_form = form(picture, [PICTURE], **{field: values[0]})
    in_json = {"json": {**image.get(path, {"image": base64_of(PICTURE)}), field: values[0]}}
    for sent in (in_form, in_json):
        answer = client.post(path, params={field: values[1]}, **sent)
        assert_refused(filled, answer, word=field)
    answer = client.post(f"{path}?{field}={values[0]}&{field}={values[1]}", **raw(PICTURE) | {"params": None})
    assert_refused(filled, answer)


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/gallery?limit=0"), ("GET", "/gallery?limit=501"), ("GET", "/gallery?limit=ten"),
        ("GET", "/gallery?cursor=%21%21%21%21"), ("GET", "/gallery?cursor=LTE"), ("GET", "/gallery?cursor=%C3%A9"),
        ("GET", "/gallery?cursor=MTc%20"), ("GET", "/gallery?cursor=dGV4dA"), ("GET", "/gallery?cursor=" + "MTc" * 50),
        ("GET", "/gallery?cursor=OTk5OTk5OTk5OTk5OTk5OTk5OTk5OTk"), ("GET", "/gallery?name=a%00b"),
        ("GET", "/gallery?name=" + "x" * 1025), ("GET", "/gallery?filter=%7B"), ("GET", "/gallery?filter=[]"),
        ("GET", "/gallery?collection=a%00b"), ("GET", "/gallery?collection=" + LONG), ("GET", "/gallery?collection="),
        ("GET", '/gallery?filter={"camera":"c1"}'), ("GET", "/gallery/p-1/crops?limit=0"),
        ("GET", "/gallery/p-1/crops?cursor=LTE"), ("GET", "/gallery/p-1/crops?cursor=%21%21%21%21"),
        ("GET", "/gallery/" + LONG), ("GET", "/gallery/%00"), ("GET", "/gallery/%07"), ("GET", "/gallery/%2e%2e"),
        ("PATCH", "/gallery/%00"), ("DELETE", "/gallery/%00"), ("DELETE", "/gallery/p-1/crops/0"),
        ("DELETE", "/gallery/p-1/crops/one"), ("DELETE", f"/gallery/p-1/crops/{2**63}"), ("GET", "/crops/0/picture"),
        ("GET", "/crops/-1/picture"), ("GET", "/crops/one/picture"), ("GET", f"/crops/{2**63}/picture"),
        ("GET", "/collections/%00"), ("DELETE", "/collections/%00"), ("DELETE", "/collections/other?with_identities=x"),
        ("GET", "/gallery?colection=other"),
        ("DELETE", "/gallery/p-1?colection=other"),
        ("PATCH", "/gallery/p-1?name=x"),
        ("GET", "/gallery/p-1/crops?page=2"),
        ("GET", "/crops/1/picture?size=small"),
        ("DELETE", "/collections/other?with_identity=true"),
        ("GET", "/gallery/%ff"), ("GET", "/gallery?name=%ff"), ("GET", "/collections/%ed%a0%80"),
    ],
)  # fmt: skip
def test_a_bad_address_is_refused(method: str, path: str, filled_on_each: Filled) -> None:
    sent = {"json": {"name": "x"}} if method == "PATCH" else {}
    assert_refused(filled_on_each, filled_on_each.client.request(method, path, **sent))


@pytest.mark.parametrize(
    ("method", "path", "code", "sent"),
    [
        ("GET", "/gallery/nobody", "IDENTITY_NOT_FOUND", {}),
        ("GET", "/gallery/p-3", "IDENTITY_NOT_FOUND", {}),  # of the other collection
        ("GET", "/gallery/p-1?collection=other", "IDENTITY_NOT_FOUND", {}),
        ("GET", "/gallery/nobody/crops", "IDENTITY_NOT_FOUND", {}),
        ("PATCH", "/gallery/nobody", "IDENTITY_NOT_FOUND", {"json": {"name": "x"}}),
        ("DELETE", "/gallery/nobody", "IDENTITY_NOT_FOUND", {}),
        ("DELETE", "/gallery/nobody/crops/1", "IDENTITY_NOT_FOUND", {}),
        ("DELETE", "/gallery/p-1/crops/3", "CROP_NOT_FOUND", {}),  # of p-2
        ("DELETE", f"/gallery/p-1/crops/{2**63 - 1}", "CROP_NOT_FOUND", {}),
        ("GET", "/crops/99/picture", "CROP_NOT_FOUND", {}),
        ("GET", f"/crops/{2**63 - 1}/picture", "CROP_NOT_FOUND", {}),
        ("GET", "/gallery?collection=nowhere", "COLLECTION_NOT_FOUND", {}),
        ("GET", "/gallery/p-1?collection=nowhere", "COLLECTION_NOT_FOUND", {}),
        ("GET", "/collections/nowhere", "COLLECTION_NOT_FOUND", {}),
        ("PATCH", "/collections/nowhere", "COLLECTION_NOT_FOUND", {"json": {"match_threshold": 0.5}}),
        ("DELETE", "/collections/nowhere", "COLLECTION_NOT_FOUND", {}),
        ("POST", "/gallery", "COLLECTION_NOT_FOUND", raw(PICTURE, collection="nowhere")),
        ("POST", "/query", "COLLECTION_NOT_FOUND", raw(PICTURE, collection="nowhere")),
        ("POST", "/compare", "COLLECTION_NOT_FOUND",
         {"json": {"a": {"crop": 1}, "b": {"crop": 2}, "collection": "nowhere"}}),
        ("POST", "/query", "IDENTITY_NOT_FOUND", {"json": {"identity": "nobody"}}),
        ("POST", "/query", "IDENTITY_NOT_FOUND", {"json": {"identity": "p-1", "collection": "other"}}),
        ("POST", "/query", "CROP_NOT_FOUND", {"json": {"crop": 99}}),
        ("POST", "/query", "CROP_NOT_FOUND", {"json": {"crop": 1, "collection": "other"}}),
        ("POST", "/compare", "IDENTITY_NOT_FOUND", {"json": {"a": {"identity": "nobody"}, "b": {"crop": 1}}}),
        ("POST", "/compare", "CROP_NOT_FOUND", {"json": {"a": {"crop": 1}, "b": {"crop": 5}}}),  # of the other
        ("GET", "/nowhere", "NOT_FOUND", {}),
        ("POST", "/gallery/p-1/crops/1/picture", "NOT_FOUND", {}),
    ],
)  # fmt: skip
def test_what_is_not_there_is_404_with_its_own_code(
    method: str, path: str, code: str, sent: Any, filled_on_each: Filled
) -> None:
    answer = filled_on_each.client.request(method, path, follow_redirects=False, **sent)
    assert_refused(filled_on_each, answer, 404, code)


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("PUT", "/gallery"), ("DELETE", "/gallery"), ("GET", "/query"), ("POST", "/gallery/p-1"), ("PUT", "/embed"),
        ("POST", "/livez"),
    ],
)  # fmt: skip
def test_a_method_a_route_does_not_have_is_405_and_says_which_it_has(method: str, path: str, filled: Filled) -> None:
    answer = filled.client.request(method, path)
    assert_refused(filled, answer, 405, "METHOD_NOT_ALLOWED")
    assert answer.headers["allow"]


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


@pytest.mark.parametrize(
    ("path", "threshold"), [(path, value) for path in ("/query", "/compare") for value in (2, "nan", "-1.5", [0.5])]
)
def test_a_threshold_no_cosine_can_reach_is_refused(path: str, threshold: Any, filled: Filled) -> None:
    probe = {"crop": 1} if path == "/query" else {"a": {"crop": 1}, "b": {"crop": 2}}
    assert_refused(filled, filled.client.post(path, json={**probe, "threshold": threshold}), word="threshold")


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
