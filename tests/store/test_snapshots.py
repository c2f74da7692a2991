"""Files of snapshots: whole, or found out."""

import hashlib
import os
import re
import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from service.domain import Piece
from service.store.snapshots import Abandoned, Snapshot, SnapshotFolder, SnapshotRefused, Stamp

DIM = 8
STAMP = Stamp("uuid", 1, 40, "a-model", DIM, "exact float32")


def piece(key: str, first: int, rows: int = 50, dtype: type = np.float32) -> Piece:
    chance = np.random.default_rng(first)
    return Piece(key, np.arange(first, first + rows), chance.standard_normal((rows, DIM)).astype(dtype))


@pytest.fixture
def folder(tmp_path: Path) -> SnapshotFolder:
    return SnapshotFolder(tmp_path / "index")


def names(tmp_path: Path) -> list[str]:
    return sorted(path.name for path in (tmp_path / "index").iterdir())


def read_back(folder: SnapshotFolder, snapshot: Snapshot) -> dict[int, list[Piece]]:
    return {home: [read for _, read in folder.pieces(snapshot, home)] for home in snapshot.files}


@pytest.mark.parametrize("dtype", [np.float32, np.float16])
def test_what_was_written_is_read_back_to_the_last_bit(folder: SnapshotFolder, dtype: type) -> None:
    pieces = {1: [piece("a", 10, dtype=dtype), piece("b", 100, 3, dtype=dtype)], 7: [piece("a", 300, dtype=dtype)]}
    pieces[1][0].ids[4], pieces[1][0].vectors[4] = -1, np.nan
    written, _ = folder.write(STAMP, pieces, {})
    (number,) = folder.numbers()
    assert folder.read(number) == written
    assert written.stamp == STAMP
    for home, several in read_back(folder, written).items():
        for found, true in zip(several, pieces[home], strict=True):
            assert found.vectors.dtype == dtype
            assert np.array_equal(found.ids, true.ids)
            assert np.array_equal(found.vectors, true.vectors, equal_nan=True)


def test_pieces_that_are_known_are_not_written_again_and_two_snapshots_share_them(
    folder: SnapshotFolder, tmp_path: Path
) -> None:
    same, old, new = piece("same", 1), piece("old", 100), piece("new", 100)
    first, known = folder.write(STAMP, {1: [same, old]}, {})
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "index").glob("*.piece")}
    second, _ = folder.write(STAMP, {1: [same, new]}, known)
    assert first.names & second.names == {first.files[1][0].name}
    assert {path: path.stat().st_mtime_ns for path in before} == before
    assert folder.numbers() == [second.number, first.number]
    folder.sweep([second])
    assert names(tmp_path) == sorted([*second.names, "snapshot-00000002.json"])
    assert len(read_back(folder, second)[1]) == 2


def cut_short(path: Path) -> None:
    os.truncate(path, path.stat().st_size - 1)


def flip_one_bit(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def tear(path: Path) -> None:
    """The end never came to the disk, though it is as long as it should be."""
    size = path.stat().st_size
    os.truncate(path, size // 2)
    os.truncate(path, size)


def lengthen(path: Path) -> None:
    with path.open("ab") as file:
        file.write(b"\0")


def lock_up(path: Path) -> None:
    """Instead of one that may not be read, which root may."""
    path.unlink()
    path.mkdir()


@pytest.mark.parametrize("spoil", [cut_short, flip_one_bit, tear, lengthen, Path.unlink, lock_up])
@pytest.mark.parametrize("which", ["snapshot-00000001.json", "first", "last"])
def test_a_file_that_is_not_as_it_was_written_is_refused(
    folder: SnapshotFolder, tmp_path: Path, spoil: Callable[[Path], None], which: str
) -> None:
    written, _ = folder.write(STAMP, {1: [piece("a", 1), piece("b", 60)], 2: [piece("c", 200)]}, {})
    name = {"first": written.files[1][0].name, "last": written.files[2][0].name}.get(which, which)
    read_back(folder, folder.read(1))
    spoil(tmp_path / "index" / name)
    with pytest.raises(SnapshotRefused, match=r"manifest|\.piece|snapshot-00000001\.json"):
        read_back(folder, folder.read(1))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b'"format":1', b'"format":2'),
        (b'"generation"', b'"generations"'),
        (b".piece", b".pieces"),
        (b'"<f4"', b'"<f8"'),
    ],
)
def test_a_manifest_of_another_form_is_refused_though_its_checksum_is_right(
    folder: SnapshotFolder, tmp_path: Path, old: bytes, new: bytes
) -> None:
    folder.write(STAMP, {1: [piece("a", 1)]}, {})
    path = tmp_path / "index" / "snapshot-00000001.json"
    body = path.read_bytes().splitlines()[0].replace(old, new)
    path.write_bytes(body + b"\n" + hashlib.sha256(body).hexdigest().encode() + b"\n")
    with pytest.raises(SnapshotRefused, match=r"format|manifest"):
        folder.read(1)


