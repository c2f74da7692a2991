"""Queries that mean nothing: fields, filters, vectors and probes, on both databases."""

import json
import math
from typing import Any

import pytest

from tests.api.conftest import Filled
from tests.api.refused import BAD_BOXES, BAD_IDS, BAD_LABELS, LONG, PICTURE, assert_refused
from tests.api.sending import base64_of, form_of, json_text, raw

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
        {f"attributes.key{number}": list(range(1000)) for number in range(30)},
        {"captured_at": {"gte": "2026-05-01T00:00:00Z"}, **{f"attributes.k{n}": {"gt": n} for n in range(1100)}},
    ],
    ids=["1,500 demands", "30,000 values", "1,101 ranges"],
)
def test_a_filter_beyond_what_a_database_takes_is_the_clients_mistake(
    wanted: dict[str, Any], filled_on_each: Filled
) -> None:
    answer = filled_on_each.client.post("/query", json={"crop": 1, "filter": wanted})
    assert_refused(filled_on_each, answer, word="filter")


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
    ("path", "threshold"), [(path, value) for path in ("/query", "/compare") for value in (2, "nan", "-1.5", [0.5])]
)
def test_a_threshold_no_cosine_can_reach_is_refused(path: str, threshold: Any, filled: Filled) -> None:
    probe = {"crop": 1} if path == "/query" else {"a": {"crop": 1}, "b": {"crop": 2}}
    assert_refused(filled, filled.client.post(path, json={**probe, "threshold": threshold}), word="threshold")
