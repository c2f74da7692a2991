"""What libraries write through stdio is in the journal: an index that FAISS writes survives a loss of power where it is
synced before it gets its name, and is found out where it is not."""

import os
import random
import subprocess
import sys
from pathlib import Path

import pytest

from tests.faults.journal import Record
from tests.faults.power import WORST, Loss
from tests.faults.preload import FaultyDisk, compiler_here
from tests.faults.test_power import _files, disk_after

SNAPSHOT = """
import os, pathlib, sys
import faiss, numpy
root = pathlib.Path(sys.argv[1])
index = faiss.IndexFlatIP(32)
index.add(numpy.random.default_rng(int(sys.argv[2])).standard_normal((500, 32), dtype=numpy.float32))
part = root / "index.part"
faiss.write_index(index, str(part))
if "careless" not in sys.argv:
    with part.open("rb+") as file:
        os.fsync(file.fileno())
part.rename(root / "index")
descriptor = os.open(root, os.O_RDONLY)
os.fsync(descriptor)
print(len(faiss.serialize_index(index)))
"""
STREAMS = r"""
#include <stdio.h>
#include <string.h>
#include <unistd.h>
int main(int count, char **names) {
    (void)count;
    if (chdir(names[1])) return 1;
    FILE *file = fopen("a", "w+");
    for (int number = 0; number < 20000; number++) fprintf(file, "line %d\n", number);
    fseek(file, 5, SEEK_SET);
    fwrite("in the middle", 1, 13, file);
    fflush(file);
    fsync(fileno(file));
    char back[6] = "";
    rewind(file);
    if (fread(back, 1, 5, file) != 5 || strcmp(back, "line ")) return 2;
    fclose(file);
    file = fopen("a", "a");
    fputs("the end", file);
    fclose(file);
    if (fopen("a", "wx")) return 3;
    file = fdopen(dup(1), "w");
    fputs("elsewhere", file);
    fclose(file);
    file = fopen("unflushed", "w");
    fputs("lost with the process", file);
    _exit(0);
}
"""
ALL = Loss(survives=1.0, in_order=False, sector_bytes=4096, torn=False, garbage=False)


@pytest.fixture
def watched(tmp_path: Path) -> Path:
    folder = tmp_path / "watched"
    folder.mkdir()
    return folder


def snapshot(watched: Path, faulty: FaultyDisk, seed: int, *how: str) -> int:
    """Write a snapshot; returns its size."""
    environment = {**os.environ, **faulty.environment}
    done = subprocess.run(
        [sys.executable, "-c", SNAPSHOT, str(watched), str(seed), *how], env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return int(done.stdout)


def left_after(records: list[Record], target: Path, loss: Loss, seed: int) -> dict[str, bytes]:
    disk_after(*records).write_survivors(target, loss, random.Random(seed))
    return {name: path.read_bytes() for name, path in _files_of(target).items()}


def _files_of(root: Path) -> dict[str, Path]:
    return {str(path.relative_to(root)): path for path in root.rglob("*") if path.is_file()}


def test_streams_are_in_the_journal_as_they_are_on_disk(watched: Path, tmp_path: Path) -> None:
    faulty = FaultyDisk(watched, tmp_path)
    source, program = tmp_path / "streams.c", tmp_path / "streams"
    source.write_text(STREAMS)
    subprocess.run([str(compiler_here()), "-o", str(program), str(source)], check=True)
    done = subprocess.run([str(program), str(watched)], env=faulty.environment, capture_output=True)
    assert (done.returncode, done.stdout) == (0, b"elsewhere"), done.stderr
    disk_after(*faulty.journal()).write_survivors(tmp_path / "replayed", ALL, random.Random(0))
    assert _files(tmp_path / "replayed") == _files(watched)
    content = (watched / "a").read_bytes()
    assert content.startswith(b"line in the middle")
    assert content.endswith(b"line 19999\nthe end")
    assert (watched / "unflushed").read_bytes() == b""


def test_a_snapshot_that_faiss_wrote_and_that_was_synced_is_whole_after_every_loss(
    watched: Path, tmp_path: Path
) -> None:
    faulty = FaultyDisk(watched, tmp_path)
    snapshot(watched, faulty, 1)
    first = (watched / "index").read_bytes()
    size = snapshot(watched, faulty, 2)
    second, records = (watched / "index").read_bytes(), faulty.journal()
    assert len(first) == len(second) == size
    assert sum(len(one.data) for one in records if one.op == "w") == 2 * size
    seen = set()
    chance = random.Random(3)
    for number in range(60):
        at = chance.randrange(len(records) + 1)
        left = left_after(records[:at], tmp_path / f"loss-{number}", Loss.draw(chance), number)
        seen.add(left.get("index"))
    assert seen == {None, first, second}
    assert left_after(records, tmp_path / "worst", WORST, 0)["index"] == second


def test_a_snapshot_that_was_not_synced_is_found_out(watched: Path, tmp_path: Path) -> None:
    faulty = FaultyDisk(watched, tmp_path)
    snapshot(watched, faulty, 1, "careless")
    records = faulty.journal()
    left = [left_after(records, tmp_path / f"loss-{number}", WORST, number) for number in range(3)]
    assert {one["index"] for one in left} == {b""}, "its name came before its content"


def test_a_full_disk_tells_who_writes_through_a_stream(watched: Path, tmp_path: Path) -> None:
    faulty = FaultyDisk(watched, tmp_path, journal=False)
    faulty.change(bytes_left=1000)
    done = subprocess.run(
        [sys.executable, "-c", SNAPSHOT, str(watched), "1"], env={**os.environ, **faulty.environment},
        capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 1
    assert not (watched / "index").exists()
