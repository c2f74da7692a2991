"""Who took a backup or restored one is in the audit log, as is who took it past the service."""

import os
import pwd
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from service.db.audit import list_entries, seal
from service.domain import AuditEntry
from service.errors import BackupRefused, FileRefused
from tests.backup.conftest import MakePlace, Place, enrol

WHO = f"command:{pwd.getpwuid(os.getuid()).pw_name}"


def noted(place: Place, *actions: str) -> list[dict[str, Any]]:
    with place.serving() as client:
        entries = client.get("/audit?limit=500").json()["entries"]
    return [one for one in entries if one["action"] in actions]


def test_a_backup_is_noted_in_the_log_and_in_itself(source: Place, place: MakePlace) -> None:
    files = [source.data_dir / "idle.tar", source.data_dir / "serving.tar"]
    source.back_up(files[0])
    with source.serving() as client:
        source.back_up(files[1])
        enrol(client, "default", "p-9", 9)
    entries = noted(source, "backup")
    assert [(one["caller"], one["subjects"]) for one in entries] == [(WHO, [f"file={file.name}"]) for file in files]
    target = place("sqlite")
    target.restore(files[1])
    assert noted(target, "backup") == entries
    (restored,) = noted(target, "restore")
    assert restored["caller"] == WHO
    assert restored["subjects"][0] == "file=serving.tar"


def test_a_backup_that_cannot_begin_leaves_no_entry(source: Place) -> None:
    file = source.data_dir / "backup.tar"
    file.touch()
    with pytest.raises(FileRefused, match="exists already"):
        source.back_up(file)
    with pytest.raises(BackupRefused, match="no folder"):
        Place(source.url, Path("/nowhere")).back_up(source.data_dir / "other.tar")
    assert noted(source, "backup") == []


def test_a_backup_that_fails_later_was_noted_before_anything_was_read(source: Place) -> None:
    def fail(done: int, total: int, what: str) -> None:
        if what == "pictures":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        source.back_up(source.data_dir / "backup.tar", progress=fail)
    assert len(noted(source, "backup")) == 1


def test_what_was_begun_anew_is_in_no_later_backup_and_an_earlier_one_brings_it_back(source: Place) -> None:
    early, late = source.data_dir / "early.tar", source.data_dir / "late.tar"
    source.back_up(early)
    before = noted(source, "enrol")
    with source.writing() as connection:
        last = list_entries(connection, after=0, limit=1000)[-1][0]
        seal(connection, last, AuditEntry(datetime.now(UTC), None, "c", "audit.rotate", None))
    assert noted(source, "enrol") == []
    source.back_up(late)
    source.restore(late, replace=True)
    assert noted(source, "enrol") == []
    source.restore(early, replace=True)
    assert noted(source, "enrol") == before
    assert len(noted(source, "audit.rotate")) == 1
