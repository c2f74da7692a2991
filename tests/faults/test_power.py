"""The simulation itself: what must survive a loss of power, and what may go."""

import os
import random
import subprocess
import sys
from pathlib import Path

import pytest

from tests.faults.journal import Record
from tests.faults.power import WORST, Disk, Loss
from tests.faults.preload import FaultyDisk

CHANCES = 200


def disk_after(*records: Record) -> Disk:
    disk = Disk()
    for record in records:
        disk.apply(record)
    return disk


def opened(path: str, fd: int = 3, *, emptied: bool = False) -> Record:
    return Record(0.0, "o", fd, emptied, (path,))


def written(data: bytes, offset: int = 0, fd: int = 3) -> Record:
    return Record(0.0, "w", fd, offset, data=data)


def synced(fd: int = 3) -> Record:
    return Record(0.0, "s", fd)


def names(op: str, *paths: str) -> Record:
    return Record(0.0, op, paths=paths)


ROOT = (opened("", 9), synced(9))
DURABLE = (opened("a"), written(b"old" * 1000), synced(), *ROOT)


def survivors(disk: Disk, folder: Path, chances: int = CHANCES, loss: Loss | None = None) -> list[dict[str, bytes]]:
    """What is left of the files in many losses of power at the same moment."""
    found = []
    for number in range(chances):
        chance, target = random.Random(number), folder / str(number)
        folder.mkdir(exist_ok=True)
        disk.write_survivors(target, loss or Loss.draw(chance), chance)
        files = [path for path in target.rglob("*") if path.is_file()]
        found.append({str(path.relative_to(target)): path.read_bytes() for path in files})
    return found


def test_what_was_synced_with_its_name_always_survives(tmp_path: Path) -> None:
    assert all(left == {"a": b"old" * 1000} for left in survivors(disk_after(*DURABLE), tmp_path))


def test_what_was_not_synced_goes_in_the_worst_case_and_survives_in_others(tmp_path: Path) -> None:
    disk = disk_after(*DURABLE, written(b"new" * 1000), opened("b", 4), written(b"x", fd=4), synced(4))
    assert survivors(disk, tmp_path / "worst", 3, WORST) == [{"a": b"old" * 1000}] * 3
    left = survivors(disk, tmp_path)
    assert {one.keys() == {"a", "b"} for one in left} == {True, False}, "a synced file without its name may vanish"
    contents = {one["a"] for one in left}
    assert {b"old" * 1000, b"new" * 1000} < contents, "none of it, all of it, and parts of it"
    assert any(one[:512] != (b"new" * 1000)[:512] and b"new" in one for one in contents), (
        "a later sector without the first"
    )
    torn = [one for one in contents for at in range(0, 3000, 512) if one[at : at + 512] not in whole(at)]
    assert torn, "the last write is torn within a sector"


def whole(at: int) -> set[bytes]:
    """What a sector holds that is not torn."""
    return {(b"old" * 1000)[at : at + 512], (b"new" * 1000)[at : at + 512]}


def test_a_file_that_grew_may_have_a_hole_of_zeros_or_garbage(tmp_path: Path) -> None:
    disk = disk_after(*DURABLE, written(b"n" * 4096, offset=3000))
    left = [one["a"] for one in survivors(disk, tmp_path)]
    assert all(one[:3000] == b"old" * 1000 for one in left), "bytes that nobody wrote to are never harmed"
    assert any(b"\0" * 512 in one and one[-1:] == b"n" for one in left)
    assert any(set(one[3000:]) - {0, ord("n")} for one in left)


def test_a_truncation_is_undone_or_done_until_it_is_synced(tmp_path: Path) -> None:
    cut = Record(0.0, "t", 3, 10)
    lengths = {len(one["a"]) for one in survivors(disk_after(*DURABLE, cut), tmp_path / "cut")}
    assert lengths == {10, 3000}
    emptied = survivors(disk_after(*DURABLE, opened("a", emptied=True)), tmp_path / "emptied")
    assert {len(one["a"]) for one in emptied} == {0, 3000}
    assert {len(one["a"]) for one in survivors(disk_after(*DURABLE, cut, synced()), tmp_path / "synced")} == {10}


def test_an_unlinked_file_may_be_back_until_its_folder_is_synced(tmp_path: Path) -> None:
    gone = names("u", "a")
    assert {len(one) for one in survivors(disk_after(*DURABLE, gone), tmp_path / "may")} == {0, 1}
    assert survivors(disk_after(*DURABLE, gone, *ROOT), tmp_path / "gone") == [{}] * CHANCES


