"""Starts from snapshots: when one is used, when not, and that either way the index is what SQL has."""

import dataclasses
import gc
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from service.config import Settings
from service.index.blocks import Block
from service.index.segmented import SegmentedIndex
from service.store.snapshots import SnapshotFolder, Stamp
from tests.api.holdings import parts_of, wait_for
from tests.flows.indexed import PEOPLE, answers, enrol, index_of, serving, sources


def test_a_start_from_a_snapshot_answers_like_one_from_the_database(
    filled: Settings, log: pytest.LogCaptureFixture
) -> None:
    with serving(filled) as client:
        from_snapshot = answers(client)
    shutil.rmtree(index_of(filled))
    with serving(filled) as client:
        assert answers(client) == from_snapshot
    assert sources(log) == [(PEOPLE + 1, 0), (0, PEOPLE + 1)]


def test_what_came_and_went_since_the_snapshot_is_as_it_is_in_the_database(
    filled: Settings, log: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    shutil.copytree(index_of(filled), tmp_path / "old")
    with serving(filled) as client:
        enrol(client, PEOPLE + 1, PEOPLE + 2, 1)
        enrol(client, PEOPLE + 1, collection="other")
        client.delete("/gallery/p-2")
        client.delete("/gallery/p-5")
        client.delete("/gallery/p-1?collection=other")
        now = answers(client)
    shutil.rmtree(index_of(filled))
    shutil.copytree(tmp_path / "old", index_of(filled))
    log.clear()
    with serving(filled) as client:
        assert answers(client) == now
        enrol(client, 5)
        assert answers(client)[0][8][0][0] == "p-5"
    assert sources(log) == [(PEOPLE - 2, 4)]


def rewrite(settings: Settings, change: Callable[[Stamp], Stamp]) -> None:
    """The snapshot again, with another stamp and right checksums."""
    folder = SnapshotFolder(index_of(settings))
    old = folder.read(1)
    pieces = {home: [piece for _, piece in folder.pieces(old, home)] for home in old.files}
    new, _ = folder.write(change(old.stamp), pieces, {})
    folder.sweep([new])


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"database": "another"}, "its database is another"),
        ({"epoch": 7}, "its epoch is 7, here it is 1"),
        ({"model": "other@sha256:0"}, "its model is other"),
        ({"dim": 256}, "not as long|its dim is 256"),
        ({"kind": "approximate"}, "its kind is approximate"),
        ({"generation": 10_000}, "it is of generation 10000, the database is at"),
    ],
)
def test_a_snapshot_of_something_else_is_refused_with_its_reason_and_goes(
    filled: Settings, log: pytest.LogCaptureFixture, changed: dict[str, Any], reason: str
) -> None:
    with serving(filled) as client:
        true = answers(client)
    rewrite(filled, lambda stamp: dataclasses.replace(stamp, **changed))
    refused = set(index_of(filled).iterdir())
    log.clear()
    with serving(filled) as client:
        assert answers(client) == true
        assert refused.isdisjoint(index_of(filled).iterdir())
    assert sources(log) == [(0, PEOPLE + 1)]
    assert re.search(reason, log.text)


def damage(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-3] ^= 4
    path.write_bytes(content)


def write_in_blocks_of_two(settings: Settings) -> None:
    """The snapshot again, with two rows a piece."""
    shutil.rmtree(index_of(settings))
    with serving(settings, block_rows=2):
        wait_for(lambda: SnapshotFolder(index_of(settings)).numbers() == [1])


@pytest.mark.parametrize("what", ["newest", "both"])
def test_where_the_newest_snapshot_is_damaged_the_one_before_it_is_used_and_else_the_database(
    filled: Settings, log: pytest.LogCaptureFixture, what: str
) -> None:
    with serving(filled) as client:
        enrol(client, PEOPLE + 1, PEOPLE + 2)
        true = answers(client)
    newest, older = (SnapshotFolder(index_of(filled)).read(number) for number in (2, 1))
    damage(index_of(filled) / newest.files[1][0].name)
    if what == "both":
        damage(index_of(filled) / older.files[1][0].name)
    log.clear()
    with serving(filled) as client:
        assert answers(client) == true
        assert not (index_of(filled) / newest.files[1][0].name).exists()
    assert sources(log) == [(PEOPLE + 1, 2) if what == "newest" else (0, PEOPLE + 3)]
    assert log.text.count("is damaged") == (1 if what == "newest" else 2)


