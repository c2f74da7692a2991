"""One process owns a data folder, for one database."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from service.errors import FolderInUse, FolderRefused
from service.store.lock import FolderLock

HOLDER = """
import sys, pathlib
from service.store.lock import FolderLock
lock = FolderLock(pathlib.Path(sys.argv[1]))
print("held", flush=True)
sys.stdin.read()
"""


def test_a_second_holder_is_refused_until_the_first_lets_go(tmp_path: Path) -> None:
    first = FolderLock(tmp_path / "data")
    with pytest.raises(FolderInUse, match="REAPPEAR_DATA_DIR"):
        FolderLock(tmp_path / "data")
    FolderLock(tmp_path / "other").release()
    first.release()
    FolderLock(tmp_path / "data").release()


def test_a_killed_process_lets_go(tmp_path: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=Path.cwd()
    )
    assert process.stdout is not None
    assert process.stdin is not None
    assert process.stdout.readline() == b"held\n"
    with pytest.raises(FolderRefused, match="in use"):
        FolderLock(tmp_path)
    process.kill()
    process.wait()
    process.stdout.close()
    process.stdin.close()
    FolderLock(tmp_path).release()


def test_a_folder_belongs_to_the_first_database_that_claims_it(tmp_path: Path) -> None:
    lock = FolderLock(tmp_path)
    lock.claim_for("database-a")
    lock.claim_for("database-a")
    with pytest.raises(FolderRefused, match="another database"):
        lock.claim_for("database-b")
    lock.release()
    again = FolderLock(tmp_path)
    with pytest.raises(FolderRefused, match="REAPPEAR_DATABASE_URL"):
        again.claim_for("database-b")
    again.release()


def test_a_folder_that_cannot_be_made_is_refused_by_its_name(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(FolderRefused, match="file/data cannot be written"):
        FolderLock(tmp_path / "file" / "data")


def test_the_lock_is_not_inherited_by_what_the_holder_starts(tmp_path: Path) -> None:
    lock = FolderLock(tmp_path)
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(30)"])
    try:
        lock.release()
        for _ in range(100):
            try:
                FolderLock(tmp_path).release()
                break
            except FolderRefused:
                time.sleep(0.01)
        else:
            pytest.fail("the child keeps the folder")
    finally:
        child.kill()
        child.wait()
    assert os.path.exists(tmp_path / "lock")  # noqa: PTH110
