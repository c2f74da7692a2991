"""Places that hold a service's database and data folder, to back up from and to restore to."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import Connection, select

from service.db.engine import make_engine, parse_url
from service.db.tables import metadata
from service.flows.backup import BackedUp, back_up
from service.flows.restore import Restored, restore
from tests.api.conftest import running
from tests.api.sending import form
from tests.conftest import fresh_database
from tests.pictures import jpeg

PEOPLE = (("default", "p-1", 1), ("default", "p-2", 2), ("other", "p-3", 3), ("other", "p-1", 4))


@dataclass(frozen=True)
class Place:
    """A database and a data folder, used by one service at a time."""

    url: str
    data_dir: Path

    def serving(self) -> AbstractContextManager[TestClient]:
        return running(self.data_dir, self.url)

    def back_up(self, path: Path, **options: Any) -> BackedUp:
        return back_up(path, database_url=self.url, data_dir=self.data_dir, settings={"port": 8000}, **options)

    def restore(self, path: Path, **options: Any) -> Restored:
        return restore(path, database_url=self.url, data_dir=self.data_dir, **options)

    def rows(self) -> dict[str, list[str]]:
        """All rows of all tables."""
        engine = make_engine(parse_url(self.url), pool_size=1, read_only=True)
        try:
            with engine.begin() as connection:
                return _rows(connection)
        finally:
            engine.dispose()

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """A transaction past the service."""
        engine = make_engine(parse_url(self.url), pool_size=1, read_only=False)
        try:
            with engine.begin() as connection:
                yield connection
        finally:
            engine.dispose()

    def files(self) -> dict[str, bytes]:
        """All files of the data folder but the database and the lock, which are not what a restore restores."""
        return {
            str(path.relative_to(self.data_dir)): path.read_bytes()
            for path in self.data_dir.rglob("*")
            if path.is_file() and path.name != "lock" and not path.name.startswith("reappear.db")
        }


class MakePlace(Protocol):
    """`place("sqlite")`, or of the other kind."""

    def __call__(self, kind: str) -> Place: ...


@pytest.fixture
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[MakePlace]:
    """Makes places with empty databases, migrated."""
    with ExitStack() as stack:
        count = 0

        def make(kind: str) -> Place:
            nonlocal count
            count += 1
            folder = tmp_path / f"place-{count}"
            folder.mkdir()
            return Place(stack.enter_context(_database(request, kind, folder)), folder)

        yield make


@pytest.fixture(params=["sqlite", "postgresql"])
def source(request: pytest.FixtureRequest, place: MakePlace) -> Place:
    """A place on each kind of database, with four people, and no service running."""
    return filled(place(request.param))


@pytest.fixture
def lite_source(place: MakePlace) -> Place:
    """A `source` on SQLite, for what does not touch its database in a way of its own."""
    return filled(place("sqlite"))


def filled(place: Place) -> Place:
    with place.serving() as client:
        fill(client)
    return place


def fill(client: TestClient) -> None:
    """Four people with two crops each in two collections; ids of rows that were removed are missing in between."""
    made = {"name": "other", "match_threshold": 0.91, "possible_threshold": 0.5, "retention_days": 900}
    assert client.post("/collections", json=made).status_code == 201
    for collection, identity, seed in PEOPLE:
        enrol(client, collection, "gone", 100 + seed)
        enrol(client, collection, identity, seed)
        assert client.delete("/gallery/gone", params={"collection": collection}).status_code == 200


def enrol(client: TestClient, collection: str, identity: str, seed: int, views: int = 2) -> list[int]:
    """Enrol pictures of a seed; returns the crops."""
    fields = {
        "identity": identity, "collection": collection, "name": f"Nämé {seed}", "camera": f"c{seed}",
        "captured_at": "2026-05-01T12:00:00.123456+02:00", "track": "t",
        "attributes": '{"jacket": "r\\u00f6d", "height": 1.83, "age": 40, "staff": true, "bags": ["a", "b"]}',
    }  # fmt: skip
    pictures = [jpeg(seed, view=view) for view in range(views)]
    answer = client.post("/gallery", **form("images", pictures, **fields))
    assert answer.status_code in (200, 201), answer.text
    return [one["crop"] for one in answer.json()["accepted"]]


def answers(client: TestClient) -> dict[str, Any]:
    """What the service answers to every question about whom it knows; pictures as bytes."""
    told: dict[str, Any] = {"collections": client.get("/collections").json(), "keys": client.get("/keys").json()}
    for collection in [one["name"] for one in told["collections"]["collections"]]:
        within = {"collection": collection}
        people = client.get("/gallery", params=within).json()["identities"]
        told[f"{collection} people"] = people
        for person in [one["id"] for one in people]:
            crops = client.get(f"/gallery/{person}/crops", params=within).json()["crops"]
            told[f"{collection} {person}"] = crops
            for crop in crops:
                told[f"picture {crop['crop']}"] = client.get(f"/crops/{crop['crop']}/picture").content
        for seed in (1, 2, 3, 4, 101):
            asked = {**within, "k": 5, "hits": 5}
            answer = client.post(
                "/query", content=jpeg(seed, view=9), headers={"Content-Type": "image/jpeg"}, params=asked
            )
            told[f"{collection} query {seed}"] = _comparable(answer.json())
        filtered = {
            "identity": people[0]["id"],
            "filter": {"attributes.jacket": "röd", "attributes.height": {"gt": 1.5}},
        }
        told[f"{collection} filtered"] = _comparable(client.post("/query", json=filtered, params=within).json())
    return told


def _comparable(answer: dict[str, Any]) -> dict[str, Any]:
    """An answer without what no two runs share; similarities to six digits."""
    for candidate in answer["candidates"]:
        for one in (candidate, *candidate["hits"]):
            one["similarity"] = pytest.approx(one["similarity"], abs=1e-6)
    return {name: value for name, value in answer.items() if name not in ("timings_ms", "generation")}


@contextmanager
def _database(request: pytest.FixtureRequest, kind: str, folder: Path) -> Iterator[str]:
    class Asked:
        param = kind
        getfixturevalue = staticmethod(request.getfixturevalue)

    with fresh_database(Asked(), folder / "reappear.db") as url:  # type: ignore[arg-type]
        yield url


def _rows(connection: Connection) -> dict[str, list[str]]:
    return {one.name: sorted(map(repr, connection.execute(select(one)))) for one in metadata.sorted_tables}
