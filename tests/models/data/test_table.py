"""CSV files that name pictures."""

from pathlib import Path

import pytest

from models.data.reading import read_set
from models.data.table import read_table
from models.errors import Refused
from tests.models.data.made import put


def write(folder: Path, *lines: str) -> Path:
    """A table beside eight pictures a/0.jpg … d/1.jpg."""
    put(folder, *(f"{who}/{k}.jpg" for who in "abcd" for k in range(2)))
    path = folder / "pictures.csv"
    path.write_text("".join(f"{line}\n" for line in lines), "utf-8-sig")
    return path


def test_a_table_with_splits_is_read_as_it_says(tmp_path: Path) -> None:
    path = write(
        tmp_path, "split, path, identity, camera, note",
        "train, a/0.jpg, Anna, gate,", 'train, a/1.jpg, Anna, yard, "blue, long"', "train, b/0.jpg, Bo, gate,",
        "train, b/1.jpg, Bo, gate,", "query, c/0.jpg, Cy, gate,", "gallery, c/1.jpg, Cy, yard,",
        "gallery, d/0.jpg, Di, gate,",
    )  # fmt: skip
    pictures = read_set(path)
    assert pictures.people == ("", "Anna", "Bo", "Cy", "Di")
    assert [(one.identity, one.camera) for one in pictures.train] == [(1, 1), (1, 2), (2, 1), (2, 1)]
    assert [(one.identity, one.camera) for one in pictures.query] == [(3, 1)]
    assert [(one.identity, one.camera) for one in pictures.gallery] == [(3, 2), (4, 1)]


def test_a_table_without_splits_has_people_held_out(tmp_path: Path) -> None:
    path = write(tmp_path, "path,identity,camera", *(f"{who}/{k}.jpg,{who},{k}" for who in "abcd" for k in range(2)))
    pictures = read_set(path)
    assert len(pictures.train) == len(pictures.gallery) == 4


HEAD = "path,identity,camera,split"


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (["path,identity"], "line 1: no column camera"),
        ([], "line 1: no column path"),
        ([HEAD], "names no pictures"),
        ([HEAD, "a/0.jpg,a,1,train", ",a,1,train"], "line 3: no path"),
        ([HEAD, "a/0.jpg,,1,train"], "line 2: no identity"),
        ([HEAD, "a/0.jpg,a,,train"], "line 2: no camera"),
        ([HEAD, "a/0.jpg,a,1,training"], "line 2: split is 'training'"),
        ([HEAD, "a/0.jpg,a,1,"], "line 2: split is ''"),
        ([HEAD, "a/0.jpg,a,1"], "line 2: split is ''"),
        ([HEAD, "a/0.jpg,a,1,train,5"], "line 2: more fields"),
        ([HEAD, "a/9.jpg,a,1,train"], "line 2: .*a/9.jpg is not there"),
        ([HEAD, "a/0.jpg,a,1,train", "./a/0.jpg,b,1,train"], "line 3: .*a/0.jpg stands in line 2 already"),
        ([HEAD, '"a/0.jpg"x,a,1,train'], "line 2: .* save it as CSV"),
        ([HEAD, "a/0.jpg,a,1,train", '"a/1.jpg,a,1,train', "b/0.jpg,b,1,train"], "line 3: .* save it as CSV"),
    ],
)
def test_what_cannot_be_used_is_refused_with_file_and_line(tmp_path: Path, lines: list[str], message: str) -> None:
    with pytest.raises(Refused, match=f"pictures.csv {message}"):
        read_table(write(tmp_path, *lines))


def test_a_file_that_is_no_text_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "pictures.csv"
    path.write_bytes(b"path,identity,camera\n\xff\xfe,1,1\n")
    with pytest.raises(Refused, match=r"pictures.csv is not text in UTF-8"):
        read_set(path)


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Refused, match=r"pictures.csv is not there"):
        read_set(tmp_path / "pictures.csv", "csv")
