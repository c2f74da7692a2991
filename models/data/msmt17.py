"""MSMT17 lists (Wei et al., CVPR 2018): `path pid` lines in list_train.txt, list_val.txt, list_query.txt and
list_gallery.txt, with paths relative to `train` and `test` (V1) or `mask_train_v2` and `mask_test_v2` (V2).

The numbers of training and test people both begin at 0 and mean different people, so each gets its folder's name.
"""

from pathlib import Path

from tqdm import tqdm

from models.data.sample import Row
from models.errors import Refused

FOLDERS = {"train": ("train", "mask_train_v2"), "test": ("test", "mask_test_v2")}
LISTS = {  # list_val holds further pictures of the training people, so it cannot validate on people never seen
    "list_train.txt": ("train", "train"),
    "list_val.txt": ("train", "train"),
    "list_query.txt": ("test", "query"),
    "list_gallery.txt": ("test", "gallery"),
}


def read_msmt17(folder: Path) -> list[Row]:
    """The pictures of the lists that are there. Raises Refused, which names the list and its line."""
    rows = []
    for name, (part, split) in LISTS.items():
        if (folder / name).is_file():
            rows += _read_list(folder / name, _picture_folder(folder, part), part, split)
    return rows


def _picture_folder(folder: Path, part: str) -> Path:
    for name in FOLDERS[part]:
        if (folder / name).is_dir():
            return folder / name
    raise Refused(
        f"{folder} has lists but neither {' nor '.join(FOLDERS[part])} beside them; unpack the pictures there"
    )


def _read_list(path: Path, pictures: Path, part: str, split: str) -> list[Row]:
    try:
        lines = path.read_text("utf-8").splitlines()
    except UnicodeDecodeError as error:
        raise Refused(f"{path} is not text in UTF-8; give the list as it was published") from error
    rows, seen = [], dict[Path, int]()
    for number, line in enumerate(tqdm(lines, desc=f"reading {path.name}", disable=None, leave=False), 1):
        if line.strip():
            row = _parse(line, f"{path} line {number}", pictures, part, split)
            if row.path in seen:
                raise Refused(f"{path} line {number}: {row.path} stands in line {seen[row.path]} already; take one out")
            seen[row.path] = number
            rows.append(row)
    if not rows:
        raise Refused(f"{path} is empty; each line must hold a path and an identity")
    return rows


def _parse(line: str, where: str, pictures: Path, part: str, split: str) -> Row:
    path, *rest = line.strip().rsplit(maxsplit=1)
    identity = "".join(rest)
    if not identity.isdecimal():
        raise Refused(f"{where}: {line.strip()!r} is not `PATH IDENTITY`, such as `0000/0000_000_01_….jpg 0`")
    pieces = Path(path).name.split("_")
    if len(pieces) < 3 or not pieces[2].isdecimal():
        raise Refused(
            f"{where}: the third part of the name {Path(path).name} is not a camera; "
            "names look like 0000_000_01_0303morning_0008_0.jpg"
        )
    picture = pictures / path
    if not picture.is_file():
        raise Refused(f"{where}: {picture} is not there; unpack all pictures or take the line out")
    return Row(picture, f"{part}/{int(identity):04d}", pieces[2], split)
