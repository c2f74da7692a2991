"""Ten thousand spoilt pictures: an image or a reason comes out of each, soon, and nothing stays behind."""

import hashlib
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from service.config import Settings
from service.errors import BadPicture
from service.images.decode import PictureLimits, decode
from tests.fuzz.bombs import bombs
from tests.fuzz.corpus import pictures
from tests.fuzz.grinder import HANG_S, Stream
from tests.fuzz.mutators import mutant
from tests.fuzz.pieces import split

ROOT = Path(__file__).resolve().parents[2]
SEED = 20261121
PICTURES = 10_000
MOST_GROWTH = 1.3  # 1.1 was seen; a leak of one small picture in ten would be 1.5


def test_ten_thousand_mutated_pictures_are_opened_or_refused_and_leave_no_memory_taken(
    tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    """In a process of its own, which a decoder may take down with it; then the picture is kept in build/fuzz/."""
    at = tmp_path / "at"
    command = [sys.executable, "-m", "tests.fuzz.grinder", "--seed", str(SEED), "--count", str(PICTURES)]
    ended = subprocess.run([*command, "--at", str(at)], cwd=ROOT, capture_output=True, text=True)
    if ended.returncode:
        pytest.fail(f"{_kept(at)} ended the reader with status {ended.returncode}:\n{ended.stderr[-5000:]}")
    report = json.loads(ended.stdout)
    print(f"seed {SEED}: {report}")
    for name in ("growth", "longest_s", "resident_bytes"):
        record_property(name, report[name])
    outcomes = report["outcomes"]
    assert sum(outcomes.values()) == PICTURES
    assert outcomes.keys() <= {"image", *(kind.__name__ for kind in BadPicture.__subclasses__())}
    assert min(outcomes["image"], outcomes["CorruptPicture"], outcomes["PictureTooLarge"]) > PICTURES / 100, (
        "pictures that are all refused at the door, or all fine, say nothing"
    )
    assert report["longest_s"] < HANG_S
    assert report["growth"] < MOST_GROWTH
    assert report["warnings_kept"] == 0


def test_the_pictures_that_mutants_are_made_of_are_all_sound() -> None:
    limits = PictureLimits(1_000_000, 1_000_000)
    for name, picture in pictures().items():
        assert decode(picture, limits).ndim == 3, name
        assert b"".join(split(picture)) == picture, name
        assert len(split(picture)) > 1, f"{name} is not taken apart"


def test_mutants_are_the_same_in_each_run_and_differ_from_each_other() -> None:
    sound = list(pictures().values())
    first = [mutant(SEED, number, sound) for number in range(200)]
    assert first == [mutant(SEED, number, sound) for number in range(200)]
    assert len(set(first)) > 180
    assert len(set(first) & set(sound)) < 20


def test_every_bomb_is_small_enough_to_be_let_in() -> None:
    most = Settings(_env_file=None).max_picture_bytes
    for name, picture in bombs().items():
        assert len(picture) <= most, name


def _kept(at: Path) -> str:
    """The picture in hand, as a file to look into."""
    picture = Stream(SEED).picture(int(at.read_text()))
    path = ROOT / "build" / "fuzz" / f"mutant-{hashlib.sha256(picture).hexdigest()[:16]}"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(picture)
    return str(path.relative_to(ROOT))
