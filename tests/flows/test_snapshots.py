"""Starts from snapshots: when one is used, when not, and that either way the index is what SQL has."""

import dataclasses
import gc
import logging
import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fastapi.testclient import TestClient

from service.app import create_app
from service.config import Settings
from service.index.blocks import Block
from service.index.segmented import BLOCK_ROWS, SegmentedIndex
from service.store.snapshots import SnapshotFolder, Stamp
from tests.api.holdings import parts_of, wait_for
from tests.conftest import wait_until_ready
from tests.pictures import jpeg

JPEG = {"Content-Type": "image/jpeg"}
PEOPLE = 6


@pytest.fixture
def log(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> pytest.LogCaptureFixture:
    """What is said while loading and keeping snapshots."""
    for name in ("service.flows.loading", "service.flows.snapshots"):
        monkeypatch.setattr(logging.getLogger(name), "handlers", [caplog.handler])
        caplog.set_level("INFO", name)
    return caplog


@contextmanager
def serving(
    settings: Settings, fail_point: Callable[[str], None] = lambda name: None, block_rows: int = BLOCK_ROWS
) -> Iterator[TestClient]:
    app = create_app(settings, fail_point=fail_point, block_rows=block_rows)
    with TestClient(app, base_url="http://127.0.0.1") as client:
        wait_until_ready(client)
        yield client


def enrol(client: TestClient, *seeds: int, collection: str = "default") -> None:
    for seed in seeds:
        params = {"identity": f"p-{seed}", "collection": collection}
        assert client.post("/gallery", params=params, content=jpeg(seed), headers=JPEG).status_code in (200, 201)


def write(client: TestClient) -> None:
    """A snapshot of now."""
    assert client.portal is not None
    client.portal.call(parts_of(client).snapshots.write, parts_of(client).writer)


def answers(client: TestClient) -> list[Any]:
    """What is found for everybody who was ever enrolled here, in both collections where there are two."""
    found = []
    for seed in range(1, PEOPLE + 3):
        for collection in ("default", "other"):
            params = {"k": 10, "hits": 10, "collection": collection}
            answer = client.post("/query", params=params, content=jpeg(seed), headers=JPEG).json()
            found.append([(one["identity"], one["similarity"], one["hits"]) for one in answer.get("candidates", ())])
    ready = client.get("/readyz").json()
    lengths = [len(parts_of(client).galleries.of(home).vectors) for home in (1, 2)]
    return [found, ready["crops"], ready["generation"], lengths]


def sources(log: pytest.LogCaptureFixture) -> list[tuple[int, int]]:
    """Of each load, how many vectors came from a snapshot, and how many from the database."""
    told = [vars(one) for one in log.records if one.getMessage() == "loaded the index"]
    return [(one["from_snapshot"], one["from_database"]) for one in told]


def index_of(settings: Settings) -> Path:
    return settings.data_dir / "index"


@pytest.fixture
def filled(settings: Settings) -> Settings:
    """Settings of a stopped service with people in two collections, and one snapshot that has them all."""
    with serving(settings) as client:
        client.post("/collections", json={"name": "other"})
        enrol(client, *range(1, PEOPLE + 1))
        enrol(client, 1, 2, collection="other")
        client.delete("/gallery/p-3")
    assert SnapshotFolder(index_of(settings)).numbers() == [1]
    return settings


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


def test_a_start_that_finds_all_as_it_was_writes_nothing(filled: Settings) -> None:
    before = {path.name: path.stat().st_mtime_ns for path in index_of(filled).iterdir()}
    with serving(filled):
        pass
    assert {path.name: path.stat().st_mtime_ns for path in index_of(filled).iterdir()} == before


def test_after_a_start_pieces_that_did_not_change_are_not_written_again(filled: Settings) -> None:
    with serving(filled) as client:
        enrol(client, PEOPLE + 1)
        write(client)
        newest, older = parts_of(client).snapshots._kept
    assert newest.snapshot.files[2] == older.snapshot.files[2]
    assert newest.snapshot.files[1] != older.snapshot.files[1]


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


def test_a_service_that_cannot_write_snapshots_says_so_and_goes_on(
    settings: Settings, log: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*arguments: object, **options: object) -> None:
        raise OSError(28, "No space left on device")

    with serving(settings) as client:
        enrol(client, 1)
        write(client)
        old = parts_of(client).snapshots._kept
        with monkeypatch.context() as patch:
            patch.setattr("service.store.snapshots.os.fdatasync", full)
            enrol(client, 2)
            write(client)
            write(client)
        assert log.text.count("no snapshot of the index can be written") == 2
        assert "No space left on device" in log.text
        assert parts_of(client).snapshots._kept == old
        assert age(client) >= 0
        enrol(client, 3)
        assert answers(client)[1] == 3
        write(client)
        assert [one.snapshot.stamp.generation for one in parts_of(client).snapshots._kept] == [3, 1]


def test_a_folder_that_cannot_be_made_keeps_nobody_from_starting(
    settings: Settings, log: pytest.LogCaptureFixture
) -> None:
    settings.data_dir.mkdir(parents=True)
    index_of(settings).write_text("a file in its place")
    with serving(settings) as client:
        enrol(client, 1)
        write(client)
        assert np.isnan(age(client))
        assert answers(client)[1] == 1
    assert "no snapshot of the index can be written" in log.text


def age(client: TestClient) -> float:
    (line,) = [
        one for one in client.get("/metrics").text.splitlines() if one.startswith("reappear_snapshot_age_seconds")
    ]
    return float(line.split()[1])


def test_snapshots_come_by_themselves_while_the_index_changes_and_two_are_kept(settings: Settings) -> None:
    with serving(settings.model_copy(update={"snapshot_minutes": 0.0005})) as client:
        snapshots = parts_of(client).snapshots

        def newest() -> list[int]:
            return [one.snapshot.stamp.generation for one in snapshots._kept]

        for generation in (1, 2, 3):
            enrol(client, generation)
            wait_for(lambda: newest()[:1] == [generation])  # noqa: B023
        wait_for(lambda: newest() == [3, 2])
    assert SnapshotFolder(index_of(settings)).numbers() == [3, 2]


def test_after_a_start_that_read_everything_from_the_database_there_is_a_snapshot_soon(filled: Settings) -> None:
    shutil.rmtree(index_of(filled))
    with serving(filled):
        wait_for(lambda: SnapshotFolder(index_of(filled)).numbers() == [1])


def test_nothing_is_written_of_an_index_that_was_never_loaded(filled: Settings) -> None:
    before = sorted(path.name for path in index_of(filled).iterdir())
    other = Path(shutil.copytree(filled.model_dir, filled.data_dir.with_name("model")))
    manifest = other / "manifest.json"
    manifest.write_text(manifest.read_text().replace('"name": "reid-default"', '"name": "another"'))
    app = create_app(filled.model_copy(update={"model_dir": other}))
    with TestClient(app, base_url="http://127.0.0.1") as client:
        wait_for(lambda: client.get("/readyz").json()["error"] == "MODEL_MISMATCH")
    assert sorted(path.name for path in index_of(filled).iterdir()) == before
