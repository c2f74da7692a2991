"""Every picture is opened once, and twins betray people who are on both sides."""

from pathlib import Path

import pytest

from models.data.inspection import inspect
from models.data.reading import read_set
from models.data.sample import PictureSet
from tests.models.data.made import flat, folders, market
from tests.pictures import jpeg


@pytest.mark.parametrize("workers", [0, 2])
def test_unreadable_pictures_are_listed_in_order_with_the_reason(tmp_path: Path, workers: int) -> None:
    samples = flat(tmp_path)
    pictures = PictureSet("flat", tuple(samples), (), (), ())
    assert inspect(pictures, workers) == ()
    samples[2].path.write_bytes(b"")
    samples[5].path.write_bytes(jpeg(1)[:200])
    samples[6].path.write_bytes(b"GIF89a")
    samples[9].path.unlink()
    faults = inspect(pictures, workers)
    assert [fault.path for fault in faults] == [samples[k].path for k in (2, 5, 6, 9)]
    reasons = ("picture is empty", "damaged or cut short", "not a JPEG, PNG or WebP", "cannot be read: No such file")
    for fault, reason in zip(faults, reasons, strict=True):
        assert reason in fault.reason
        assert str(fault.path) in fault.reason


def test_a_picture_that_is_trained_on_and_evaluated_by_is_found_by_its_bytes(tmp_path: Path) -> None:
    pictures = read_set(market(tmp_path))
    assert inspect(pictures) == ()
    pictures.gallery[-1].path.write_bytes(pictures.train[0].path.read_bytes())
    (fault,) = inspect(pictures)
    assert "0003_c6s1_000401_03.jpg (identity 3) is the same picture as" in fault.reason
    assert "0002_c1s1_000451_03.jpg (identity 2)" in fault.reason


def test_copies_of_one_person_and_junk_are_no_fault(tmp_path: Path) -> None:
    pictures = read_set(market(tmp_path))
    for copy in (pictures.train[1], pictures.gallery[0], pictures.gallery[1]):
        copy.path.write_bytes(pictures.train[0].path.read_bytes())
    assert inspect(pictures) == ()


def test_people_are_called_by_their_names(tmp_path: Path) -> None:
    pictures = read_set(folders(tmp_path))
    pictures.train[0].path.write_bytes(pictures.train[-1].path.read_bytes())
    (fault,) = inspect(pictures)
    assert "(identity person 0" in fault.reason
