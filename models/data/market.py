"""Market-1501 names (Zheng et al., ICCV 2015), which DukeMTMC-reID (Zheng et al., ICCV 2017) follows.

`bounding_box_train`, `query` and `bounding_box_test` hold files such as 0002_c1s1_000451_03.jpg or
0001_c2_f0046182.jpg. Identities are numbered across all three; in the gallery −1 is junk and 0 a distractor.
"""

import re
from pathlib import Path

from tqdm import tqdm

from models.data.images import list_pictures
from models.data.sample import PictureSet, Sample
from models.errors import Refused

TRAIN, QUERY, GALLERY = "bounding_box_train", "query", "bounding_box_test"
NAME = re.compile(r"(-1|\d+)_c(\d+)(?:s\d+)?_.+")


def read_market(folder: Path) -> PictureSet:
    """The pictures of the folders that are there. Raises Refused for a name that does not fit."""
    train, query, gallery = (_read(folder / part) for part in (TRAIN, QUERY, GALLERY))
    for sample in (*train, *query):
        if sample.identity < 1:
            kind = "junk" if sample.identity < 0 else "a distractor"
            raise Refused(f"{sample.path}: identity {sample.identity} is {kind}, which belongs in {GALLERY} only")
    return PictureSet(folder.name, train, query, gallery)


def _read(folder: Path) -> tuple[Sample, ...]:
    if not folder.is_dir():
        return ()
    bar = tqdm(list_pictures(folder), desc=f"reading {folder.name}", disable=None, leave=False)
    return tuple(_parse(path) for path in bar)


def _parse(path: Path) -> Sample:
    parts = NAME.fullmatch(path.name)
    if not parts:
        raise Refused(
            f"{path}: the name does not fit IDENTITY_cCAMERA…, such as 0002_c1s1_000451_03.jpg or "
            "0001_c2_f0046182.jpg; rename or remove the file, or choose another layout"
        )
    return Sample(path, int(parts[1]), int(parts[2]))
