"""MSMT17 lists."""

from pathlib import Path

import pytest

from models.data.reading import read_set
from models.errors import Refused
from tests.models.data.made import msmt17


@pytest.mark.parametrize(("train", "test"), [("train", "test"), ("mask_train_v2", "mask_test_v2")])
def test_both_versions_are_read_with_the_camera_of_the_name(tmp_path: Path, train: str, test: str) -> None:
    pictures = read_set(msmt17(tmp_path / "MSMT17", train, test).parent)
    assert [(pictures.called(one.identity), one.camera) for one in pictures.train] == [
        ("train/0000", 1), ("train/0001", 2), ("train/0000", 5), ("train/0001", 2),
    ]  # fmt: skip
    assert [(pictures.called(one.identity), one.camera) for one in pictures.query] == [("test/0000", 14)]
    assert [one.camera for one in pictures.gallery] == [15, 14]
    assert all(one.path.is_file() and one.path.parts[-3] == train for one in pictures.train)


def test_equal_numbers_of_training_and_test_are_different_people(tmp_path: Path) -> None:
    pictures = read_set(msmt17(tmp_path))
    evaluated = {one.identity for one in (*pictures.query, *pictures.gallery)}
    assert evaluated.isdisjoint(one.identity for one in pictures.train)
    assert pictures.query[0].identity == pictures.gallery[0].identity != pictures.gallery[1].identity


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("0000/0000_000_01_x.jpg", "line 3: .* is not `PATH IDENTITY`"),
        ("0000/0000_000_01_x.jpg zero", "line 3: .* is not `PATH IDENTITY`"),
        ("0000/0000_01.jpg 0", "line 3: the third part of the name 0000_01.jpg is not a camera"),
        ("0000/0000_000_xx_y.jpg 0", "line 3: the third part of the name"),
        ("0000/0000_000_01_gone.jpg 0", "line 3: .*0000_000_01_gone.jpg is not there"),
        ("0000/0000_000_01_0303morning_0008_0.jpg 0", "line 3: .* stands in line 1 already"),
    ],
)
def test_a_line_that_cannot_be_used_is_refused_with_list_and_number(tmp_path: Path, line: str, message: str) -> None:
    with (msmt17(tmp_path) / "list_train.txt").open("a") as file:
        file.write(f"{line}\n")
    with pytest.raises(Refused, match=f"list_train.txt {message}"):
        read_set(tmp_path)


def test_lists_without_pictures_are_refused(tmp_path: Path) -> None:
    (msmt17(tmp_path) / "train").rename(tmp_path / "elsewhere")
    with pytest.raises(Refused, match="has lists but neither train nor mask_train_v2"):
        read_set(tmp_path)


@pytest.mark.parametrize(("content", "message"), [(b"\n", "is empty"), (b"\xff\xfe0", "is not text in UTF-8")])
def test_a_list_of_nothing_is_refused(tmp_path: Path, content: bytes, message: str) -> None:
    (msmt17(tmp_path) / "list_query.txt").write_bytes(content)
    with pytest.raises(Refused, match=f"list_query.txt {message}"):
        read_set(tmp_path)
