"""`python -m models people`: Market-1501 names, labels that fit the pictures, the same bytes for the same seed,
and nothing half-written or overwritten that is not ours."""

import csv
import errno
import hashlib
import json
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from models.__main__ import app
from models.errors import Refused
from models.evaluation.evaluate import UNSEEN_SEED
from models.evaluation.thresholds import THRESHOLD_SEED
from models.people import folder as rooms
from models.people.attributes import Attributes, describe_person, side_of
from models.people.crowd import person_of
from models.people.folder import PRESETS, Preset, write_people
from models.people.person import Person
from models.people.style import STREET, STYLES
from models.training.material import VALIDATION_SEED

TINY = Preset("tiny", 3, 2, cameras=2)
NAME = re.compile(r"(\d{4})_c(\d)s(\d+)_\d{6}_\d{2}\.jpg")


def digest(folder: Path) -> dict[str, str]:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("people") / "tiny"
    assert write_people(out, TINY, STREET, seed=5, workers=1) == 20
    return out


def test_the_folders_and_names_are_those_of_market(drawn: Path) -> None:
    counts = {
        part: len(list((drawn / part).iterdir())) for part in ("bounding_box_train", "query", "bounding_box_test")
    }
    assert counts == {"bounding_box_train": 12, "query": 4, "bounding_box_test": 4}
    people = {}
    for part in counts:
        found = [NAME.fullmatch(path.name) for path in (drawn / part).iterdir()]
        assert all(found)
        people[part] = {match[1] for match in found if match}
    assert people["query"] == people["bounding_box_test"] == {"0004", "0005"}
    assert people["bounding_box_train"] == {"0001", "0002", "0003"}


def test_every_picture_has_one_line_of_attributes(drawn: Path) -> None:
    rows = list(csv.DictReader((drawn / "attributes.csv").read_text().splitlines()))
    pictures = sorted(str(path.relative_to(drawn)) for path in drawn.rglob("*.jpg"))
    assert sorted(row["picture"] for row in rows) == pictures
    for row in rows:
        assert all(row.values())
        assert Path(row["picture"]).name.startswith(f"{int(row['identity']):04d}_c{row['camera']}")
        assert row["side"] in ("front", "back", "left", "right")
    worn = {(row["identity"], row["upper"], row["upper_colour"], row["bag"]) for row in rows}
    assert len(worn) == 5  # everybody wears the same in all pictures


def test_the_preview_shows_people_by_cameras(drawn: Path) -> None:
    with Image.open(drawn / "preview.png") as sheet:
        assert sheet.height > 5 * 128
        assert sheet.width > 4 * 64
        assert np.asarray(sheet.convert("L")).std() > 20


def test_the_same_seed_writes_the_same_bytes_with_any_number_of_workers(drawn: Path, tmp_path: Path) -> None:
    write_people(tmp_path / "again", TINY, STREET, seed=5, workers=2)
    assert digest(tmp_path / "again") == digest(drawn)
    write_people(tmp_path / "other", TINY, STREET, seed=6, workers=1)
    assert digest(tmp_path / "other")["attributes.csv"] != digest(drawn)["attributes.csv"]


def test_its_own_folder_is_replaced_and_no_other(drawn: Path, tmp_path: Path) -> None:
    out = tmp_path / "people"
    write_people(out, TINY, STREET, seed=5, workers=1)
    (out / "left over.jpg").write_bytes(b"")
    write_people(out, TINY, STREET, seed=5, workers=1)
    assert digest(out) == digest(drawn)
    (out / "people.json").unlink()
    before = digest(out)
    with pytest.raises(Refused, match="did not write"):
        write_people(out, TINY, STREET, seed=5, workers=1)
    assert digest(out) == before


@pytest.mark.parametrize("place", ["missing/people", "file"])
def test_a_place_that_cannot_be_written_is_refused(place: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    with pytest.raises(Refused, match="choose another"):
        write_people(tmp_path / place, TINY, STREET, seed=5, workers=1)


def test_a_full_disk_is_named_and_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(job: rooms.Job) -> list[Attributes]:
        if job.identity == 3:
            raise OSError(errno.ENOSPC, "No space left on device")
        return shoot(job)

    shoot = rooms.shoot_person
    monkeypatch.setattr(rooms, "shoot_person", full)
    with pytest.raises(Refused, match="full"):
        write_people(tmp_path / "people", TINY, STREET, seed=5, workers=1)
    assert list(tmp_path.iterdir()) == []


def test_a_disk_that_is_too_small_is_refused_before_anything_is_drawn(tmp_path: Path) -> None:
    with pytest.raises(Refused, match="MB free"):
        write_people(tmp_path / "people", Preset("endless", 10**12, 10**9), STREET, seed=5, workers=1)
    assert list(tmp_path.iterdir()) == []


def test_nobody_in_a_folder_is_drawn_by_a_training_or_to_judge_by(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn: list[Person] = []

    def note(person: Person, name: str, identity: int, camera: int, side: str) -> Attributes:
        drawn.append(person)
        return describe_person(person, name, identity, camera, side)

    monkeypatch.setattr(rooms, "describe_person", note)
    for seed in (1, VALIDATION_SEED, THRESHOLD_SEED, UNSEEN_SEED):
        write_people(tmp_path / str(seed), TINY, STREET, seed, workers=1)
    trained = {person_of(seed, k, STREET) for seed in range(3) for k in range(50)}
    judged = [
        {person_of(start + 10 * site, k, STREET) for site in range(3) for k in range(50)}
        for start in (VALIDATION_SEED, THRESHOLD_SEED, UNSEEN_SEED)
    ]
    streams = [set(drawn), trained, *judged]
    assert [len(stream) for stream in streams] == [20, 150, 150, 150, 150]
    assert len(set().union(*streams)) == 620, "nobody is in two streams"


@pytest.mark.parametrize(
    ("turn", "side"), [(0, "front"), (0.25, "right"), (0.5, "back"), (0.75, "left"), (1.95, "front")]
)
def test_the_side_that_is_seen_follows_from_the_direction(turn: float, side: str) -> None:
    assert side_of(turn * 2 * np.pi) == side


def test_the_command_offers_every_preset_and_style_and_writes_a_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(PRESETS, "small", TINY)
    for number, style in enumerate(STYLES):
        out = tmp_path / style
        flags = ["--preset", "small", "--style", style, "--out", str(out), "--seed", str(number), "--workers", "1"]
        result = CliRunner().invoke(app, ["people", *flags])
        assert result.exit_code == 0, result.output
        assert json.loads((out / "people.json").read_text())["style"] == style
    for preset in PRESETS:
        flags = ["people", "--preset", preset, "--out", str(tmp_path / "no" / "such")]
        assert isinstance(CliRunner().invoke(app, flags).exception, Refused)
