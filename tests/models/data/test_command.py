"""`python -m models check-data`."""

import sys
from inspect import signature
from pathlib import Path

import pytest
from PIL import Image

from models.__main__ import app, one_line
from models.data.command import check_data
from models.training.flags import Flags
from tests.models.data.made import folders, market


def run(monkeypatch: pytest.MonkeyPatch, *arguments: str | Path) -> int:
    monkeypatch.setattr(sys, "argv", ["models", "check-data", *map(str, arguments), "--workers", "0"])
    with pytest.raises(SystemExit) as ended:
        one_line(app)
    return int(ended.value.code or 0)


def test_it_counts_pictures_people_and_cameras(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, market(tmp_path)) == 0
    rows = [[cell.strip() for cell in line.split("│")[1:-1]] for line in capsys.readouterr().out.splitlines()]
    assert [row for row in rows if row] == [
        ["train", "6", "3", "2", "0", "0"],
        ["query", "2", "2", "2", "0", "0"],
        ["gallery", "5", "2", "4", "1", "1"],
    ]


def test_it_refuses_a_set_with_unreadable_pictures_and_lists_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    broken = folders(tmp_path) / "person 01" / "c2_0.jpg"
    broken.write_bytes(b"no picture")
    assert run(monkeypatch, tmp_path) == 3
    assert f"1 pictures cannot be used\n{broken}: the content is not a JPEG" in capsys.readouterr().err


def test_it_divides_people_as_a_training_does_that_is_told_nothing() -> None:
    assert signature(check_data).parameters["seed"].default == Flags().seed


def test_it_says_what_is_needed_and_what_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folders(tmp_path, cameras=1)
    assert run(monkeypatch, tmp_path) == 3
    assert "1 picture(s) to train on and 2 are needed" in capsys.readouterr().err
    assert run(monkeypatch, tmp_path, "--no-training") == 3
    assert "are of one camera (1), so evaluation is impossible" in capsys.readouterr().err
    assert run(monkeypatch, tmp_path, "--no-training", "--no-evaluation") == 0


def test_it_draws_augmented_pictures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folders(tmp_path / "set")
    assert run(monkeypatch, tmp_path / "set", "--sheet", tmp_path / "sheet.png", "--share", "0.4") == 0
    with Image.open(tmp_path / "sheet.png") as sheet:
        assert sheet.size[0] == 8 * 66 - 2
    assert run(monkeypatch, tmp_path / "set", "--preset", "wild") == 3
