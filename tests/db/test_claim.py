"""A database serves one service at a time: two would each hold an index without the other's changes."""

import re
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, text

from service.db import claim
from service.db.database import Database
from service.errors import DatabaseRefused


def test_a_second_service_on_one_database_is_refused_until_the_first_is_gone(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(claim, "CLAIM_TRIES", 2)
    first, second = Database(database_url, readers=1, max_waiting=1), Database(database_url, readers=1, max_waiting=1)
    first.claim()
    with pytest.raises(DatabaseRefused, match="another service uses this database"):
        second.claim()
    first.close()
    second.claim()
    second.close()


def test_who_holds_a_database_is_told_and_what_frees_it_where_that_service_is_gone(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(claim, "CLAIM_TRIES", 1)
    first, second = Database(database_url, readers=1, max_waiting=1), Database(database_url, readers=1, max_waiting=1)
    if first.dialect == "postgresql":
        first.claim()
        with pytest.raises(DatabaseRefused, match=r"from .* since 20.* UTC") as refusal:
            second.claim()
        (remedy,) = re.findall(r"`(SELECT pg_terminate_backend\(\d+\))`", refusal.value.detail)
        assert second.read_now(lambda connection: connection.execute(text(remedy)).scalar_one())
        second.claim()
    for database in (first, second):
        database.close()


def test_the_server_is_asked_to_notice_soon_that_the_machine_of_a_service_is_gone(database_url: str) -> None:
    """It keeps a claim until then. Over a Unix socket the settings are taken and do nothing."""
    database = Database(database_url, readers=1, max_waiting=1)
    if database.dialect == "postgresql":
        wanted = "SELECT name, source FROM pg_settings WHERE name LIKE 'tcp_keepalives%' OR name = 'tcp_user_timeout'"
        for run in (database.read_now, partial(_in_writing, database)):
            assert set(run(lambda connection: connection.execute(text(wanted)).all())) == {
                ("tcp_keepalives_idle", "session"), ("tcp_keepalives_interval", "session"),
                ("tcp_keepalives_count", "session"), ("tcp_user_timeout", "session"),
            }  # fmt: skip
    database.close()


def _in_writing(database: Database, query: Callable[[Connection], Any]) -> Any:
    with database.begin() as connection:
        return query(connection)


def test_a_link_leads_to_the_claim_of_what_it_leads_to(sqlite_url: str, tmp_path: Path) -> None:
    there = Path(sqlite_url.removeprefix("sqlite:///"))
    (tmp_path / "link.db").symlink_to(there)
    first = Database(sqlite_url, readers=1, max_waiting=1)
    second = Database(f"sqlite:///{tmp_path / 'link.db'}", readers=1, max_waiting=1)
    first.claim()
    with pytest.raises(DatabaseRefused, match="another service uses this database"):
        second.claim()
    for database in (first, second):
        database.close()


def test_a_claim_that_cannot_be_written_is_told(sqlite_url: str) -> None:
    there = Path(f"{sqlite_url.removeprefix('sqlite:///')}.lock")
    there.mkdir()
    database = Database(sqlite_url, readers=1, max_waiting=1)
    with pytest.raises(DatabaseRefused, match=rf"{there} cannot be written \(Is a directory\)"):
        database.claim()
    database.close()
