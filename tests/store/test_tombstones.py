"""The file of erased rows on a disk."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from service.domain import Tombstone
from service.store.tombstones import TOMBSTONE_FILE, Tombstones

STONE = Tombstone("database", 1, "crop", "7", datetime(2026, 5, 21, tzinfo=UTC))


def test_the_name_of_the_file_is_synced_also_where_somebody_else_has_just_made_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another thread, which has not synced it yet, or a process that was killed before it could."""
    synced: list[Path] = []
    monkeypatch.setattr("service.store.tombstones.sync_folder", synced.append)
    (tmp_path / TOMBSTONE_FILE).touch()
    Tombstones(tmp_path / TOMBSTONE_FILE).append([STONE])
    assert synced == [tmp_path]
    assert list(Tombstones(tmp_path / TOMBSTONE_FILE).read()) == [STONE]
