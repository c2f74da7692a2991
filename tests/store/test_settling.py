"""After a crash: staged pictures whose rows were committed are published, the others dropped, and what was to be
removed is removed."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from service.db.changes import ensure_meta, ensure_model
from service.db.database import Database
from service.db.erasures import waiting_tombstones
from service.db.outbox import waiting_pictures
from service.db.people import add_identity, delete_identity, find_collection
from service.db.sightings import NewCrop, add_crops, take_crops_of
from service.domain import Quality, Sighting
from service.flows.reconcile import settle_files
from service.store.folder import FolderStore
from service.store.tombstones import Tombstones


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    database = Database(database_url, readers=1, max_waiting=10)
    yield database
    database.close()


@pytest.fixture
def store(tmp_path: Path) -> Iterator[FolderStore]:
    store = FolderStore(tmp_path / "pictures")
    yield store
    store.close()


@pytest.fixture
def stones(tmp_path: Path) -> Tombstones:
    return Tombstones(tmp_path / "erasures.jsonl")


def enrol(database: Database, names: list[str]) -> int:
    """Rows for pictures, as an enrolment commits them; returns the identity."""
    now = datetime.now(UTC)
    with database.begin() as connection:
        ensure_meta(connection)
        model = ensure_model(connection, "test", "0" * 64, 2)
        identity = add_identity(connection, find_collection(connection, "default").id, f"p{names[0]}", None, {}, now)
        vector = np.array([1, 0], np.float32)
        new = [NewCrop(name, "0" * 64, "image/jpeg", Sighting(), Quality(64, 128, 0.5), vector) for name in names]
        add_crops(connection, identity, model, new, now)
    return identity


def test_what_a_crash_left_behind_is_settled_by_the_rows(
    database: Database, store: FolderStore, stones: Tombstones
) -> None:
    kept, committed, lost = store.stage([b"kept"]), store.stage([b"committed"] * 2), store.stage([b"lost"] * 3)
    enrol(database, kept)
    store.publish(kept)
    enrol(database, committed)  # and the crash came before they were published
    settle_files(database, store, stones)
    assert store.staged() == []
    assert sorted(store.names()) == sorted(kept + committed)
    assert [store.read(name) for name in kept + committed] == [b"kept", b"committed", b"committed"]
    assert not set(lost) & set(store.names())
    settle_files(database, store, stones)
    assert sorted(store.names()) == sorted(kept + committed), "settling again changes nothing"


def test_pictures_of_removed_people_are_unlinked_wherever_the_crash_left_them(
    database: Database, store: FolderStore, stones: Tombstones
) -> None:
    published, staged, stays = store.stage([b"published"]), store.stage([b"staged"]), store.stage([b"stays"])
    identity = enrol(database, published + staged)
    enrol(database, stays)
    store.publish(published + stays)
    with database.begin() as connection:  # the removal was committed, and the crash came before the files went
        take_crops_of(connection, identity)
        delete_identity(connection, identity)
    settle_files(database, store, stones)
    assert sorted(store.names()) == stays
    assert store.staged() == []
    assert database.read_now(waiting_pictures) == []
    assert sorted((stone.kind, stone.row) for stone in stones.read()) == [
        ("crop", "1"), ("crop", "2"), ("identity", str(identity))
    ]  # fmt: skip
    assert database.read_now(waiting_tombstones) == {}
