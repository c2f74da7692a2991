"""One folder per identity, and all pictures in one folder."""

from pathlib import Path

import pytest

from models.data.folders import read_flat, read_folders
from models.data.reading import read_set
from models.errors import Refused
from tests.models.data.made import folders, put


@pytest.mark.parametrize(
    ("name", "camera"),
    [("c1_0.jpg", "1"), ("x_c07.jpg", "07"), ("0001_cam2.png", "2"), ("camera-3/1.jpg", "3"), ("night/a-c4.webp", "4")],
)
def test_the_usual_ways_to_name_a_camera_are_understood(tmp_path: Path, name: str, camera: str) -> None:
    assert [(row.identity, row.camera) for row in read_folders(put(tmp_path / "set", f"anna/{name}"))] == [
        ("anna", camera)
    ]


def test_a_pattern_finds_the_camera_by_its_group(tmp_path: Path) -> None:
    put(tmp_path, "anna/17-gate.jpg", "anna/18-yard.jpg")
    assert [row.camera for row in read_folders(tmp_path, r"-(\w+)")] == ["gate", "yard"]
    assert [row.camera for row in read_folders(tmp_path, r"(\d+)-(?P<camera>\w+)")] == ["gate", "yard"]


def test_without_known_cameras_one_can_train_and_not_evaluate(tmp_path: Path) -> None:
    put(tmp_path, *(f"{who}/{k}.jpg" for who in "abcdef" for k in range(2)))
    assert len(read_set(tmp_path, pattern="", share=0, evaluation=False).train) == 12
    with pytest.raises(Refused, match="are of one camera"):
        read_set(tmp_path, pattern="")


@pytest.mark.parametrize("name", ["anna/0001.jpg", "anna/c_1.jpg"])
def test_a_name_without_a_camera_is_refused_with_the_file(tmp_path: Path, name: str) -> None:
    put(tmp_path, name)
    with pytest.raises(Refused, match=f"{name}: the name does not fit the camera pattern"):
        read_folders(tmp_path, r"_c(\d+)")


def test_an_empty_folder_of_a_person_is_refused_by_name(tmp_path: Path) -> None:
    (folders(tmp_path) / "person 99").mkdir()
    with pytest.raises(Refused, match="person 99 holds no pictures"):
        read_set(tmp_path)


@pytest.mark.parametrize(
    ("pattern", "message"),
    [("c(", "is not a regular expression"), ("c1", "has no a group for the camera")],
)
def test_a_pattern_that_cannot_find_a_camera_is_refused(tmp_path: Path, pattern: str, message: str) -> None:
    with pytest.raises(Refused, match=message):
        read_folders(folders(tmp_path), pattern)


def test_flat_names_tell_identity_and_camera(tmp_path: Path) -> None:
    put(tmp_path, "car_0088_cam2.jpg", "0001_c2_f0046182.jpg")
    assert [(row.identity, row.camera) for row in read_flat(tmp_path)] == [("0001", "2"), ("car_0088", "2")]


def test_flat_names_may_follow_another_pattern(tmp_path: Path) -> None:
    put(tmp_path, "gate~anna~1.jpg")
    rows = read_flat(tmp_path, r"(?P<camera>\w+)~(?P<identity>\w+)~\d")
    assert [(row.identity, row.camera) for row in rows] == [("anna", "gate")]
    with pytest.raises(Refused, match=r"gate~anna~1.jpg: the name does not fit the pattern"):
        read_flat(tmp_path)
    with pytest.raises(Refused, match=r"has no \(\?P<identity>…\)"):
        read_flat(tmp_path, r"(\w+)~(\w+)")


def test_folders_named_train_and_test_divide_the_set(tmp_path: Path) -> None:
    folders(tmp_path / "train")
    put(tmp_path / "test", "eve/c1_0.jpg", "eve/c1_1.jpg", "eve/c2_0.jpg", "kim/c1_0.jpg")
    pictures = read_set(tmp_path)
    assert len(pictures.train) == 12
    assert [one.path.relative_to(tmp_path).as_posix() for one in pictures.query] == [
        "test/eve/c1_0.jpg",
        "test/eve/c2_0.jpg",
    ]
    assert len(pictures.gallery) == 4


def test_a_folder_beside_the_parts_is_refused_rather_than_left_out(tmp_path: Path) -> None:
    folders(tmp_path / "train")
    folders(tmp_path / "val")
    with pytest.raises(Refused, match="val lies beside train"):
        read_set(tmp_path)


def test_a_person_in_both_parts_is_refused(tmp_path: Path) -> None:
    folders(tmp_path / "train")
    folders(tmp_path / "test", people=1)
    with pytest.raises(Refused, match=r"identity person 00 is both in training .* and in evaluation"):
        read_set(tmp_path)


def test_real_vehicles_are_read_as_they_lie(shared_data: Path) -> None:
    pictures = read_set(shared_data / "vehicle-reid" / "images")
    assert len(pictures.train) == 1014
    assert len({one.identity for one in pictures.train}) == 507
    assert len(pictures.query) == len(pictures.gallery) == 120
    assert {one.camera for one in pictures.train} == {1, 2}
