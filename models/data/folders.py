"""Pictures that lie in one folder per identity, or all in one folder with names that tell identity and camera.

Either may be divided into `train` and `test`, or `train`, `query` and `gallery`; else it is divided later.
"""

import re
from pathlib import Path

from tqdm import tqdm

from models.data.images import check_folder, is_picture, list_pictures
from models.data.sample import SPLITS, Row
from models.errors import Refused

CAMERA = r"(?:^|[_/-])c(?:am(?:era)?)?[_-]?(\d+)"  # c1, cam01, camera_3, in the name or in a folder's
FLAT = r"(?P<identity>.+?)_c(?:am)?(?P<camera>\d+)(?:\D.*)?"  # car_0088_cam2.jpg, 0001_c2_f0046182.jpg


def read_folders(folder: Path, pattern: str | None = None) -> list[Row]:
    """One folder per identity, named by it. The pattern is searched in the rest of the path, and its group `camera`
    (or first) is the camera; the empty pattern says that cameras are not known.

    Raises Refused for an empty folder and a name that does not fit.
    """
    expression = _compile(CAMERA if pattern is None else pattern, groups=())
    rows = []
    for part, split in divide(folder):
        for person in tqdm(_subfolders(part), desc=f"reading {part.name}", disable=None, leave=False):
            pictures = sorted(path for path in person.rglob("*") if is_picture(path))
            if not pictures:
                raise Refused(f"{person} holds no pictures; put the person's pictures in or remove the folder")
            for path in pictures:
                rows.append(
                    Row(path, person.name, _camera_of(path, person, expression) if pattern != "" else "0", split)
                )
    return rows


def read_flat(folder: Path, pattern: str | None = None) -> list[Row]:
    """All pictures in one folder. The pattern must fit a whole name, without its suffix, and has the groups `identity`
    and `camera`. Raises Refused for a name that does not fit."""
    expression = _compile(FLAT if pattern is None else pattern, groups=("identity", "camera"))
    rows = []
    for part, split in divide(folder):
        for path in tqdm(list_pictures(part), desc=f"reading {part.name}", disable=None, leave=False):
            found = expression.fullmatch(path.stem)
            if not found or not found["identity"] or not found["camera"]:
                raise Refused(
                    f"{path}: the name does not fit the pattern {expression.pattern}; rename or remove the file, "
                    "or give a pattern with (?P<identity>…) and (?P<camera>…)"
                )
            rows.append(Row(path, found["identity"], found["camera"], split))
    return rows


def divide(folder: Path) -> list[tuple[Path, str]]:
    """The parts of a folder with the split of each: the folder itself with none, or its `train`, `test` and so on.

    Raises Refused where other folders lie beside those, rather than leaving them out.
    """
    check_folder(folder)
    inner = _subfolders(folder)
    parts = [(path, path.name) for path in inner if path.name in SPLITS]
    if not parts:
        return [(folder, "")]
    others = [path for path in inner if path.name not in SPLITS]
    if others:
        raise Refused(f"{others[0]} lies beside {parts[0][1]}; name it train, query, gallery or test, or move it away")
    return parts


def _subfolders(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))


def _camera_of(path: Path, person: Path, expression: re.Pattern[str]) -> str:
    found = expression.search(path.relative_to(person).as_posix())
    camera = found and found["camera" if "camera" in expression.groupindex else 1]
    if not camera:
        raise Refused(
            f"{path}: the name does not fit the camera pattern {expression.pattern}; rename or remove the file, "
            "give a pattern with a group for the camera, or an empty one where cameras are not known (to train only)"
        )
    return camera


def _compile(pattern: str, groups: tuple[str, ...]) -> re.Pattern[str]:
    try:
        expression = re.compile(pattern)
    except re.error as error:
        raise Refused(f"the pattern {pattern} is not a regular expression: {error}") from error
    missing = [name for name in groups if name not in expression.groupindex]
    if missing or (pattern and not expression.groups):
        lacks = f"(?P<{missing[0]}>…)" if missing else "a group for the camera, such as _c(\\d+)"
        raise Refused(f"the pattern {pattern} has no {lacks}; put one in")
    return expression
