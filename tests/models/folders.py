"""Small sets of pictures on disk, one colour per person, and a run that was never trained."""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from models.evaluation.trained import note_pictures
from models.files import write_whole
from models.network import Architecture, Extractor
from models.runs import Checkpoint, Record, pack, write_checkpoint, write_record

TINY = Architecture(dim=64, height=64, width=32)


def picture(person: int, seed: int) -> NDArray[np.uint8]:
    """A garment in the person's colour, and a little noise."""
    rng = np.random.default_rng((person, 1))
    top, bottom = rng.integers(0, 256, 3), rng.integers(0, 256, 3)
    image = np.concatenate([np.tile(top, (40, 32, 1)), np.tile(bottom, (40, 32, 1))])
    noise = np.random.default_rng((person, seed, 2)).integers(-6, 7, image.shape)
    return np.clip(image + noise, 0, 255).astype(np.uint8)


def write_flat(folder: Path, people: int, cameras: int = 2) -> Path:
    """All pictures in one folder: pNN_cC.png."""
    folder.mkdir(parents=True, exist_ok=True)
    for person in range(people):
        for camera in range(1, cameras + 1):
            Image.fromarray(picture(person, camera)).save(folder / f"p{person:02}_c{camera}.png")
    return folder


def write_market(folder: Path) -> Path:
    """Market-1501 names: 4 people to train on, 4 to evaluate by, each at two cameras, with junk and distractors."""
    for part in ("bounding_box_train", "query", "bounding_box_test"):
        (folder / part).mkdir(parents=True)
    for person in range(1, 9):
        for camera in (1, 2):
            name = f"{person:04}_c{camera}s1_00000{camera}_00.png"
            parts = ["bounding_box_train"] if person <= 4 else ["bounding_box_test"]
            for part in parts:
                Image.fromarray(picture(person, camera)).save(folder / part / name)
        if person > 4:
            for camera in (1, 2):
                again = picture(person, 10 + camera)
                Image.fromarray(again).save(folder / "query" / f"{person:04}_c{camera}s1_00009{camera}_00.png")
    for number in range(3):
        Image.fromarray(picture(5, 20 + number)).save(folder / f"bounding_box_test/-1_c1s1_00001{number}_00.png")
        Image.fromarray(picture(50 + number, 1)).save(folder / f"bounding_box_test/0000_c2s1_00001{number}_00.png")
    return folder


def write_run(
    folder: Path, data: str = "people", classifier: torch.Tensor | None = None, pictures: Sequence[Path] = ()
) -> Extractor:
    """A run of no steps, with a network drawn from a seed, that says it was trained on these pictures."""
    folder.mkdir(parents=True)
    torch.manual_seed(3)
    network = Extractor(TINY).eval()
    flags = {"data": data, "hold_out": 0.5, "seed": 4}
    weights = sum(weight.numel() for weight in network.parameters())
    record = Record(flags, TINY.to_json(), 4, weights, commit="unknown", environment={})
    write_record(folder, record)
    write_whole(folder / "best.pt", pack(network.state_dict()))
    heads = {} if classifier is None else {"classifier.weight": classifier}
    state = network.state_dict()
    write_checkpoint(folder, Checkpoint(0, state, heads, {}, {}, {}, {}, asdict(record)))
    note_pictures(folder, pictures, None, resumed=False)
    return network
