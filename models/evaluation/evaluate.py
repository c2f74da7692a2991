"""Judges whatever turns images into vectors: the network or the histogram, on synthetic people and on real pictures.

`python -m models.evaluation.evaluate` prints the figures of the model in models/default.
"""

import argparse
import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from models.evaluation.histogram import describe_colours
from models.evaluation.metrics import Scores, score
from models.people.crowd import Picture, draw_pictures
from models.people.style import STREET, TOY, Style
from service.embedding.onnx_model import OnnxModel
from service.images.decode import PictureLimits, decode

Describe = Callable[[list[NDArray[np.uint8]]], NDArray[np.float32]]  # images (h, w, 3) to unit vectors (n, dim)

UNSEEN_SEED = 900_000  # training draws its people from small seeds
CALIBRATION_SEED = 700_000
IDENTITIES, CAMERAS, SHOTS = 200, 4, 2
GROUPS = 4  # of people to calibrate by, each with cameras of its own
LIMITS = PictureLimits(max_bytes=4_000_000, max_pixels=16_000_000)


@dataclass(frozen=True, slots=True)
class Thresholds:
    """Similarities that the best candidate of a given share of strangers reaches (FPIR), and the share of people in the
    gallery whose own best crop does (TPIR)."""

    match: float
    possible: float
    tpir_match: float
    tpir_possible: float


@dataclass(frozen=True, slots=True)
class Trial:
    """Pictures to judge by, and the camera that queries come from (None: all)."""

    name: str
    pictures: list[Picture]
    query_camera: int | None


def draw_unseen(style: Style, shots: int = SHOTS, identities: int = IDENTITIES) -> list[Picture]:
    """People, cameras and backgrounds that no training has seen: identities × 4 cameras × `shots` pictures."""
    pictures = draw_pictures(UNSEEN_SEED, identities, CAMERAS, shots, style)
    return list(
        tqdm(pictures, total=identities * CAMERAS * shots, desc=f"drawing unseen people, {style.name}", disable=None)
    )


def read_vehicles(shared: Path) -> list[Picture]:
    """The test part of vehicle-reid: real vehicles, two cameras, named KIND_NUMBER_camC.jpg."""
    files = sorted((shared / "vehicle-reid" / "images" / "test").glob("*.jpg"))
    parts = [re.fullmatch(r"(.+)_cam(\d+)", file.stem) for file in files]
    names = sorted({part[1] for part in parts if part})
    return [
        Picture(decode(file.read_bytes(), LIMITS), names.index(part[1]), int(part[2]))
        for file, part in zip(files, parts, strict=True)
        if part
    ]


def judge(describe: Describe, pictures: list[Picture], query_camera: int | None = 0) -> Scores:
    """Cosine, Market rule. Queries are the pictures of one camera, or all (None); the gallery is all pictures.

    So answers come from other cameras, while strangers come from every camera.
    """
    vectors, ids, cameras = arrays(describe, pictures)
    queries = np.ones(len(ids), bool) if query_camera is None else cameras == query_camera
    return score(1 - vectors[queries] @ vectors.T, ids[queries], cameras[queries], ids, cameras)


def draw_calibration(identities: int) -> list[Picture]:
    """People for the thresholds, none of whom is trained on or in the table: groups at cameras of their own, one query
    (camera 0, 10, 20 …) and two other pictures each."""
    groups = [draw_pictures(CALIBRATION_SEED + 10 * k, identities // GROUPS, 3, 1, STREET) for k in range(GROUPS)]
    crowd = (
        Picture(one.image, one.identity + k * (identities // GROUPS), one.camera + 10 * k)
        for k, people in enumerate(groups)
        for one in people
    )
    return list(
        tqdm(crowd, total=identities // GROUPS * GROUPS * 3, desc="drawing people to calibrate by", disable=None)
    )


def calibrate(describe: Describe, pictures: list[Picture], fpir_match: float, fpir_possible: float) -> Thresholds:
    """The two thresholds for galleries of one group each: everybody queries their group's once as a stranger, without
    their own crops (open-set identification: Grother et al., NIST IR 8271)."""
    vectors, ids, cameras = arrays(describe, pictures)
    queries = cameras % 10 == 0
    similarity = vectors[queries] @ vectors[~queries].T
    own = ids[queries][:, None] == ids[~queries][None, :]
    elsewhere = cameras[queries][:, None] // 10 != cameras[~queries][None, :] // 10
    strangers = np.where(own | elsewhere, -1, similarity).max(axis=1)
    mates = np.where(own, similarity, -1).max(axis=1)
    match, possible = np.quantile(strangers, [1 - fpir_match, 1 - fpir_possible])
    return Thresholds(float(match), float(possible), float((mates >= match).mean()), float((mates >= possible).mean()))


def arrays(
    describe: Describe, pictures: list[Picture]
) -> tuple[NDArray[np.float32], NDArray[np.int64], NDArray[np.int64]]:
    """Vectors (n, dim), identities (n,) and cameras (n,) of pictures."""
    ids = np.array([picture.identity for picture in pictures])
    return describe([picture.image for picture in pictures]), ids, np.array([picture.camera for picture in pictures])


def describe_by(model: OnnxModel, batch: int = 32) -> Describe:
    """The exported network as the service runs it."""

    def describe(images: list[NDArray[np.uint8]]) -> NDArray[np.float32]:
        ready = [model.prepare(image) for image in images]
        return np.concatenate([model.run(np.stack(ready[k : k + batch])) for k in range(0, len(ready), batch)])

    return describe


def shared_data() -> Path:
    """Where shared data lies: $REAPPEAR_SHARED_DATA, or ../shared/data."""
    return Path(os.environ.get("REAPPEAR_SHARED_DATA", "../shared/data"))


def row(name: str, scores: Scores) -> str:
    """One line of the table of figures."""
    figures = (scores.mean_ap, scores.rank(1), scores.rank(5), scores.mean_inp)
    return f"| {name} | {' | '.join(f'{figure:.3f}' for figure in figures)} | {scores.queries} |"


def draw_sets(shared: Path, identities: int = IDENTITIES) -> list[Trial]:
    """Unseen people of the training's style, of another style and, where they are at hand, real vehicles."""
    sets = [
        Trial("synthetic people, style of the training", draw_unseen(STREET, identities=identities), query_camera=0),
        Trial("synthetic people, another style", draw_unseen(TOY, identities=identities), query_camera=0),
    ]
    vehicles = read_vehicles(shared)
    return [*sets, Trial("real vehicles (vehicle-reid, test)", vehicles, query_camera=None)] if vehicles else sets


def tabulate(describe: Describe, sets: list[Trial]) -> list[str]:
    """A Markdown table of network and histogram on each set."""
    lines = ["| pictures, method | mAP | rank-1 | rank-5 | mINP | queries |", "|---|---|---|---|---|---|"]
    for one in sets:
        lines.append(row(f"{one.name}: network", judge(describe, one.pictures, one.query_camera)))
        lines.append(row(f"{one.name}: histogram", judge(describe_colours, one.pictures, one.query_camera)))
    return lines


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description="Evaluate an exported model.")
    parser.add_argument("--model", type=Path, default=Path("models/default"))
    parser.add_argument("--shared", type=Path, default=shared_data())
    flags = parser.parse_args()
    model = OnnxModel(flags.model, provider="cpu", threads=os.cpu_count() or 1)
    print("\n".join(tabulate(describe_by(model), draw_sets(flags.shared))))


if __name__ == "__main__":
    main()
