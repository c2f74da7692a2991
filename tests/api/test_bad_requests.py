"""Bodies that are not what they say, addresses that lead nowhere, and methods that nothing has."""

import gzip
from typing import Any

import pytest

from tests.api.conftest import Filled
from tests.api.refused import LONG, PICTURE, assert_refused
from tests.api.sending import base64_of, form, form_of, json_text, raw


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
        ("DELETE", "/keys/%00"), ("DELETE", "/keys/a%00b"), ("GET", "/collections/%00"), ("DELETE", "/collections/%00"),
        ("DELETE", "/collections/other?with_identities=x"),
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


@pytest.mark.parametrize("path", ["/gallery", "/query", "/embed", "/compare"])
def test_a_compressed_body_is_refused_as_such(path: str, filled: Filled) -> None:
    headers = {"Content-Type": "image/jpeg", "Content-Encoding": "gzip"}
    answer = filled.client.post(path, content=gzip.compress(PICTURE), headers=headers)
    assert_refused(filled, answer, 415, "UNSUPPORTED_BODY")
    assert path == "/compare" or "Content-Encoding 'gzip' is not taken" in answer.json()["detail"]


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("DELETE", "/gallery/p-1?collection=default&collection=other"), ("GET", "/gallery?limit=1&limit=2"),
        ("POST", "/query?k=1&k=1"), ("GET", "/gallery/p-1?collection=nope&collection=default"),
    ],
)  # fmt: skip
def test_a_parameter_that_is_there_twice_is_refused_whichever_was_meant(method: str, path: str, filled: Filled) -> None:
    sent = {"content": PICTURE, "headers": {"Content-Type": "image/jpeg"}} if method == "POST" else {}
    answer = filled.client.request(method, path, **sent)
    assert_refused(filled, answer)
    assert "more than once" in answer.json()["detail"]


def test_a_method_that_a_route_does_not_take_is_answered_with_those_it_does(filled: Filled) -> None:
    answer = filled.client.put("/gallery/p-1")
    assert_refused(filled, answer, 405, "METHOD_NOT_ALLOWED")
    assert answer.json()["detail"] == "PUT is not for this route; it takes " + answer.headers["allow"]


def test_two_host_names_are_refused(filled: Filled) -> None:
    answer = filled.client.get("/livez", headers=[("Host", "127.0.0.1"), ("Host", "example.com")])
    assert_refused(filled, answer)
