"""The file of erased rows: durable, append-only, and readable whatever a crash left at its end."""

import threading
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import orjson
import pytest

from service.domain import Tombstone
from service.store.tombstones import Tombstones

MOMENT = datetime(2026, 5, 1, 12, 30, 15, 123456, UTC)


def stone(row: int, kind: str = "crop") -> Tombstone:
    return Tombstone("d" * 32, 1, kind, str(row), MOMENT)


def test_what_is_appended_is_read_in_order_by_the_next_one(tmp_path: Path) -> None:
    path = tmp_path / "erasures.jsonl"
    assert list(Tombstones(path).read()) == []
    Tombstones(path).append([])
    assert not path.exists()
    Tombstones(path).append([stone(1), stone(2, "identity")])
    Tombstones(path).append([stone(3, "collection"), stone(4, "key")])
    expected = [stone(1), stone(2, "identity"), stone(3, "collection"), stone(4, "key")]
    assert list(Tombstones(path).read()) == expected
    assert len(path.read_bytes().splitlines()) == 4


def test_moments_are_kept_to_the_microsecond_and_in_utc(tmp_path: Path) -> None:
    stones = Tombstones(tmp_path / "erasures.jsonl")
    elsewhere = MOMENT.astimezone(timezone(timedelta(hours=5, minutes=30)))
    stones.append([Tombstone("d", 1, "crop", "1", elsewhere)])
    (read,) = stones.read()
    assert read.created_at == MOMENT
    assert b"+00:00" in (tmp_path / "erasures.jsonl").read_bytes()


def test_lines_name_rows_and_never_people(tmp_path: Path) -> None:
    path = tmp_path / "erasures.jsonl"
    Tombstones(path).append([stone(1)])
    line = orjson.loads(path.read_bytes())
    assert set(line) == {"database", "epoch", "kind", "row", "created_at", "erased_at"}
    assert abs(datetime.now(UTC) - datetime.fromisoformat(line["erased_at"])) < timedelta(minutes=1)


@pytest.mark.parametrize("cut", range(1, 120, 7))
def test_a_line_that_a_crash_tore_spoils_no_other(tmp_path: Path, cut: int) -> None:
    path = tmp_path / "erasures.jsonl"
    Tombstones(path).append([stone(1), stone(2)])
    whole = path.read_bytes()
    second = len(whole.splitlines(keepends=True)[0])
    torn = whole[: second + cut]
    if len(torn) >= len(whole):
        torn = whole[:-1]  # all but its end: such a line counts
    path.write_bytes(torn)
    kept = [one for one in (stone(1), stone(2)) if one in list(Tombstones(path).read())]
    assert stone(1) in kept
    Tombstones(path).append([stone(3)])
    assert list(Tombstones(path).read()) == [*kept, stone(3)]


@pytest.mark.parametrize("garbage", [b"\x00" * 50, b"\xff\xfe\n", b"[]\n", b'{"database": 1}\n', b"null\n", b"\n\n"])
def test_what_is_no_line_of_ours_is_left_out(garbage: bytes, tmp_path: Path) -> None:
    path = tmp_path / "erasures.jsonl"
    Tombstones(path).append([stone(1)])
    with path.open("ab") as file:
        file.write(garbage)
    Tombstones(path).append([stone(2)])
    assert list(Tombstones(path).read()) == [stone(1), stone(2)]


def test_many_who_append_at_once_lose_no_line(tmp_path: Path) -> None:
    stones = Tombstones(tmp_path / "erasures.jsonl")
    threads = [
        threading.Thread(target=lambda first=first: stones.append([stone(first + place) for place in range(200)]))
        for first in range(0, 1600, 200)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(int(one.row) for one in stones.read()) == list(range(1600))


def test_the_name_of_the_file_is_synced_also_where_somebody_else_has_just_made_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another thread, which has not synced it yet, or a process that was killed before it could."""
    synced: list[Path] = []
    monkeypatch.setattr("service.store.lines.sync_folder", synced.append)
    (tmp_path / "erasures.jsonl").touch()
    Tombstones(tmp_path / "erasures.jsonl").append([stone(7)])
    assert synced == [tmp_path]
