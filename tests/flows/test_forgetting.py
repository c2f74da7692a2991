"""Removed people and the snapshots that have them: by when their vectors are off the disk."""

import os
import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import select

from service.config import Settings
from service.db.tables import vectors
from service.flows.housekeeping import put_right
from service.flows.snapshots import Busy
from service.index.gallery import Galleries
from service.store.snapshots import SnapshotFolder
from tests.api.holdings import parts_of, wait_for
from tests.flows.indexed import enrol, index_of, serving, write

GATHER_S = 1800


@pytest.fixture
def gathering(settings: Settings) -> Settings:
    """Removals wait for half an hour."""
    return settings.model_copy(update={"rewrite_minutes": GATHER_S / 60})


def vector_of(client: TestClient) -> bytes:
    """A part of the newest vector."""
    rows = parts_of(client).database.read_now(
        lambda on: on.execute(select(vectors.c.vector).order_by(vectors.c.crop_id)).scalars().all()
    )
    return bytes(rows[-1][40:104])


def files_with(folder: Path, wanted: bytes) -> list[str]:
    return sorted(path.name for path in folder.glob("*") if wanted in path.read_bytes())


def tidy(client: TestClient) -> None:
    """One round of housekeeping."""
    assert client.portal is not None
    client.portal.call(put_right, parts_of(client))


def wait_half_an_hour(client: TestClient) -> None:
    """As if everything that waits, and every snapshot, were older."""
    rewriting, snapshots = parts_of(client).rewriting, parts_of(client).snapshots
    rewriting._since = None if rewriting._since is None else rewriting._since - GATHER_S
    for kept in snapshots._kept:
        object.__setattr__(kept, "cut_at", kept.cut_at - GATHER_S)


def generations(client: TestClient) -> list[int]:
    return [one.snapshot.stamp.generation for one in parts_of(client).snapshots._kept]


def remove(client: TestClient, seed: int) -> bool:
    """Returns whether the receipt says that everything is overwritten."""
    rewritten: bool = client.delete(f"/gallery/p-{seed}").json()["rewritten"]
    return rewritten


def test_with_nothing_to_gather_snapshots_that_have_the_person_go_before_the_receipt_or_it_says_that_they_stay(
    settings: Settings,
) -> None:
    with serving(settings) as client:
        enrol(client, 1)
        write(client)
        enrol(client, 2)
        vector = vector_of(client)
        write(client)
        assert len(files_with(index_of(settings), vector)) == 1, "the test sees what it looks for"
        tidy(client)
        assert generations(client) == [2, 1]
        done = remove(client, 2)
        assert done is ("sqlite" in settings.url)
        assert bool(files_with(index_of(settings), vector)) is not done
        tidy(client)
        assert parts_of(client).rewriting.done
        assert files_with(index_of(settings), vector) == []
        assert 2 not in generations(client), "the one before him may stay"
        write(client)
    assert files_with(index_of(settings), vector) == []


def test_a_removal_is_out_of_all_snapshots_when_its_time_is_over_and_a_fresh_one_is_left(gathering: Settings) -> None:
    with serving(gathering) as client:
        enrol(client, 1, 2)
        vector = vector_of(client)
        write(client)
        enrol(client, 3)
        write(client)
        wait_half_an_hour(client)
        tidy(client)
        assert parts_of(client).rewriting.done, "what the last process left"
        assert remove(client, 2) is False
        tidy(client)
        assert not parts_of(client).rewriting.done
        assert len(files_with(index_of(gathering), vector)) == 2, "others gather with it"
        wait_half_an_hour(client)
        tidy(client)
        assert parts_of(client).rewriting.done
        assert files_with(index_of(gathering), vector) == []
        assert generations(client) == [4]
    assert SnapshotFolder(index_of(gathering)).read(3).stamp.generation == 4


