"""Conditions on crops and identities, as SQL that means the same on both databases."""

from collections.abc import Sequence
from itertools import groupby
from typing import Any

from sqlalchemy import Column, ColumnElement, Select, false, select

from service.db.tables import attributes, crops, identities
from service.domain import Condition, Scalar


def clauses(conditions: Sequence[Condition]) -> list[ColumnElement[bool]]:
    """The conditions as clauses on crops joined with identities, of which those on attributes need identities alone.
    A list matches where one of its elements meets all that is demanded of it."""
    of_crops = [one for one in conditions if one.attribute is None]
    found = [_compare(crops.c[one.field], one.op, one.values) for one in of_crops]
    of_people = sorted((one for one in conditions if one.attribute is not None), key=lambda one: one.field)
    for _, demands in groupby(of_people, key=lambda one: one.attribute):
        found.append(identities.c.id.in_(_owners(list(demands))))
    return found


def _owners(demands: Sequence[Condition]) -> Select[tuple[int]]:
    """Whose attribute, the same in all demands, meets them."""
    of_it = attributes.c.key == demands[0].attribute
    return select(attributes.c.identity_id).where(of_it, *(_is_met(one) for one in demands))


def _is_met(demand: Condition) -> ColumnElement[bool]:
    met: ColumnElement[bool] = false()  # by no value at all: `in` an empty list
    for kind in ("boolean", "string", "number"):
        values = tuple(value for value in demand.values if _kind(value) == kind)
        if not values:
            continue
        if kind == "string":
            column = attributes.c.text
        else:  # else PostgreSQL would take all numbers of a list for what the first one is
            column, values = attributes.c.number, tuple(float(one) for one in values if isinstance(one, int | float))
        met |= (attributes.c.kind == kind) & _compare(column, demand.op, values)
    return met


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
