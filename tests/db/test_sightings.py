"""Crops as they are written, and as answers show them."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import numpy as np
import pytest
from sqlalchemy import Connection, func, insert, select

from service.db.database import Database
from service.db.people import add_identity
from service.db.sightings import Joined, NewCrop, add_crops, join_crops
from service.db.tables import collections, models
from service.domain import Quality, Sighting

FULL: dict[str, Any] = {
    "external_id": "p-1", "name": 'Ünal "Kite" O\'Neil 🪁\n',
    "attributes": {"bag": "rot", "hüte": ["a", None, True, {"b": []}], "n": 0.1, "most": -(2**53)},
}  # fmt: skip
BARE: dict[str, Any] = {"external_id": "p-2", "name": None, "attributes": {}}
NOW = datetime(2026, 11, 21, tzinfo=UTC)
MOMENTS: list[datetime | None] = [
    datetime(2026, 11, 21, 8, 30, 0, 123456, tzinfo=UTC),
    datetime(2026, 11, 21, 8, 30, tzinfo=timezone(timedelta(hours=2))),
    datetime(1, 1, 1, tzinfo=UTC), datetime(9999, 12, 31, 23, 59, 59, 999999, tzinfo=UTC), None,
]  # fmt: skip


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    database = Database(database_url, readers=1, max_waiting=10)
    yield database
    database.close()


def given(connection: Connection, who: dict[str, Any], moments: list[datetime | None], camera: str | None) -> list[int]:
    """Crops of a new person, one a moment; the last one has no picture."""
    collection = connection.execute(select(collections.c.id)).scalar_one()
    model = connection.execute(select(func.max(models.c.id))).scalar_one_or_none()
    if model is None:
        row = {"name": "m", "sha256": "0" * 64, "dim": 2, "created_at": NOW}
        model = connection.execute(insert(models).values(row).returning(models.c.id)).scalar_one()
    identity = add_identity(connection, collection, who["external_id"], who["name"], who["attributes"], NOW)
    new = [
        NewCrop(
            None if place == len(moments) - 1 else f"{who['external_id']}-{place}", "0" * 64, "image/jpeg",
            Sighting(camera, moment), Quality(64, 128, 0.5), np.ones(2, np.float32),
        )
        for place, moment in enumerate(moments)
    ]  # fmt: skip
    return add_crops(connection, identity, model, new, NOW)


def test_what_an_answer_shows_of_a_crop_is_what_was_written(database: Database) -> None:
    with database.begin() as connection:
        full = given(connection, FULL, MOMENTS, "tür-1")
        bare = given(connection, BARE, [None], None)
    found = database.read_now(join_crops, [*full, *bare, 10**12])
    assert set(found) == {*full, *bare}, "one is not there"
    first = found[full[0]].identity
    for crop, moment in zip(full, MOMENTS, strict=True):
        assert found[crop] == Joined(crop, first, *FULL.values(), "tür-1", moment, has_picture=crop != full[-1])
        shown = found[crop].captured_at  # equal to the moment, so None where that is
        assert shown is None or shown.utcoffset() == timedelta(0)
    assert found[bare[0]] == Joined(bare[0], found[bare[0]].identity, *BARE.values(), None, None, has_picture=False)
    assert found[bare[0]].identity != first
    assert database.read_now(join_crops, []) == {}


def test_more_crops_than_a_statement_takes_parameters_are_joined(database: Database) -> None:
    with database.begin() as connection:
        crops = given(connection, BARE, [None] * 40, "c")
    wanted = [*range(10**6, 10**6 + 40_000), *crops]
    assert set(database.read_now(join_crops, wanted)) == set(crops)
