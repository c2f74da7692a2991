"""Backups and restores that would lose something, or mix things that do not belong together, are refused unchanged."""

import time
from pathlib import Path

import pytest

from service.db import claim
from service.errors import BackupRefused, DatabaseRefused, FileRefused, FolderRefused
from service.store.tombstones import TOMBSTONE_FILE
from tests.backup.conftest import MakePlace, Place, answers, enrol, filled
from tests.crash.audit import audit


def refused(place: Place, file: Path, told: str, **options: object) -> None:
    before = place.rows(), place.files()
    with pytest.raises((BackupRefused, FolderRefused), match=told):
        place.restore(file, **options)
    assert (place.rows(), place.files()) == before


def test_people_are_replaced_only_where_that_is_asked_for(source: Place, place: MakePlace) -> None:
    file = source.data_dir / "backup.tar"
    source.back_up(file)
    target = place("postgresql" if source.url.startswith("sqlite") else "sqlite")
    with target.serving() as client:
        enrol(client, "default", "stranger", 80)
    refused(target, file, "1 identities with 2 crops in 1 collections.*--replace")
    target.restore(file, replace=True)
    assert len(audit(target.url, target.data_dir)) == 8, "nothing is left of the stranger, no picture either"
    with target.serving() as client, source.serving() as original:
        assert answers(client) == answers(original)


def test_a_folder_of_another_database_is_not_restored_into(place: MakePlace) -> None:
    source, other, empty = filled(place("sqlite")), filled(place("sqlite")), place("postgresql")
    file = source.data_dir / "backup.tar"
    source.back_up(file)
    mixed = Place(empty.url, other.data_dir)
    refused(mixed, file, "another database")
    refused(mixed, file, "another database", replace=True)
    assert len(audit(other.url, other.data_dir)) == 8


def test_a_lost_database_is_restored_beside_its_pictures_and_newer_ones_go_only_if_asked(place: MakePlace) -> None:
    source, empty = filled(place("sqlite")), place("postgresql")
    file = source.data_dir / "backup.tar"
    source.back_up(file)
    with source.serving() as client:
        enrol(client, "default", "newer", 81)
    rescued = Place(empty.url, source.data_dir)
    refused(rescued, file, "2 pictures that the backup has not.*--replace")
    times = {path: path.stat().st_mtime_ns for path in source.data_dir.glob("pictures/??/*")}
    assert rescued.restore(file, replace=True).crops == 8
    assert len(audit(rescued.url, rescued.data_dir)) == 8
    after = {path: path.stat().st_mtime_ns for path in source.data_dir.glob("pictures/??/*")}
    assert after.items() < times.items(), "pictures that are in place are not written again"


def test_a_damaged_picture_in_place_is_replaced_by_that_of_the_backup(place: MakePlace) -> None:
    source = filled(place("sqlite"))
    file = source.data_dir / "backup.tar"
    source.back_up(file)
    for path in source.data_dir.glob("pictures/??/*"):
        path.write_bytes(b"damaged")
    source.restore(file, replace=True)
    assert len(audit(source.url, source.data_dir)) == 8


def test_nothing_is_restored_under_a_running_service(source: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(claim, "CLAIM_TRIES", 1)
    file, elsewhere = source.data_dir / "backup.tar", source.data_dir / "elsewhere"
    with source.serving() as client:
        source.back_up(file)
        before = answers(client)
        time.sleep(2)  # reads are in the audit log half a second later
        refused(source, file, "in use by another process", replace=True)
        if source.url.startswith("postgresql"):
            with pytest.raises(DatabaseRefused, match="another service"):
                Place(source.url, elsewhere).restore(file, replace=True)
        assert answers(client) == before


def test_a_file_of_tombstones_that_is_none_is_refused(place: MakePlace, tmp_path: Path) -> None:
    source, target = filled(place("sqlite")), place("sqlite")
    file, stones = source.data_dir / "backup.tar", tmp_path / TOMBSTONE_FILE
    source.back_up(file)
    with pytest.raises(BackupRefused, match="there is no file"):
        target.restore(file, tombstones=[stones])
    stones.write_text("name,erased\n")
    with pytest.raises(BackupRefused, match="not a file of erased rows"):
        target.restore(file, tombstones=[stones])


def test_a_backup_never_overwrites_another_file_unless_asked_and_leaves_nothing_where_it_fails(
    place: MakePlace, tmp_path: Path
) -> None:
    source, folder = filled(place("sqlite")), tmp_path / "backups"
    folder.mkdir()
    file = folder / "backup.tar"
    source.back_up(file)
    assert file.stat().st_mode & 0o777 == 0o600
    with pytest.raises(FileRefused, match="exists already"):
        source.back_up(file)
    first = file.read_bytes()
    source.back_up(file, overwrite=True)
    assert file.read_bytes() != first
    with pytest.raises(FileRefused, match="cannot be written"):
        source.back_up(tmp_path / "nowhere" / "backup.tar")
    for missing in (Place(source.url, tmp_path / "gone"), Place(f"sqlite:///{tmp_path}/gone.db", source.data_dir)):
        with pytest.raises((BackupRefused, DatabaseRefused), match=r"there is no .*gone"):
            missing.back_up(folder / "other.tar")
    (tmp_path / "empty.db").touch()
    unmade = Place(f"sqlite:///{tmp_path}/empty.db", source.data_dir)
    with pytest.raises(DatabaseRefused, match="revision none"):
        unmade.back_up(folder / "other.tar")
    unserved = place("sqlite")
    with pytest.raises(BackupRefused, match="never served"):
        unserved.back_up(folder / "other.tar")
    assert [path.name for path in folder.iterdir()] == ["backup.tar"]


def test_a_missing_or_damaged_picture_is_an_error_that_names_its_crop(lite_source: Place) -> None:
    file = lite_source.data_dir / "backup.tar"
    last = audit(lite_source.url, lite_source.data_dir)[-1]
    (path,) = lite_source.data_dir.glob(f"pictures/??/{last.picture}")
    path.write_bytes(b"damaged")
    with pytest.raises(BackupRefused, match=rf"crop {last.crop} is damaged"):
        lite_source.back_up(file)
    path.unlink()
    with pytest.raises(BackupRefused, match=rf"1 crops are missing on disk \({last.crop}\)"):
        lite_source.back_up(file)
    with lite_source.serving() as client:
        assert client.delete(f"/gallery/p-1/crops/{last.crop}?collection=other").status_code == 200
    assert lite_source.back_up(file).crops == 7


def test_a_backup_overwrites_nothing_but_backups(place: MakePlace) -> None:
    source = filled(place("sqlite"))
    for file in (source.data_dir / "reappear.db", source.data_dir / "lock.txt"):
        if not file.exists():
            file.write_text("notes")
        before = file.read_bytes()
        with pytest.raises(BackupRefused, match="only backups are overwritten"):
            source.back_up(file, overwrite=True)
        assert file.read_bytes() == before