def test_a_rename_across_folders_may_be_undone_or_leave_both_names_but_never_none(tmp_path: Path) -> None:
    folders = (names("m", "from"), names("m", "to"), *ROOT, opened("from/a"), written(b"x"), synced())
    moved = (opened("from", 4), synced(4), names("r", "from/a", "to/a"))
    left = {frozenset(one) for one in survivors(disk_after(*folders, *moved), tmp_path / "may")}
    assert left == {frozenset({"from/a"}), frozenset({"to/a"}), frozenset({"from/a", "to/a"})}
    new = (*moved, opened("to", 5), synced(5))
    left = {frozenset(one) for one in survivors(disk_after(*folders, *new), tmp_path / "new")}
    assert left == {frozenset({"to/a"}), frozenset({"from/a", "to/a"})}
    old = (*moved, synced(4))
    assert {frozenset(one) for one in survivors(disk_after(*folders, *old), tmp_path / "old")} == {frozenset({"to/a"})}


def test_a_folder_that_was_made_may_vanish_with_all_that_was_synced_in_it(tmp_path: Path) -> None:
    inside = (names("m", "new"), opened("new/a"), written(b"x"), synced(), opened("new", 4), synced(4))
    assert {frozenset(one) for one in survivors(disk_after(*inside), tmp_path)} == {frozenset(), frozenset({"new/a"})}
    assert {frozenset(one) for one in survivors(disk_after(*inside, *ROOT), tmp_path / "kept")} == {
        frozenset({"new/a"})
    }


PROGRAM = """
import os, pathlib, sqlite3, sys
root = pathlib.Path(sys.argv[1])
(root / "folder").mkdir()
with (root / "folder" / "file").open("wb") as file:
    file.write(b"x" * 100_000)
    file.seek(5)
    file.write(b"in the middle")
    file.flush()
    os.fsync(file.fileno())
with (root / "folder" / "file").open("ab") as file:
    file.write(b"the end")
(root / "folder" / "file").rename(root / "moved")
(root / "goes").write_bytes(b"x")
(root / "goes").unlink()
os.link(root / "moved", root / "linked")
os.truncate(os.open(root / "short", os.O_CREAT | os.O_RDWR), 7)
descriptor = os.open("relative", os.O_CREAT | os.O_WRONLY, dir_fd=os.open(root, os.O_RDONLY))
os.pwrite(descriptor, b"there", 3)
os.writev(descriptor, [b"ab", b"c"])
connection = sqlite3.connect(root / "database")
connection.execute("PRAGMA journal_mode=WAL")
connection.execute("CREATE TABLE t (x)")
for number in range(300):
    connection.execute("INSERT INTO t VALUES (?)", ("x" * 5000,))
    connection.commit()
os.kill(os.getpid(), 9)
"""


def test_a_journal_replayed_whole_is_the_folder_itself(tmp_path: Path) -> None:
    """Nothing that Python and SQLite do to files stays unseen."""
    watched = tmp_path / "watched"
    watched.mkdir()
    faulty = FaultyDisk(watched, tmp_path)
    environment = {**os.environ, **faulty.environment}
    done = subprocess.run([sys.executable, "-c", PROGRAM, str(watched)], env=environment, capture_output=True)
    assert done.returncode == -9, done.stderr.decode()
    disk = disk_after(*faulty.journal())
    everything = Loss(survives=1.0, in_order=False, sector_bytes=4096, torn=False, garbage=False)
    disk.write_survivors(tmp_path / "replayed", everything, random.Random(0))
    assert _files(tmp_path / "replayed") == _files(watched)


@pytest.mark.parametrize(
    "act",
    [
        "import ctypes; ctypes.CDLL(None).freopen(path, b'w', ctypes.c_void_p.in_dll(ctypes.CDLL(None), 'stdout'))",
        "import mmap; f = open(path, 'wb+'); f.truncate(4096); mmap.mmap(f.fileno(), 4096)",
        "a, b = open('/proc/self/exe', 'rb'), open(path, 'wb'); "
        "import os; os.copy_file_range(a.fileno(), b.fileno(), 10)",
    ],
    ids=["a stream opened anew", "a shared mapping", "a copy within the kernel"],
)
def test_a_change_that_would_stay_unseen_ends_the_process(act: str, tmp_path: Path) -> None:
    watched = tmp_path / "watched"
    watched.mkdir()
    environment = {**os.environ, **FaultyDisk(watched, tmp_path).environment}
    program = f"path = {os.fsencode(watched / 'file')!r}; {act}"
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True)
    assert done.returncode == -6
    assert "would not be seen" in done.stderr


def _files(root: Path) -> dict[str, bytes]:
    found = {str(path.relative_to(root)): path for path in root.rglob("*") if path.is_file()}
    return {name: path.read_bytes() for name, path in found.items() if not name.endswith("-shm")}
