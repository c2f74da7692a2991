"""Market-1501 and DukeMTMC-reID names."""

from pathlib import Path

import pytest

from models.data.market import read_market
from models.data.reading import read_set
from models.errors import Refused
from tests.models.data.made import market, put


def test_identities_and_cameras_are_those_of_the_names(tmp_path: Path) -> None:
    pictures = read_set(market(tmp_path / "set"))
    assert [(one.identity, one.camera) for one in pictures.train] == [(2, 1), (2, 2), (7, 1), (7, 2), (11, 1), (11, 2)]
    assert [(one.identity, one.camera) for one in pictures.query] == [(1, 1), (3, 2)]
    assert [(one.identity, one.camera) for one in pictures.gallery] == [(-1, 1), (0, 3), (1, 2), (3, 1), (3, 6)]
    assert pictures.people == ()
    assert pictures.name == "set"


def test_duke_names_are_read(tmp_path: Path) -> None:
    put(tmp_path / "bounding_box_train", "0001_c2_f0046182.jpg", "0005_c8_f0000007.jpg")
    assert [(one.identity, one.camera) for one in read_market(tmp_path).train] == [(1, 2), (5, 8)]


def test_what_an_archive_unpacks_to_may_be_one_folder_deeper(tmp_path: Path) -> None:
    market(tmp_path / "Market-1501-v15.09.15")
    assert len(read_set(tmp_path).train) == 6


def test_files_that_are_no_pictures_are_left_out(tmp_path: Path) -> None:
    market(tmp_path)
    for name in ("Thumbs.db", "._0002_c1s1_000451_03.jpg", "readme.txt"):
        (tmp_path / "query" / name).write_bytes(b"")
    assert len(read_set(tmp_path).query) == 2


@pytest.mark.parametrize("name", ["0002.jpg", "x_c1s1_000451_03.jpg", "0002_s1_000451.jpg", "-2_c1s1_000451_03.jpg"])
def test_a_name_that_does_not_fit_is_refused_with_the_file(tmp_path: Path, name: str) -> None:
    put(market(tmp_path) / "query", name)
    with pytest.raises(Refused, match=f"query/{name}: the name does not fit IDENTITY_cCAMERA"):
        read_set(tmp_path)


@pytest.mark.parametrize("folder", ["bounding_box_train", "query"])
@pytest.mark.parametrize(
    ("name", "kind"), [("-1_c1s1_000451_03.jpg", "junk"), ("0000_c1s1_000451_03.jpg", "a distract")]
)
def test_junk_and_distractors_belong_in_the_gallery_only(tmp_path: Path, folder: str, name: str, kind: str) -> None:
    put(market(tmp_path) / folder, name)
    with pytest.raises(Refused, match=f"{folder}/{name}: identity .* is {kind}"):
        read_set(tmp_path)


def test_an_empty_folder_is_refused_by_name(tmp_path: Path) -> None:
    for path in (market(tmp_path) / "query").iterdir():
        path.unlink()
    with pytest.raises(Refused, match="query holds no pictures"):
        read_set(tmp_path)


def test_a_person_in_training_and_gallery_is_refused_with_both_files(tmp_path: Path) -> None:
    put(market(tmp_path) / "bounding_box_test", "0007_c4s1_000451_03.jpg")
    with pytest.raises(Refused, match=r"identity 7 is both in training \(.*/0007_c1s1.*\).*evaluation \(.*/0007_c4s1"):
        read_set(tmp_path)