def blocks_in_memory() -> list[Block]:
    return [one for one in gc.get_objects() if type(one) is Block]  # `isinstance` asks modules that warn when asked


def test_what_was_loaded_of_a_snapshot_before_it_was_refused_is_let_go(filled: Settings) -> None:
    write_in_blocks_of_two(filled)
    damage(index_of(filled) / SnapshotFolder(index_of(filled)).read(1).files[1][1].name)
    gc.collect()
    before = blocks_in_memory()  # kept, so that none made later has the id of one of them
    known = {id(one) for one in before}
    gc.disable()  # nothing may wait for it: a large gallery would be in memory twice
    try:
        with serving(filled, block_rows=2) as client:
            made = [one for one in blocks_in_memory() if id(one) not in known]
            galleries = parts_of(client).galleries
            assert len(made) == sum(len(pieces) for pieces in galleries.cut().values())
    finally:
        gc.enable()


def test_blocks_that_are_pieces_take_removals(filled: Settings, log: pytest.LogCaptureFixture) -> None:
    """Of two rows each: those removed after the snapshot are struck out of it, and others later out of the index."""
    write_in_blocks_of_two(filled)
    old = Path(shutil.copytree(index_of(filled), filled.data_dir.with_name("old")))
    with serving(filled, block_rows=2) as client:
        client.delete("/gallery/p-4")
        true = answers(client)
    shutil.rmtree(index_of(filled))
    shutil.copytree(old, index_of(filled))
    log.clear()
    with serving(filled, block_rows=2) as client:
        assert answers(client) == true
        client.delete("/gallery/p-5")
        enrol(client, PEOPLE + 1)
        true = answers(client)
    assert sources(log) == [(PEOPLE, 0)]
    with serving(filled, block_rows=2) as client:
        assert answers(client) == true


def test_pieces_of_larger_blocks_are_taken(filled: Settings, log: pytest.LogCaptureFixture) -> None:
    with serving(filled) as client:
        true = answers(client)
    log.clear()
    with serving(filled, block_rows=2) as client:
        assert answers(client) == true
    assert sources(log) == [(PEOPLE + 1, 0)]


def test_pieces_that_the_index_does_not_take_are_no_reason_not_to_start(
    filled: Settings, log: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(index: object, pieces: Iterator[object]) -> None:
        next(pieces)
        raise ValueError("vectors of another length")

    monkeypatch.setattr(SegmentedIndex, "restore", refuse)
    with serving(filled) as client:
        assert client.get("/readyz").json()["crops"] == PEOPLE + 1
    assert sources(log) == [(0, PEOPLE + 1)]
    assert "is not used" in log.text


def test_an_old_database_that_was_put_back_by_hand_and_gave_its_ids_again_is_found_out(
    settings: Settings, log: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    """By its vectors: everything else agrees. Where one day it does not come to as many changes, by its generation."""
    if "sqlite" not in settings.url:
        pytest.skip("a PostgreSQL database is no file to put back")
    file = Path(settings.url.removeprefix("sqlite:///"))
    with serving(settings) as client:
        enrol(client, 1, 2)
    old = file.read_bytes()
    with serving(settings) as client:
        enrol(client, 3, 4)
    shutil.copytree(index_of(settings), tmp_path / "later")
    for seeds in ((5, 6), (6,)):
        file.write_bytes(old)
        shutil.rmtree(index_of(settings))
        with serving(settings) as client:
            enrol(client, *seeds)
            true = answers(client)
        shutil.rmtree(index_of(settings))
        shutil.copytree(tmp_path / "later", index_of(settings))
        with serving(settings) as client:
            assert answers(client) == true
    assert "its vectors are not those of the database" in log.text
    assert "it is of generation 4, the database is at 3" in log.text
