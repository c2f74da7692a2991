"""The `filter` of a request: a JSON object of demands, all of which must hold.

{"camera": "c1", "attributes.jacket": ["red", "blue"], "captured_at": {"gte": "2026-05-01T00:00:00Z"}}
"""

from typing import Any

from pydantic import TypeAdapter, ValidationError

from service.api.fields import MAX_ID_CHARS, Moment, check_label, check_text, check_value
from service.domain import MAX_FILTERED_CHARS, Condition, Scalar
from service.errors import BadInput

RANGES = ("gt", "gte", "lt", "lte")
CROP_FIELDS = ("camera", "track", "captured_at")
MAX_VALUES = 1000
MAX_CONDITIONS = 16  # with as many values each, still fewer parameters than either database takes

_moment: TypeAdapter[Any] = TypeAdapter(Moment)


def parse_filter(wanted: dict[str, Any] | None, *, on_crops: bool) -> list[Condition]:
    """The conditions of a filter object. Raises BadInput that names the field. Identities have attributes only."""
    conditions = []
    for name, demand in (wanted or {}).items():
        name = _field(name, on_crops)
        if isinstance(demand, dict):
            if not demand:
                raise BadInput(f"filter: {name} demands nothing; say what it must be, or leave it out")
            conditions += [_condition(name, op, value) for op, value in demand.items()]
        else:
            conditions.append(_condition(name, "in", demand if isinstance(demand, list) else [demand]))
        if len(conditions) > MAX_CONDITIONS:
            raise BadInput(f"filter: at most {MAX_CONDITIONS} conditions are taken")
    return conditions


def _field(name: str, on_crops: bool) -> str:
    """The field as the database knows it, attribute keys in NFC."""
    prefix, dot, key = name.partition(".")
    if prefix == "attributes" and dot:
        try:
            return f"attributes.{check_label(key)}"
        except ValueError as error:
            raise BadInput(f"filter: {name[:MAX_ID_CHARS]!r}: {error}") from error
    if not (on_crops and name in CROP_FIELDS):
        allowed = ("attributes.KEY", *CROP_FIELDS) if on_crops else ("attributes.KEY",)
        raise BadInput(f"filter: {name[:MAX_ID_CHARS]!r} is not one of {', '.join(allowed)}")
    return name


def _condition(name: str, op: str, value: Any) -> Condition:
    if op == "eq":
        op, value = "in", [value]
    if op == "in":
        if not isinstance(value, list) or len(value) > MAX_VALUES:
            raise BadInput(f"filter: {name}.in must be a list of at most {MAX_VALUES} values")
        return Condition(name, "in", tuple(_scalar(name, one) for one in value))
    if op not in RANGES:
        raise BadInput(f"filter: {name}: {op!r} is not one of eq, in, {', '.join(RANGES)}")
    limit = _scalar(name, value)
    if isinstance(limit, bool):
        raise BadInput(f"filter: {name}.{op} must be a number, a text or a time")
    return Condition(name, op, (limit,))


def _scalar(name: str, value: Any) -> Scalar:
    if name == "captured_at":
        try:
            return _moment.validate_python(value)  # type: ignore[no-any-return]
        except ValidationError as error:
            raise BadInput(f"filter: captured_at: {error.errors()[0]['msg']}") from error
    if isinstance(value, str):
        return _text(name, value)
    if name in CROP_FIELDS or not isinstance(value, int | float):
        raise BadInput(f"filter: {name} compares with text{'' if name in CROP_FIELDS else ', numbers, true or false'}")
    if isinstance(value, int):  # no attribute has a larger number, but a range may end beyond all of them
        try:
            check_value(value)
        except ValueError as error:
            raise BadInput(f"filter: {name}: {error}") from error
    return value


def _text(name: str, value: str) -> str:
    """A text as it was when it was enrolled: labels in NFC."""
    if len(value) > MAX_FILTERED_CHARS:
        raise BadInput(f"filter: {name}: texts of more than {MAX_FILTERED_CHARS} characters cannot be filtered on")
    try:
        return check_label(value) if name in CROP_FIELDS else check_text(value)
    except ValueError as error:
        raise BadInput(f"filter: {name}: {error}") from error
