"""A file that is not a whole backup of ours is refused with what is wrong, and nothing is changed."""

import hashlib
import io
import random
import re
import tarfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from service.db.copies import remove_files
from service.db.schema import downgrade
from service.errors import BackupRefused
from service.flows.archive import MANIFEST, ROWS, ArchiveReader, ArchiveWriter
from service.flows.backup import back_up
from tests.api.conftest import running
from tests.backup.conftest import Place, fill
from tests.crash.audit import audit

SEED = 20260521
FLIPS = 40


@dataclass(frozen=True)
class Target:
    """A place that holds people, and a backup of others that is to be spoiled."""

    place: Place
    backup: Path

    def refuses(self, content: bytes, file: Path) -> str:
        """What is said of a spoiled backup; nothing changes."""
        file.write_bytes(content)
        before = self.place.rows(), self.place.files()
        with pytest.raises(BackupRefused) as refusal:
            self.place.restore(file, replace=True)
        assert (self.place.rows(), self.place.files()) == before
        return refusal.value.detail


@pytest.fixture(scope="module")
def target(sqlite_template: Path, tmp_path_factory: pytest.TempPathFactory) -> Target:
    folder = tmp_path_factory.mktemp("target")
    database = folder / "reappear.db"
    database.write_bytes(sqlite_template.read_bytes())
    place = Place(f"sqlite:///{database}", folder)
    with running(folder, place.url) as client:
        fill(client)
    backup = tmp_path_factory.mktemp("backup") / "backup.tar"
    back_up(backup, database_url=place.url, data_dir=folder, settings={})
    return Target(place, backup)


def test_no_bit_of_a_backup_can_flip_unnoticed(target: Target, tmp_path: Path) -> None:
    whole, chance = target.backup.read_bytes(), random.Random(SEED)
    with tarfile.open(target.backup) as archive:
        members = archive.getmembers()
    edges = [
        one.offset + place for one in (members[0], members[-1]) for place in (0, 100, 124, 148, 156, 257, 345, 500)
    ]
    padding = [one.offset_data + one.size for one in members if one.size % 512][:1]
    for place in [*edges, *padding, len(whole) - 1, *chance.sample(range(len(whole)), FLIPS)]:
        spoiled = bytearray(whole)
        spoiled[place] ^= 1 << chance.randrange(8)
        assert target.refuses(bytes(spoiled), tmp_path / "spoiled.tar"), f"seed {SEED}: a bit of byte {place}"


