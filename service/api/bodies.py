"""A request's body, whichever of the three kinds it is: one raw picture, a form, or JSON. All end up as fields, which a
schema checks, and pictures."""

import asyncio
import logging
from collections.abc import Awaitable
from dataclasses import dataclass, field
from typing import Any, TypeVar

from fastapi import Request
from pydantic import BaseModel, ValidationError
from python_multipart.multipart import parse_options_header
from starlette.datastructures import QueryParams, UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser

from service.api.errors import explain
from service.api.fields import parse_json
from service.errors import BadInput, CallerLeft, StoreDown, UnsupportedBody

log = logging.getLogger(__name__)

RAW_TYPES = ("image/jpeg", "image/png", "image/webp", "application/octet-stream")
JSON_TYPES = ("application/json", "application/merge-patch+json")
MAX_PARTS = 128
MAX_FILENAME_CHARS = 255
MAX_FIELDS = 64
SMALL_JSON_BYTES = 65_536  # larger ones are parsed in a thread

Fields = TypeVar("Fields", bound=BaseModel)
Answer = TypeVar("Answer")


@dataclass(frozen=True, slots=True)
class SentPicture:
    """A picture of a raw or form body, the field it came in and the name its sender gave it."""

    field: str
    picture: bytes
    filename: str | None = None


@dataclass(frozen=True, slots=True)
class Body:
    """Fields from the query string and the body together, and pictures (none where the body is JSON)."""

    fields: dict[str, Any]
    pictures: list[SentPicture] = field(default_factory=list)
    is_json: bool = False


async def read_body(request: Request) -> Body:
    """Read a body whole. Raises UnsupportedBody, or BadInput where it is not what its content type says."""
    content_type = _content_type(request)
    fields = _flat(request.query_params)
    if content_type in RAW_TYPES:
        return Body(fields, [SentPicture("image", await request.body())])
    if content_type == "multipart/form-data":
        return await _read_form(request, fields)
    if content_type == "application/json":
        return Body(_united(fields, await _read_json(request)), is_json=True)
    raise UnsupportedBody(
        f"content type {content_type or 'none'!r} is not taken; send a raw picture as image/jpeg, image/png or "
        "image/webp, a form as multipart/form-data, or application/json"
    )


async def read_json(request: Request) -> dict[str, Any]:
    """Read a JSON object. Raises UnsupportedBody for another content type, BadInput for what is not an object."""
    content_type = _content_type(request)
    if content_type not in JSON_TYPES:
        raise UnsupportedBody("send a JSON object with content type application/json")
    return await _read_json(request)


def parse(schema: type[Fields], fields: dict[str, Any]) -> Fields:
    """Fields as a schema. Raises BadInput that names every field that is wrong."""
    if len(fields) > MAX_FIELDS:
        raise BadInput(f"there are {len(fields)} fields; at most {MAX_FIELDS} are taken")
    try:
        return schema.model_validate(fields)
    except ValidationError as error:
        unknown = any(one["type"] == "extra_forbidden" and len(one["loc"]) == 1 for one in error.errors())
        known = f"; the fields are {', '.join(sorted(schema.model_fields))}" if unknown else ""
        raise BadInput(f"{explain(error)}{known}") from error


async def unless_left(request: Request, work: Awaitable[Answer]) -> Answer:
    """Await work, but give it up when the client closes the connection. For reads only: a write is finished."""
    task = asyncio.current_task()
    assert task is not None
    has_left = False

    async def watch() -> None:
        nonlocal has_left
        while (await request.receive())["type"] != "http.disconnect":
            continue
        has_left = True
        task.cancel()

    watching = asyncio.ensure_future(watch())
    try:
        return await work
    except asyncio.CancelledError:
        if has_left and not task.uncancel():  # else somebody stops the service at the same time
            raise CallerLeft("the client closed the connection") from None
        raise
    finally:
        watching.cancel()


def _content_type(request: Request) -> str:
    """The content type without its parameters, in lower case; empty where none was sent. Raises UnsupportedBody for a
    body that is compressed."""
    encoding = request.headers.get("content-encoding", "identity")
    if encoding.lower() != "identity":
        raise UnsupportedBody(f"Content-Encoding {encoding[:64]!r} is not taken; send the body as it is")
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()


async def _read_json(request: Request) -> dict[str, Any]:
    content = await request.body()
    try:
        parsed = (
            parse_json(content) if len(content) < SMALL_JSON_BYTES else await asyncio.to_thread(parse_json, content)
        )
    except ValueError as error:
        raise BadInput(f"the body {error}") from error
    if not isinstance(parsed, dict):
        raise BadInput("the body must be a JSON object")
    return parsed


async def _read_form(request: Request, fields: dict[str, Any]) -> Body:
    _, told = parse_options_header(request.headers["content-type"])
    if told.get(b"charset", b"utf-8").lower() != b"utf-8":
        raise BadInput("the form's charset must be utf-8; leave it out of Content-Type")
    parser = _WholeForm(request.headers, request.stream(), max_files=MAX_PARTS, max_fields=MAX_PARTS)
    try:
        form = await parser.parse()
    except MultiPartException as error:
        raise BadInput(f"the form cannot be read: {error.message}") from error
    except UnicodeError as error:
        raise BadInput("the form's fields must be UTF-8") from error
    except OSError as error:  # files above a megabyte wait on disk
        log.exception("a form cannot be kept while it is read")
        raise StoreDown(
            "the folder for temporary files takes no more; send the picture as the body itself, or the form again "
            "after the time in Retry-After"
        ) from error
    if not parser.ended:
        parser.close_files()
        raise BadInput("the form is cut short; its last boundary is missing")
    pictures = []
    texts: list[tuple[str, str]] = []
    try:
        for name, value in form.multi_items():
            if isinstance(value, UploadFile):
                pictures.append(SentPicture(name, await value.read(), printable(value.filename)))
            else:
                texts.append((name, value))
    finally:
        await form.close()
    return Body(_united(fields, _flat(QueryParams(texts))), pictures)


class _WholeForm(MultiPartParser):
    """Starlette's parser, which takes a form cut short for a whole one, and reads what is not UTF-8 as Latin-1."""

    ended = False

    def on_end(self) -> None:
        self.ended = True

    def on_part_end(self) -> None:
        if self._current_part.file is None:
            self._current_part.data.decode()
        super().on_part_end()

    def close_files(self) -> None:
        """Also of the part that never ended."""
        for file in self._files_to_close_on_error:
            file.close()


def printable(filename: str | None) -> str | None:
    """A file's name as it may be echoed: bounded, without control characters and lone surrogates."""
    if not filename:
        return None
    return "".join(char for char in filename[:MAX_FILENAME_CHARS] if char.isprintable()) or None


def _flat(parameters: QueryParams) -> dict[str, Any]:
    """Parameters as a dict; one that comes several times becomes a list."""
    values: dict[str, list[str]] = {}
    for name, value in parameters.multi_items():
        values.setdefault(name, []).append(value)
    return {name: given if len(given) > 1 else given[0] for name, given in values.items()}


def _united(query: dict[str, Any], body: dict[str, Any]) -> dict[str, Any]:
    for name in query.keys() & body.keys():
        raise BadInput(f"{name} is given in the query string and in the body; give it once")
    return {**query, **body}
