"""`reappear migrate` before a start, beside a running service, and where there is something to do beside one."""

from pathlib import Path

import pytest

from reappear.serving import migrate
from service.db import claim
from service.db.database import Database
from service.db.engine import make_engine, parse_url
from service.db.schema import check_revision, downgrade
from service.errors import DatabaseRefused, FolderRefused
from service.store.lock import FolderLock


@pytest.fixture
def folder(database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("REAPPEAR_DATABASE_URL", database_url)
    monkeypatch.setenv("REAPPEAR_DATA_DIR", str(tmp_path / "data"))
    return tmp_path / "data"


def assert_current(database_url: str) -> None:
    engine = make_engine(parse_url(database_url), pool_size=1, read_only=True)
    with engine.connect() as connection:
        check_revision(connection)
    engine.dispose()


def test_it_brings_an_older_database_up_to_date(folder: Path, database_url: str) -> None:
    downgrade(database_url)
    migrate()
    assert_current(database_url)
    migrate()


def test_beside_a_running_service_it_is_done_where_there_is_nothing_to_do(folder: Path, database_url: str) -> None:
    lock = FolderLock(folder)
    migrate()  # as each `docker compose up` does
    lock.release()


def test_beside_a_running_service_it_changes_nothing(folder: Path, database_url: str) -> None:
    downgrade(database_url)
    lock = FolderLock(folder)
    with pytest.raises(FolderRefused, match="in use by another process"):
        migrate()
    lock.release()
    migrate()
    assert_current(database_url)


def test_beside_a_running_service_it_makes_no_other_database(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REAPPEAR_DATABASE_URL", f"sqlite:///{tmp_path / 'typo.db'}")
    lock = FolderLock(folder)
    with pytest.raises(FolderRefused, match="in use by another process"):
        migrate()
    lock.release()
    assert not (tmp_path / "typo.db").exists()


def test_beside_a_service_with_another_folder_it_changes_nothing(
    folder: Path, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(claim, "CLAIM_TRIES", 1)
    downgrade(database_url)
    service = Database(database_url, readers=1, max_waiting=1)
    service.claim()
    with pytest.raises(DatabaseRefused, match="another service uses this database"):
        migrate()
    service.close()
    migrate()
    assert_current(database_url)
    service = Database(database_url, readers=1, max_waiting=1)
    service.claim()
    migrate()
    service.close()
