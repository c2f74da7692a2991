"""What a client may write in a field, as types: checked once, at the edge, with a message that says what is allowed."""

import base64
import binascii
import re
import unicodedata
from contextlib import suppress
from datetime import UTC, datetime
from typing import Annotated, Any

import orjson
from pydantic import AfterValidator, AwareDatetime, BeforeValidator, Field, WithJsonSchema

from service.domain import Box
from service.flows.merge import MAX_NESTING

MAX_ID_CHARS = 128
MOST_COMPOSED = 4  # characters that become one in NFC
MAX_SAFE_INTEGER = 2**53
MAX_JSON_VALUES = 32_768  # twice what the largest filter has: what is checked value by value must not stop the service
MAX_ROW_ID = 2**63 - 1
WHOLE = re.compile(r"\s*[+-]?[0-9]{1,18}\s*")
ISO_DATE = re.compile(r"\d{4}-\d{2}-\d{2}[T ]")


def check_text(text: str) -> str:
    """Text that both databases and JSON can hold: no NUL, no lone surrogates."""
    with suppress(UnicodeEncodeError):  # of a lone surrogate
        if b"\x00" not in text.encode():  # in C, since texts may be long
            return text
    raise ValueError("must be valid Unicode without NUL characters")


def check_label(text: str) -> str:
    """An id or label: NFC, 1–128 characters, no control characters."""
    if len(text) <= MAX_ID_CHARS * MOST_COMPOSED:  # composing takes the square of the length
        text = unicodedata.normalize("NFC", check_text(text))
    if not 1 <= len(text) <= MAX_ID_CHARS:
        raise ValueError(f"must have 1–{MAX_ID_CHARS} characters, has {len(text)}")
    if any(unicodedata.category(char) == "Cc" for char in text):
        raise ValueError("must not have control characters")
    return text


def check_id(text: str) -> str:
    """An id that can stand in a path: a label without `/`, and not `.` or `..`."""
    text = check_label(text)
    if "/" in text or text in (".", ".."):
        raise ValueError("must not contain '/' and must not be '.' or '..'")
    return text


def check_attributes(values: dict[str, Any]) -> dict[str, Any]:
    """A JSON object whose texts both databases hold, whose numbers every JSON reader keeps, with keys in NFC."""
    check_value(values)
    return {check_label(key): value for key, value in values.items()}


def check_value(value: Any, depth: int = 0) -> None:
    """A JSON value that both databases hold and every JSON reader keeps."""
    if depth > MAX_NESTING:
        raise ValueError(f"must not be nested deeper than {MAX_NESTING}")
    if isinstance(value, str):
        check_text(value)
    elif isinstance(value, dict):
        for key, below in value.items():
            check_text(key)
            check_value(below, depth + 1)
    elif isinstance(value, list):
        for below in value:
            check_value(below, depth + 1)
    elif isinstance(value, int | float) and not abs(value) <= MAX_SAFE_INTEGER:
        raise ValueError("numbers must be within ±2^53; send larger ones as text")  # past 64 bits they are rounded


def parse_json(text: str | bytes) -> Any:
    """What a JSON text says. Raises ValueError where it is not valid, or holds more values than any request needs."""
    if isinstance(text, bytes):  # one of these stands before every value
        values = text.count(b",") + text.count(b"[") + text.count(b"{")
    else:
        values = text.count(",") + text.count("[") + text.count("{")
    if values > MAX_JSON_VALUES:
        raise ValueError(f"holds too much; at most {MAX_JSON_VALUES:,} values are taken")
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise ValueError(f"is not valid JSON: {error}") from error


def _from_json(value: Any) -> Any:
    """Forms and query strings carry objects as JSON text."""
    return parse_json(value) if isinstance(value, str) else value


def _to_utc(moment: datetime) -> datetime:
    try:
        return moment.astimezone(UTC)
    except OverflowError as error:
        raise ValueError("is outside the years 1–9999 in UTC") from error


def _iso_text(value: Any) -> Any:
    if not isinstance(value, str) or not ISO_DATE.match(value):
        raise ValueError("must be ISO 8601 with a time zone, such as 2026-05-01T12:30:00Z")
    return value


def parse_box(value: Any) -> Any:
    """A box as `x,y,width,height`, a list of four, or an object."""
    if isinstance(value, Box):
        return value
    if isinstance(value, str) and not value.lstrip().startswith(("[", "{")):
        value = value.split(",")
    value = _from_json(value)
    if isinstance(value, dict) and set(value) == {"x", "y", "width", "height"}:
        value = [value["x"], value["y"], value["width"], value["height"]]
    try:
        x, y, width, height = map(_whole, value if isinstance(value, list) else ())
    except ValueError as error:
        raise ValueError("must be four whole numbers: x,y,width,height in pixels") from error
    if min(x, y) < 0 or min(width, height) < 1 or max(x, y, width, height) > 1_000_000:
        raise ValueError("x and y must be at least 0, width and height at least 1")
    return Box(x, y, width, height)


def _whole(part: Any) -> int:
    """A whole number, or what the text of one says. Raises ValueError for anything else."""
    if type(part) is int or (isinstance(part, str) and WHOLE.fullmatch(part)):
        return int(part)
    raise ValueError("no whole number")


def decode_base64(value: Any) -> bytes:
    """The bytes of a base64 text."""
    if not isinstance(value, str):
        raise ValueError("must be base64 text")
    try:
        return base64.b64decode(value, validate=True)
    except (binascii.Error, ValueError) as error:
        raise ValueError("is not valid base64") from error


def _no_bool(value: Any) -> Any:
    """Python takes true for 1."""
    if isinstance(value, bool):
        raise ValueError("must be a number")
    return value


def _as_list(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


IdentityId = Annotated[str, AfterValidator(check_id), Field(description="Your id of the person, 1–128 characters.")]
CollectionName = Annotated[str, AfterValidator(check_id), Field(description="The gallery; `default` always exists.")]
Label = Annotated[str, AfterValidator(check_label)]
Labels = Annotated[list[Label], BeforeValidator(_as_list)]
Text = Annotated[str, Field(max_length=1024), AfterValidator(check_text)]
Attributes = Annotated[dict[str, Any], BeforeValidator(_from_json), AfterValidator(check_attributes)]
JsonObject = Annotated[dict[str, Any], BeforeValidator(_from_json)]
Moment = Annotated[AwareDatetime, BeforeValidator(_iso_text), AfterValidator(_to_utc)]
BoxField = Annotated[Box, BeforeValidator(parse_box), WithJsonSchema({"type": "string", "examples": ["120,40,64,128"]})]
Base64 = Annotated[bytes, BeforeValidator(decode_base64), Field(json_schema_extra={"contentEncoding": "base64"})]
Similarity = Annotated[float, BeforeValidator(_no_bool), Field(ge=-1, le=1, allow_inf_nan=False)]
Count = Annotated[int, BeforeValidator(_no_bool)]
RowId = Annotated[int, BeforeValidator(_no_bool), Field(ge=1, le=MAX_ROW_ID)]
