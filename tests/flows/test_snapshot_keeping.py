"""Snapshots of the index: when one is written, what of it anew, and that a service without one goes on."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from fastapi.testclient import TestClient

from service.app import create_app
from service.config import Settings
from service.index.gallery import Galleries
from service.store.snapshots import SnapshotFolder
from tests.api.holdings import parts_of, wait_for
from tests.flows.indexed import PEOPLE, answers, enrol, index_of, serving, write


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
            wait_for(lambda wanted=generation: newest()[:1] == [wanted])
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


def test_nothing_is_written_at_the_end_of_a_load_that_did_not_get_to_its_end(filled: Settings) -> None:
    before = sorted(path.name for path in index_of(filled).iterdir())
    with serving(filled) as client:
        parts_of(client).galleries.generation = 0  # as it is until all is there
    assert sorted(path.name for path in index_of(filled).iterdir()) == before


def test_a_stop_waits_for_no_snapshot_that_housekeeping_began(
    settings: Settings, log: pytest.LogCaptureFixture
) -> None:
    with serving(settings) as client:
        enrol(client, 1)
        parts_of(client).snapshots.stop()
        write(client)
        assert "was abandoned" in log.text
        assert parts_of(client).snapshots._kept == []
    assert SnapshotFolder(index_of(settings)).numbers() == [1], "but the last one"


def test_an_error_that_nobody_foresaw_does_not_end_the_writing_of_snapshots(
    settings: Settings, log: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_room(galleries: Galleries) -> None:
        raise MemoryError("no more")

    often = settings.model_copy(update={"snapshot_minutes": 0.05 / 60})
    with serving(often) as client:
        with monkeypatch.context() as patch:
            patch.setattr(Galleries, "cut", no_room)
            enrol(client, 1)
            wait_for(lambda: "no snapshot of the index, until the next is due" in log.text)
        wait_for(lambda: parts_of(client).snapshots.age_s >= 0)