def test_a_backup_that_is_cut_short_or_goes_on_is_refused(target: Target, tmp_path: Path) -> None:
    whole, file = target.backup.read_bytes(), tmp_path / "spoiled.tar"
    for length in (0, 1, 511, 512, 10_240, len(whole) // 2, len(whole) - 10_240, len(whole) - 512, len(whole) - 1):
        detail = target.refuses(whole[:length], file)
        assert "cut short" in detail or "end" in detail, f"{length}: {detail}"
    for more in (b"\0", b"x", bytes(10_240), whole):
        assert "end" in target.refuses(whole + more, file)


def test_what_is_no_backup_is_called_so(target: Target, tmp_path: Path) -> None:
    file, foreign = tmp_path / "foreign", io.BytesIO()
    with tarfile.open(fileobj=foreign, mode="w") as archive:
        archive.addfile(tarfile.TarInfo("holiday.jpg"))
    for content in (foreign.getvalue(), b"SQLite format 3\0" * 1000, random.Random(SEED).randbytes(20_000)):
        assert "no backup of Reappear" in target.refuses(content, file)
    with pytest.raises(BackupRefused, match="cannot be read"):
        target.place.restore(tmp_path / "nowhere")
    with pytest.raises(BackupRefused, match="cannot be read"):
        target.place.restore(tmp_path)


def rebuilt(target: Target, spoil: Callable[[dict[str, bytes], dict[str, Any]], None]) -> bytes:
    """The backup with other members or another manifest, and all checksums of the file itself right."""
    with target.backup.open("rb") as file:
        manifest = ArchiveReader(file).manifest
    with tarfile.open(target.backup) as archive:
        members = {one.name: archive.extractfile(one).read() for one in archive if one.name != MANIFEST}  # type: ignore[union-attr]
    spoil(members, manifest)
    made = io.BytesIO()
    writer = ArchiveWriter(made, 0)
    for name, content in members.items():
        writer.add(name, content)
    writer.finish(manifest)
    return made.getvalue()


def test_the_rebuilding_of_these_tests_is_itself_right(target: Target, tmp_path: Path) -> None:
    file = tmp_path / "same.tar"
    file.write_bytes(rebuilt(target, lambda members, manifest: None))
    assert target.place.restore(file, replace=True).crops == 8


def drop_a_picture(members: dict[str, bytes], manifest: dict[str, Any]) -> None:
    del members[next(iter(members))]


def swap_pictures(members: dict[str, bytes], manifest: dict[str, Any]) -> None:
    first, second = list(members)[:2]
    members[first], members[second] = members[second], members[first]


def change_their_order(members: dict[str, bytes], manifest: dict[str, Any]) -> None:
    rows, first = members.pop(ROWS), next(iter(members))
    members[first] = members.pop(first)
    members[ROWS] = rows


def add_a_picture(members: dict[str, bytes], manifest: dict[str, Any]) -> None:
    rows = members.pop(ROWS)
    members["pictures/" + "a" * 32] = b"nobody's"
    members[ROWS] = rows


def climb_out(members: dict[str, bytes], manifest: dict[str, Any]) -> None:
    first = next(iter(members))
    rows = members.pop(ROWS)
    members["pictures/../../" + "a" * 26] = members.pop(first)
    members[ROWS] = rows


def name_other_rows(members: dict[str, bytes], manifest: dict[str, Any]) -> None:
    manifest["rows"]["crops"] += 1


def name_another_database(members: dict[str, bytes], manifest: dict[str, Any]) -> None:
    manifest["database"] = "0" * 32


def change_the_rows(members: dict[str, bytes], manifest: dict[str, Any]) -> None:
    members[ROWS] = members[ROWS] + bytes(4096)


def leave_out_the_rows(members: dict[str, bytes], manifest: dict[str, Any]) -> None:
    del members[ROWS]


def come_from_the_future(members: dict[str, bytes], manifest: dict[str, Any]) -> None:
    manifest.update(revision="9999", version="7.0")


def have_another_format(members: dict[str, bytes], manifest: dict[str, Any]) -> None:
    manifest["format"] = 2


@pytest.mark.parametrize(
    ("spoil", "told"),
    [
        (drop_a_picture, "1 of 8 pictures are missing"), (swap_pictures, "the picture of crop .* is another"),
        (change_their_order, "not in order"), (add_a_picture, "no crop has its picture"),
        (climb_out, "no backup of Reappear"), (name_other_rows, "should have 9 rows of crops, not 8"),
        (name_another_database, "another database or moment"), (change_the_rows, "not those of the manifest"),
        (leave_out_the_rows, "manifest is missing"), (come_from_the_future, "version 7.0.* does not know"),
        (have_another_format, "format 2"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)  # fmt: skip
def test_a_backup_whose_parts_do_not_belong_together_is_refused(
    spoil: Callable[[dict[str, bytes], dict[str, Any]], None], told: str, target: Target, tmp_path: Path
) -> None:
    detail = target.refuses(rebuilt(target, spoil), tmp_path / "spoiled.tar")
    assert re.search(told, detail), detail


def test_a_backup_of_an_older_revision_is_restored(target: Target, tmp_path: Path) -> None:
    def age(members: dict[str, bytes], manifest: dict[str, Any]) -> None:
        old = tmp_path / "old.db"
        old.write_bytes(members[ROWS])
        downgrade(f"sqlite:///{old}", "0001")
        members[ROWS] = old.read_bytes()
        remove_files(old)
        manifest.update(revision="0001", rows_sha256=hashlib.sha256(members[ROWS]).hexdigest())
        for table in ("audit", "api_keys"):
            del manifest["rows"][table]

    file = tmp_path / "old.tar"
    file.write_bytes(rebuilt(target, age))
    assert target.place.restore(file, replace=True).crops == 8
    assert len(audit(target.place.url, target.place.data_dir)) == 8
