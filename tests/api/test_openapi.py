"""The OpenAPI document: complete, with a worked example for each operation, and its examples really work."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from service.db.keys import add_key
from service.domain import ApiKey, Scope
from tests.api.conftest import running
from tests.api.holdings import parts_of
from tests.api.sending import base64_of
from tests.pictures import jpeg

OPERATIONS = {
    "GET /collections", "POST /collections", "GET /collections/{name}", "PATCH /collections/{name}",
    "DELETE /collections/{name}", "GET /gallery", "POST /gallery", "GET /gallery/{identity}",
    "PATCH /gallery/{identity}", "DELETE /gallery/{identity}", "GET /gallery/{identity}/crops",
    "DELETE /gallery/{identity}/crops/{crop}", "GET /crops/{crop}/picture", "POST /query", "POST /compare",
    "POST /embed", "GET /livez", "GET /readyz", "GET /metrics", "GET /version", "GET /keys", "POST /keys",
    "DELETE /keys/{key}", "GET /audit", "GET /retention", "POST /retention",
}  # fmt: skip
DESTROYS_LAST = {"DELETE /gallery/{identity}/crops/{crop}": 1, "DELETE /gallery/{identity}": 2,
                 "DELETE /collections/{name}": 3}  # fmt: skip
SHORTENED = "/9j/4AAQ…"  # the start of a JPEG in base64


@pytest.fixture(scope="module")
def client(sqlite_template: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    """A service that holds what the examples speak of: p-0042 with crop 17."""
    folder = tmp_path_factory.mktemp("openapi")
    (folder / "own.db").write_bytes(sqlite_template.read_bytes())
    with running(folder / "data", f"sqlite:///{folder / 'own.db'}") as client:
        images = [{"image": base64_of(jpeg(seed))} for seed in range(17)]
        answer = client.post("/gallery", json={"identity": "p-0042", "images": images})
        assert answer.json()["accepted"][-1]["crop"] == 17
        keep_key(client, "0f3c9a2b7d04")
        yield client


def keep_key(client: TestClient, key: str) -> None:
    """The key that the examples speak of."""
    now = datetime.now(UTC)
    kept = ApiKey(key, "tracker, hall 3", "0" * 64, Scope.READ, None, None, None, now, None, None)
    with parts_of(client).database.begin() as connection:
        add_key(connection, kept, None)


@pytest.fixture(scope="module")
def document(client: TestClient) -> dict[str, Any]:
    made: dict[str, Any] = client.get("/openapi.json").json()
    return made


def operations(document: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            yield f"{method.upper()} {path}", operation


def resolved(part: Any, document: dict[str, Any]) -> Any:
    while isinstance(part, dict) and "$ref" in part:
        target: Any = document
        for step in part["$ref"].removeprefix("#/").split("/"):
            target = target[step]
        part = target
    return part


def example(holder: dict[str, Any], document: dict[str, Any]) -> Any:
    """The example of a parameter or media type, or of its schema; None where there is none."""
    for place in (holder, resolved(holder.get("schema", {}), document)):
        if "example" in place:
            return place["example"]
        if place.get("examples"):
            found = place["examples"]
            return found[0] if isinstance(found, list) else next(iter(found.values()))["value"]
    return None


def spelled_out(part: Any) -> Any:
    """An example with a whole picture where it shows only the start of one."""
    if isinstance(part, dict):
        return {name: spelled_out(value) for name, value in part.items()}
    if isinstance(part, list):
        return [spelled_out(value) for value in part]
    return base64_of(jpeg(1)) if part == SHORTENED else part


def test_every_operation_is_in_the_document_and_explains_itself(document: dict[str, Any]) -> None:
    found = dict(operations(document))
    assert set(found) >= OPERATIONS
    for name, operation in found.items():
        assert len(operation.get("description") or operation.get("summary") or "") > 10, name
    assert document["info"]["title"] == "Reappear"
    assert document["info"]["version"]


def test_every_reference_in_the_document_leads_somewhere(document: dict[str, Any]) -> None:
    def walk(part: Any) -> None:
        if isinstance(part, dict):
            if "$ref" in part:
                assert resolved(part, document) is not None
            for value in part.values():
                walk(value)
        elif isinstance(part, list):
            for value in part:
                walk(value)

    walk(document)
    assert "HTTPValidationError" not in json.dumps(document), "nothing here answers in that shape"


def test_every_operation_has_a_worked_example(document: dict[str, Any]) -> None:
    for name, operation in operations(document):
        for parameter in operation.get("parameters", []):
            assert parameter["in"] in ("path", "query", "header"), name
            if parameter["in"] == "path":
                assert example(parameter, document) is not None, f"{name}: {parameter['name']}"
        for media_type, content in operation.get("requestBody", {}).get("content", {}).items():
            if "json" in media_type:
                assert example(content, document) is not None, f"{name}: body as {media_type}"
        successes = [answer for status, answer in operation["responses"].items() if status.startswith("2")]
        assert successes, name
        for answer in successes:
            shown = [example(resolved(content, document), document) for content in answer["content"].values()]
            assert any(one is not None for one in shown), f"{name}: its answer"


def test_each_example_works(client: TestClient, document: dict[str, Any]) -> None:
    everything = sorted(
        operations(document), key=lambda item: (DESTROYS_LAST.get(item[0], 0), item[0] != "POST /collections")
    )
    tried = []
    for name, operation in everything:
        method, path = name.split(" ")
        for parameter in operation.get("parameters", []):
            if parameter["in"] == "path":
                path = path.replace(f"{{{parameter['name']}}}", str(example(parameter, document)))
        sent: dict[str, Any] = {}
        for media_type, content in operation.get("requestBody", {}).get("content", {}).items():
            if "json" in media_type:
                body = json.dumps(spelled_out(example(content, document)))
                sent = {"content": body, "headers": {"Content-Type": media_type}}
        answer = client.request(method, path, **sent)
        if name == "POST /audit/rotation":  # of a file that nobody has
            assert answer.status_code == 409
            tried.append(name)
            continue
        assert answer.status_code in (200, 201), f"{name}: {answer.status_code} {answer.text[:300]}"
        documented = [status for status in operation["responses"] if status == str(answer.status_code)]
        assert documented, f"{name}: {answer.status_code} is not in the document"
        tried.append(name)
    assert set(tried) >= OPERATIONS


def test_answers_have_the_fields_their_examples_show(client: TestClient, document: dict[str, Any]) -> None:
    client.post("/gallery", json={"identity": "p-7", "images": [{"image": base64_of(jpeg(1))}]})
    for name, sent in (
        ("POST /query", {"json": {"image": base64_of(jpeg(1))}}),
        ("POST /compare", {"json": {"a": {"identity": "p-7"}, "b": {"identity": "p-7"}}}),
        ("POST /embed", {"json": {"image": base64_of(jpeg(1))}}),
        ("POST /gallery", {"json": {"identity": "p-8", "images": [{"image": base64_of(jpeg(1))}]}}),
        ("GET /gallery", {}), ("GET /collections", {}), ("GET /version", {}), ("GET /readyz", {}), ("GET /livez", {}),
    ):  # fmt: skip
        method, path = name.split(" ")
        responses = document["paths"][path][method.lower()]["responses"]
        content = next(responses[status]["content"] for status in ("200", "201") if status in responses)
        shown = example(content["application/json"], document)
        assert set(client.request(method, path, **sent).json()) == set(shown), name


def test_every_form_and_query_parameter_of_the_document_is_taken(document: dict[str, Any], client: TestClient) -> None:
    for name, operation in operations(document):
        body = operation.get("requestBody", {}).get("content", {})
        if "image/jpeg" not in body:
            continue
        parameters = {one["name"] for one in operation["parameters"] if one["in"] == "query"}
        form = body["multipart/form-data"]["schema"]["properties"]
        pictures = {field for field, schema in form.items() if "binary" in json.dumps(schema)}
        assert parameters, name
        assert parameters == set(form) - pictures, f"{name}: what may stand in a form may stand in the query string"
        for parameter in parameters:
            answer = client.post(
                f"{name.split(' ')[1]}?{parameter}=%00", content=b"", headers={"Content-Type": "image/png"}
            )
            assert answer.status_code == 422
            assert parameter in answer.json()["detail"], "it is known, and its value is not"
            assert "unknown" not in answer.json()["detail"]


def test_refusals_are_in_the_document(document: dict[str, Any]) -> None:
    for name, operation in operations(document):
        if name.split(" ")[1] not in ("/livez", "/metrics", "/version"):
            assert "503" in operation["responses"], name
        if name.split(" ")[1].startswith(("/gallery", "/query", "/compare", "/embed", "/collections", "/crops")):
            assert "4XX" in operation["responses"], name


def test_the_documentation_page_is_served_from_here_alone(client: TestClient) -> None:
    page = client.get("/docs")
    assert page.status_code == 200
    assert page.headers["content-type"].startswith("text/html")
    assert "openapi.json" in page.text
    for place in ("//cdn", "https://", "jsdelivr", "unpkg"):
        assert place not in page.text, "a machine without a way out has no such page"
