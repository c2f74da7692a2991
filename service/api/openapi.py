"""The parts of the OpenAPI document that a signature cannot say: routes that take a raw picture, a form or JSON."""

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic import BaseModel

from service.api.bodies import JSON_TYPES, RAW_TYPES
from service.api.schemas import Problem

PICTURE = {"type": "string", "format": "binary"}
SCHEMES = {
    "key": {"type": "http", "scheme": "bearer"}, "header": {"type": "apiKey", "in": "header", "name": "X-API-Key"}
}  # fmt: skip
PROBLEMS: dict[int | str, dict[str, Any]] = {
    401: {"model": Problem, "description": "No key, or one that opens nothing."},
    403: {"model": Problem, "description": "The key's scope or collection is another."},
    429: {"model": Problem, "description": "The key's share of the minute is used up: try again after Retry-After."},
    "4XX": {"model": Problem, "description": "What was sent cannot be used; `detail` says what to do."},
    503: {"model": Problem, "description": "Overloaded, stopping or not ready: try again after Retry-After seconds."},
}


def picture_body(
    *, parameters: type[BaseModel], json: type[BaseModel], files: dict[str, bool], raw: bool = True
) -> dict[str, Any]:
    """`openapi_extra` of a route that takes pictures. `files` are the form's pictures, true where there may be many;
    `parameters` stand beside them, or in the query string."""
    document = parameters.model_json_schema(mode="validation")
    definitions = document.get("$defs", {})
    texts = {name: _as_text(_inlined(one, definitions)) for name, one in document.get("properties", {}).items()}
    form = {name: {"type": "array", "items": PICTURE} if many else PICTURE for name, many in files.items()}
    content: dict[str, Any] = {media_type: {"schema": PICTURE} for media_type in RAW_TYPES} if raw else {}
    content["multipart/form-data"] = {
        "schema": {"type": "object", "properties": {**form, **texts}, "required": list(files)}
    }
    content["application/json"] = json_content(json)
    return {
        "parameters": [
            {"name": name, "in": "query", "required": False, "schema": one, "description": one.get("description", "")}
            for name, one in texts.items()
        ],
        "requestBody": {"required": True, "content": content},
    }


def json_body(schema: type[BaseModel]) -> dict[str, Any]:
    """`openapi_extra` of a route that takes JSON only."""
    content = {media_type: json_content(schema) for media_type in JSON_TYPES}
    return {"requestBody": {"required": True, "content": content}}


def json_content(schema: type[BaseModel]) -> dict[str, Any]:
    """A schema as a media type object, its definitions inlined where they are used."""
    document = schema.model_json_schema(mode="validation")
    definitions = document.pop("$defs", {})
    return {"schema": _inlined(document, definitions)}


def describe(app: FastAPI, *, asks_for_keys: bool) -> None:
    """Make the document once, when first asked for, without FastAPI's own 422, which nothing here answers."""

    def document() -> dict[str, Any]:
        if app.openapi_schema is None:
            made = get_openapi(title=app.title, version=app.version, summary=app.summary, routes=app.routes)
            for operations in made["paths"].values():
                for operation in operations.values():
                    answer = operation["responses"].get("422", {})
                    if "HTTPValidationError" in str(answer):
                        del operation["responses"]["422"]
            made["components"]["securitySchemes"] = SCHEMES
            made["security"] = [*([] if asks_for_keys else [{}]), *({name: []} for name in SCHEMES)]
            for unused in ("HTTPValidationError", "ValidationError"):
                made["components"]["schemas"].pop(unused, None)
            app.openapi_schema = made
        return app.openapi_schema

    app.openapi = document  # type: ignore[method-assign]


def _as_text(schema: dict[str, Any]) -> dict[str, Any]:
    """A field's schema as it stands in a form or query string: left out instead of null, objects as JSON text."""
    choices = [one for one in schema.get("anyOf", []) if one.get("type") != "null"]
    plain = {key: value for key, value in schema.items() if key not in ("anyOf", "title")}
    if len(choices) == 1:
        plain = {**choices[0], **plain}
    if plain.get("default", "") is None:
        del plain["default"]
    if plain.get("type") == "object":
        plain = {"type": "string", "contentMediaType": "application/json", "description": plain.get("description", "")}
    return plain


def _inlined(part: Any, definitions: dict[str, Any]) -> Any:
    if isinstance(part, dict):
        if "$ref" in part:
            return _inlined(definitions[part["$ref"].rpartition("/")[2]], definitions)
        return {key: _inlined(value, definitions) for key, value in part.items()}
    if isinstance(part, list):
        return [_inlined(value, definitions) for value in part]
    return part
