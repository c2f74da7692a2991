"""Finding the layout of a set, and refusing one that cannot do what it is needed for."""

from pathlib import Path

import pytest

from models.data.reading import find_layout, read_set
from models.errors import Refused
from tests.models.data.made import flat, folders, market, msmt17, put


def test_each_layout_is_recognised(tmp_path: Path) -> None:
    flat(tmp_path / "flat")
    (tmp_path / "a.csv").write_text("path,identity,camera\n")
    for layout, source in {
        "market": market(tmp_path / "market"),
        "msmt17": msmt17(tmp_path / "msmt17"),
        "folders": folders(tmp_path / "folders"),
        "flat": tmp_path / "flat",
        "csv": tmp_path / "a.csv",
    }.items():
        assert find_layout(source) == (source, layout)


@pytest.mark.parametrize(
    ("layout", "message"),
    [
        ("auto", "there is not there"), ("market", "there is not there"), ("csv", "there is not there"),
        ("folders", "there is not there"), ("unknown", "there is no layout unknown; choose one of auto, market"),
    ],
)  # fmt: skip
def test_a_missing_folder_is_refused_by_name(tmp_path: Path, layout: str, message: str) -> None:
    with pytest.raises(Refused, match=message):
        read_set(tmp_path / "there", layout)


@pytest.mark.parametrize(
    ("layout", "message"),
    [
        ("auto", "holds no pictures"), ("market", "has none of bounding_box_train"),
        ("msmt17", "has none of list_train"),
        ("folders", "holds nothing of the layout folders"), ("flat", "holds no pictures"),
    ],
)  # fmt: skip
def test_an_empty_folder_is_refused(tmp_path: Path, layout: str, message: str) -> None:
    with pytest.raises(Refused, match=message):
        read_set(tmp_path, layout)


def test_a_file_in_place_of_a_folder_is_refused(tmp_path: Path) -> None:
    put(tmp_path, "a.jpg")
    with pytest.raises(Refused, match=r"a.jpg is not a folder"):
        read_set(tmp_path / "a.jpg")


@pytest.mark.parametrize("share", [-0.1, 1.1, float("nan")])
def test_a_share_that_is_none_is_refused(tmp_path: Path, share: float) -> None:
    with pytest.raises(Refused, match="must lie between 0 and 1"):
        read_set(folders(tmp_path), share=share)


def test_a_set_to_evaluate_by_need_not_have_training_pictures(tmp_path: Path) -> None:
    (market(tmp_path) / "bounding_box_train").rename(tmp_path / "away")
    assert read_set(tmp_path, training=False).train == ()
    with pytest.raises(Refused, match="has nobody to train on"):
        read_set(tmp_path)


def test_a_set_to_train_on_need_not_have_a_gallery(tmp_path: Path) -> None:
    (market(tmp_path) / "bounding_box_test").rename(tmp_path / "away")
    assert len(read_set(tmp_path, evaluation=False).train) == 6
    with pytest.raises(Refused, match="has no gallery"):
        read_set(tmp_path)


def test_a_person_with_one_picture_is_refused_with_the_file(tmp_path: Path) -> None:
    put(market(tmp_path) / "bounding_box_train", "0020_c1s1_000451_03.jpg", "0030_c1s1_000451_03.jpg")
    with pytest.raises(Refused, match=r"0020_c1s1_000451_03.jpg: identity 20 has 1 picture.*\(so with one other\)"):
        read_set(tmp_path)


def test_one_camera_is_refused_because_evaluation_is_impossible(tmp_path: Path) -> None:
    put(tmp_path / "bounding_box_test", "0001_c1s1_000001_00.jpg", "0001_c1s1_000002_00.jpg")
    put(tmp_path / "query", "0001_c1s1_000003_00.jpg")
    with pytest.raises(Refused, match=r"bounding_box_test/0001_c1s1_000001_00.jpg, are of one camera.*impossible"):
        read_set(tmp_path, training=False)


def test_nobody_seen_twice_is_refused_because_evaluation_is_impossible(tmp_path: Path) -> None:
    put(tmp_path / "bounding_box_test", "0001_c1s1_000001_00.jpg", "0002_c2s1_000002_00.jpg")
    put(tmp_path / "query", "0001_c1s1_000003_00.jpg")
    with pytest.raises(Refused, match=r"of 1 queries none has a picture of the same person at another camera"):
        read_set(tmp_path, training=False)


@pytest.mark.parametrize(("name", "kind"), [("-1_c1s1_000401_03.jpg", "junk"), ("0000_c3s1_000401_03.jpg", "distract")])
@pytest.mark.parametrize("layout", ["flat", "folders", "csv"])
def test_junk_and_distractors_of_market_are_nobody_in_any_layout(
    tmp_path: Path, name: str, kind: str, layout: str
) -> None:
    names = [name, *(f"{who:04}_c{camera}s1_000001_00.jpg" for who in (1, 2) for camera in (1, 2))]
    for one in names:
        put(tmp_path / one.partition("_")[0] if layout == "folders" else tmp_path, one)
    if layout == "csv":
        rows = [f"{one},{one.partition('_')[0]},{one.partition('_c')[2][0]}" for one in names]
        (tmp_path / "set.csv").write_text("\n".join(["path,identity,camera", *rows]))
    with pytest.raises(Refused, match=f"{name}: .* is no person but stands for {kind}.*--layout market"):
        read_set(tmp_path / "set.csv" if layout == "csv" else tmp_path, share=1, training=False)


def test_people_who_are_numbered_from_0_are_people(tmp_path: Path) -> None:
    put(tmp_path, *(f"{who:04}_c{camera}_00.jpg" for who in (0, 1) for camera in (1, 2)))
    assert len(read_set(tmp_path, share=1, training=False).query) == 4
