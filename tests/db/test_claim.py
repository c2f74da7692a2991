"""A database serves one service at a time: two would each hold an index without the other's changes."""

import pytest

from service.db import engine
from service.db.engine import Database
from service.errors import DatabaseRefused


def test_a_second_service_on_one_database_is_refused_until_the_first_is_gone(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine, "CLAIM_TRIES", 2)
    first, second = Database(database_url, readers=1, max_waiting=1), Database(database_url, readers=1, max_waiting=1)
    first.claim()
    if first.dialect == "postgresql":
        with pytest.raises(DatabaseRefused, match="another service uses this database"):
            second.claim()
    first.close()
    second.claim()  # at once on SQLite too, where the lock of the data folder does this
    second.close()
