"""Reads a set of pictures in any of the layouts that re-identification sets come in.

| layout | is |
|---|---|
| market | folders bounding_box_train, query, bounding_box_test with Market-1501 or DukeMTMC-reID names |
| msmt17 | list_train.txt, list_val.txt, list_query.txt, list_gallery.txt beside the pictures, V1 or V2 |
| folders | one folder per identity, the camera in the names |
| flat | all pictures in one folder, identity and camera in the names |
| csv | a file with the columns path, identity, camera and, optionally, split |
"""

from pathlib import Path

from models.data import market
from models.data.division import assemble, base_name
from models.data.folders import divide, read_flat, read_folders
from models.data.images import check_folder, is_picture
from models.data.market import read_market
from models.data.msmt17 import LISTS, read_msmt17
from models.data.sample import PictureSet, Row
from models.data.soundness import check_disjoint, check_distinct, check_judgeable, check_persons, check_trainable
from models.data.table import read_table
from models.errors import Refused

LAYOUTS = ("auto", "market", "msmt17", "folders", "flat", "csv")
SEED = 1  # of commands that divide people, so that they divide them alike
SHARE = 0.2  # of the people, held out to evaluate by where the layout does not say who


def read_set(
    source: Path,
    layout: str = "auto",
    *,
    pattern: str | None = None,
    share: float = SHARE,
    seed: int = 0,
    training: bool = True,
    evaluation: bool = True,
) -> PictureSet:
    """The pictures of a folder or a CSV file, checked for what they are needed for.

    `pattern` finds the camera (folders) or identity and camera (flat) in names. Layouts without a division have a
    `share` of their people held out, by a hash of seed and name; 0 trains on all, 1 evaluates by all. `training` and
    `evaluation` say what must be possible; people are kept apart in any case. Raises Refused, which names the file.
    """
    if not 0 <= share <= 1:
        raise Refused(f"the share of people to hold out is {share}; it must lie between 0 and 1")
    place, layout = find_layout(source, layout)
    if layout == "market":
        pictures = read_market(place)
    else:
        pictures = assemble(base_name(source), _read_people(place, layout, pattern), share, seed)
    if not (pictures.train or pictures.query or pictures.gallery):
        raise Refused(f"{source} holds nothing of the layout {layout}; give another folder or another layout")
    for part in (pictures.train, pictures.query, pictures.gallery):
        check_distinct(part)
    check_disjoint(pictures)
    if training:
        check_trainable(pictures)
    if evaluation:
        check_judgeable(pictures)
    return pictures


def find_layout(source: Path, layout: str = "auto") -> tuple[Path, str]:
    """Where the pictures lie, which may be one folder deeper as archives unpack, and in which layout.

    Raises Refused where there is nothing or it has no layout we know.
    """
    if layout not in LAYOUTS:
        raise Refused(f"there is no layout {layout}; choose one of {', '.join(LAYOUTS)}")
    if layout == "csv" or (layout == "auto" and source.is_file() and source.suffix.lower() == ".csv"):
        return source, "csv"
    check_folder(source)
    for kind, marks in (("market", (market.TRAIN, market.GALLERY)), ("msmt17", tuple(LISTS))):
        found = _find_marks(source, marks) if layout in ("auto", kind) else None
        if found:
            return found, kind
        if layout == kind:
            raise Refused(f"{source} has none of {', '.join(marks)}; give the folder that holds them")
    return source, _guess(source) if layout == "auto" else layout


def _find_marks(source: Path, marks: tuple[str, ...]) -> Path | None:
    """The folder, or the only one in it, that holds any of the marks."""
    if any((source / mark).exists() for mark in marks):
        return source
    inner = [path for path in source.iterdir() if any((path / mark).exists() for mark in marks)]
    return inner[0] if len(inner) == 1 else None


def _guess(source: Path) -> str:
    for part, _ in divide(source):
        if any(is_picture(path) for path in part.iterdir()):
            return "flat"
        if any(is_picture(path) for path in part.rglob("*")):
            return "folders"
    raise Refused(f"{source} holds no pictures; give another folder")


def _read_rows(source: Path, layout: str, pattern: str | None) -> list[Row]:
    if layout == "msmt17":
        return read_msmt17(source)
    if layout == "csv":
        return read_table(source)
    return read_folders(source, pattern) if layout == "folders" else read_flat(source, pattern)


def _read_people(source: Path, layout: str, pattern: str | None) -> list[Row]:
    rows = _read_rows(source, layout, pattern)
    if layout != "msmt17":  # whose people are numbered from 0
        check_persons(rows)
    return rows