def test_who_is_removed_after_the_newest_snapshot_waits_until_that_is_old(gathering: Settings) -> None:
    with serving(gathering) as client:
        enrol(client, 1, 2, 3)
        vector = vector_of(client)
        write(client)
        remove(client, 1)
        write(client)
        remove(client, 3)
        newest = parts_of(client).snapshots._kept[0]
        forget = partial(parts_of(client).snapshots.forget, parts_of(client).database, GATHER_S, since=0.0)
        assert forget() == newest.cut_at
        assert generations(client) == [4]
        assert forget() == newest.cut_at
        wait_half_an_hour(client)
        assert forget() is None
        assert generations(client) == files_with(index_of(gathering), vector) == []


def test_a_disk_that_takes_no_fresh_snapshot_keeps_no_removed_person_on_it(
    gathering: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    with serving(gathering) as client:
        enrol(client, 1, 2)
        vector = vector_of(client)
        write(client)
        remove(client, 2)
        wait_half_an_hour(client)
        with monkeypatch.context() as patch:
            patch.setattr(os, "fdatasync", full)
            tidy(client)
        assert parts_of(client).rewriting.done
        assert files_with(index_of(gathering), vector) == []
        assert generations(client) == []


def test_a_snapshot_that_is_being_written_is_not_overlooked(settings: Settings) -> None:
    reached, go_on = threading.Event(), threading.Event()

    def stop_here(name: str) -> None:
        if name == "after-pieces-before-manifest" and not go_on.is_set():
            reached.set()
            assert go_on.wait(10)

    with serving(settings, stop_here) as client:
        enrol(client, 1, 2)
        vector = vector_of(client)
        writing = threading.Thread(target=write, args=[client])
        writing.start()
        assert reached.wait(10)
        assert files_with(index_of(settings), vector)
        assert remove(client, 2) is False, "the snapshot would have it"
        go_on.set()
        writing.join()
        tidy(client)
        assert parts_of(client).rewriting.done
        assert files_with(index_of(settings), vector) == []


def test_what_was_removed_before_a_restart_goes_after_it(gathering: Settings) -> None:
    with serving(gathering) as client:
        enrol(client, 1, 2)
        vector = vector_of(client)
        write(client)
        remove(client, 2)
    assert files_with(index_of(gathering), vector), "the one before the last"
    with serving(gathering) as client:
        wait_half_an_hour(client)
        tidy(client)
        assert parts_of(client).rewriting.done
        assert files_with(index_of(gathering), vector) == []
        assert generations(client) == [3], "which has him no more, and is not written again"
        wait_for(lambda: parts_of(client).snapshots.age_s >= 0)


@pytest.mark.parametrize("gather_s", [0, GATHER_S])
def test_who_is_removed_all_the_while_keeps_nobody_else_from_being_overwritten(
    gather_s: int, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    with serving(settings.model_copy(update={"rewrite_minutes": gather_s / 60})) as client:
        enrol(client, 1, 2)
        vector = vector_of(client)
        write(client)
        parts = parts_of(client)
        monkeypatch.setattr(Galleries, "holds_removed", True)  # an accelerator has a newer one at every moment
        assert remove(client, 2) is False
        wait_half_an_hour(client)
        assert parts.rewriting._since is not None
        with pytest.raises(Busy):
            parts.snapshots.forget(parts.database, gather_s, parts.rewriting._since)
        assert files_with(index_of(settings), vector), "it is still there"
        tidy(client)
        assert files_with(index_of(settings), vector) == []
        assert not parts.rewriting.done, "those who were removed since wait"
        assert 0 < parts.rewriting.waiting_s < GATHER_S


def test_snapshots_may_all_be_forgotten_while_it_is_seen_which_have_a_removed_person(gathering: Settings) -> None:
    with serving(gathering) as client:
        enrol(client, 1, 2)
        write(client)
        remove(client, 2)
        parts = parts_of(client)
        read_now = parts.database.read_now

        def forgotten_meanwhile(query: Callable[..., object], *arguments: object) -> object:
            found = read_now(query, *arguments)
            parts.snapshots._kept = []
            return found

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(parts.database, "read_now", forgotten_meanwhile)
            assert client.portal is not None
            client.portal.call(parts.snapshots.refresh, parts.database, parts.writer)
        assert generations(client) == [], "there is nothing to make anew"
