"""Conditions on crops and identities, as SQL that means the same on both databases."""

from typing import Any

from sqlalchemy import Column, ColumnElement, select

from service.db.tables import attributes, crops, identities
from service.domain import Condition, Scalar


def crop_clause(condition: Condition) -> ColumnElement[bool]:
    """The condition as a clause on crops joined with identities."""
    if condition.attribute is not None:
        return identity_clause(condition)
    return _compare(crops.c[condition.field], condition.op, condition.values)


def identity_clause(condition: Condition) -> ColumnElement[bool]:
    """The condition on an attribute as a clause on identities. A list matches by any of its elements."""
    found = None
    for kind in ("boolean", "string", "number"):
        values = tuple(value for value in condition.values if _kind(value) == kind)
        if not values:
            continue
        column = attributes.c.text if kind == "string" else attributes.c.number
        if kind == "boolean":
            values = tuple(float(value) for value in values if isinstance(value, bool))
        clause = (attributes.c.kind == kind) & _compare(column, condition.op, values)
        found = clause if found is None else found | clause
    if found is None:
        return identities.c.id.is_(None)  # no value at all: `in` an empty list
    owners = select(attributes.c.identity_id).where(attributes.c.key == condition.attribute, found)
    return identities.c.id.in_(owners)


def _kind(value: Scalar) -> str:
    if isinstance(value, bool):
        return "boolean"
    return "string" if isinstance(value, str) else "number"


def _compare(column: Column[Any], op: str, values: tuple[Scalar, ...]) -> ColumnElement[bool]:
    if op == "in":
        return column.in_(values)
    (value,) = values
    comparisons: dict[str, ColumnElement[bool]] = {
        "gt": column > value, "gte": column >= value, "lt": column < value, "lte": column <= value,
    }  # fmt: skip
    return comparisons[op]
