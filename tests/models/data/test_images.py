"""Loading pictures from disk."""

from pathlib import Path

import pytest

from models.data.images import list_pictures, load
from models.errors import Refused
from tests.pictures import encode, jpeg, person


def test_a_picture_is_decoded_as_the_service_does_it(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(encode(person(1), "PNG"))
    assert load(path).tolist() == person(1).tolist()


def test_what_cannot_be_decoded_or_read_is_refused_with_its_name(tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    path.write_bytes(jpeg(1)[:300])
    with pytest.raises(Refused, match=r"a.jpg: the picture is damaged or cut short"):
        load(path)
    with pytest.raises(Refused, match=r"b.jpg cannot be read: No such file"):
        load(tmp_path / "b.jpg")


def test_pictures_are_listed_by_name_without_hidden_and_other_files(tmp_path: Path) -> None:
    for name in ("b.JPG", "a.jpeg", "c.webp", "._a.jpg", "notes.txt"):
        (tmp_path / name).write_bytes(b"")
    assert [path.name for path in list_pictures(tmp_path)] == ["a.jpeg", "b.JPG", "c.webp"]
