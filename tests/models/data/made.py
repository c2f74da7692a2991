"""Tiny picture sets on disk in each layout."""

from pathlib import Path

from models.data.sample import Sample
from tests.pictures import jpeg


def put(folder: Path, *names: str) -> Path:
    """Pictures of these names, each of other pixels."""
    for number, name in enumerate(names):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(jpeg(len(name), view=hash_of(path, number), height=16, width=8))
    return folder


def hash_of(path: Path, number: int) -> int:
    """A number per picture that is the same in every run."""
    return sum(k * ord(letter) for k, letter in enumerate(path.name + path.parent.name, 1)) + number


def market(folder: Path) -> Path:
    """Market-1501: three people to train on, two to evaluate by, a distractor and junk."""
    put(
        folder / "bounding_box_train",
        *(f"{who:04d}_c{camera}s1_000451_03.jpg" for who in (2, 7, 11) for camera in (1, 2)),
    )
    put(folder / "query", "0001_c1s1_000001_00.jpg", "0003_c2s1_000001_00.jpg")
    return put(
        folder / "bounding_box_test", "-1_c1s1_000401_03.jpg", "0000_c3s1_000401_03.jpg", "0001_c2s1_000401_03.jpg",
        "0003_c1s1_000401_03.jpg", "0003_c6s1_000401_03.jpg",
    ).parent  # fmt: skip


def msmt17(folder: Path, train: str = "train", test: str = "test") -> Path:
    """MSMT17: the people 0 and 1 of training are others than the people 0 and 1 of the test."""
    lists = {
        "list_train.txt": (
            train,
            ["0000/0000_000_01_0303morning_0008_0.jpg 0", "0001/0001_000_02_0303noon_0008_0.jpg 1"],
        ),
        "list_val.txt": (
            train,
            ["0000/0000_001_05_0303morning_0008_0.jpg 0", "0001/0001_001_02_0303noon_0009_0.jpg 1"],
        ),
        "list_query.txt": (test, ["0000/0000_000_14_0303morning_0017_0.jpg 0"]),
        "list_gallery.txt": (
            test,
            ["0000/0000_001_15_0303noon_0017_1.jpg 0", "0001/0001_000_14_0303noon_0017_2.jpg 1"],
        ),
    }
    for name, (part, lines) in lists.items():
        put(folder / part, *(line.split()[0] for line in lines))
        (folder / name).write_text("".join(f"{line}\n" for line in lines))
    return folder


def folders(folder: Path, people: int = 6, cameras: int = 2) -> Path:
    """One folder per identity, a picture from each camera."""
    return put(
        folder, *(f"person {who:02d}/c{camera}_0.jpg" for who in range(people) for camera in range(1, cameras + 1))
    )


def flat(folder: Path, people: int = 6, each: int = 2) -> list[Sample]:
    """Samples of pictures that lie in one folder, from two cameras in turn."""
    names = {f"p{who}_c{k % 2 + 1}_{k}.jpg": (who, k % 2 + 1) for who in range(1, people + 1) for k in range(each)}
    put(folder, *names)
    return [Sample(folder / name, who, camera) for name, (who, camera) in names.items()]