def test_rows_that_the_index_strikes_out_while_they_are_written_damage_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("service.store.snapshots.CHUNK_BYTES", 4 * DIM * 10)
    true, moving = piece("a", 1), piece("a", 1)
    left = iter(range(20, 50))

    def strike_one_out() -> bool:
        moving.vectors[next(left, 49)] = np.nan
        return True

    folder = SnapshotFolder(tmp_path / "index")
    written, _ = folder.write(STAMP, {1: [moving]}, {}, go_on=strike_one_out)
    ((found,),) = read_back(folder, written).values()
    assert np.array_equal(found.vectors[:20], true.vectors[:20])
    struck = np.isnan(found.vectors).all(axis=1)
    assert struck.any()
    assert np.array_equal(found.vectors[~struck], true.vectors[~struck])


@pytest.mark.parametrize("failing", ["fdatasync", "fsync"])
def test_a_disk_that_fails_leaves_the_old_snapshot_and_nothing_of_the_new(
    folder: SnapshotFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failing: str
) -> None:
    old, known = folder.write(STAMP, {1: [piece("a", 1)]}, {})
    before = names(tmp_path)

    def fail(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, failing, fail)
        with pytest.raises(OSError, match="No space"):
            folder.write(STAMP, {1: [piece("a", 1), piece("b", 70)]}, known)
    assert names(tmp_path) == before
    assert len(read_back(folder, old)[1]) == 1


def test_one_that_is_abandoned_leaves_nothing(folder: SnapshotFolder, tmp_path: Path) -> None:
    chunks = iter([True, True, True, False])
    with pytest.raises(Abandoned):
        folder.write(STAMP, {1: [piece("a", 1), piece("b", 70)]}, {}, go_on=lambda: next(chunks))
    assert names(tmp_path) == []


def test_what_a_crash_left_is_swept_and_what_is_not_ours_stays(folder: SnapshotFolder, tmp_path: Path) -> None:
    written, _ = folder.write(STAMP, {1: [piece("a", 1)]}, {})
    kept = names(tmp_path)
    for name in ("0123456789abcdef.piece", "snapshot-00000009.json.part", "snapshot-00000009.json", "notes.txt"):
        (tmp_path / "index" / name).write_bytes(b"?")
    folder.sweep([written])
    assert names(tmp_path) == sorted([*kept, "notes.txt"])


def test_manifests_go_before_the_pieces_they_name(tmp_path: Path) -> None:
    seen: list[list[str]] = []
    folder = SnapshotFolder(
        tmp_path / "index", fail_point=lambda name: seen.append(names(tmp_path)) if "sweeping" in name else None
    )
    folder.write(STAMP, {1: [piece("a", 1)]}, {})
    seen.clear()
    folder.sweep([])
    assert [bool(re.search(r"\.json", " ".join(there))) for there in seen] == [False, False]
    assert [len(there) for there in seen] == [1, 0]


def test_a_folder_that_is_not_there_has_no_snapshots(folder: SnapshotFolder) -> None:
    assert folder.numbers() == []
    folder.sweep([])


def test_of_several_pieces_those_before_a_damaged_one_are_read(folder: SnapshotFolder, tmp_path: Path) -> None:
    snapshot, _ = folder.write(STAMP, {1: [piece("a", 1), piece("b", 100), piece("c", 200)]}, {})
    path = tmp_path / "index" / snapshot.files[1][1].name
    path.write_bytes(path.read_bytes()[:-1] + b"!")
    reading = folder.pieces(snapshot, 1)
    assert next(reading)[1].ids[0] == 1
    with pytest.raises(SnapshotRefused, match=f"{path.name} is damaged"):
        next(reading)


def test_who_stops_reading_pieces_leaves_no_thread(folder: SnapshotFolder) -> None:
    snapshot, _ = folder.write(STAMP, {1: [piece("a", 1), piece("b", 100), piece("c", 200)]}, {})
    reading = folder.pieces(snapshot, 1)
    next(reading)
    assert any(thread.name.startswith("snapshot") for thread in threading.enumerate())
    reading.close()
    assert not any(thread.name.startswith("snapshot") for thread in threading.enumerate())
