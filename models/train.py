"""Trains the extractor on synthetic people, on the CPU. Reads top to bottom: draw, loop, note.

A run is a folder: weights.pt, run.json (flags, environment, losses and scores by step) and curves.png.
`python -m models.train --out runs/try --steps 300` is a smoke run of about two minutes.
"""

import argparse
import json
import os
import platform
import subprocess
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path

import matplotlib.figure
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, normalize
from torch.utils.data import DataLoader
from tqdm import tqdm

from models.batches import Batches, Shape
from models.evaluate import Describe, judge
from models.losses import contrast
from models.network import DIM, HEIGHT, WIDTH, Extractor
from models.people.crowd import Picture, draw_cut_outs, draw_pictures, draw_scenes
from models.people.style import STREET, TOY
from service.images.preprocess import resize

VALIDATION_SEED = 500_000
WARM_UP = 100  # steps

Note = tuple[int, str, float, float]  # step, style, mAP, rank-1


@dataclass(frozen=True, slots=True)
class Flags:
    """What a run depends on; with the same flags the first steps are the same."""

    steps: int = 4000
    identities: int = 1000
    views: int = 16  # cut-outs per identity
    scenes: int = 400
    people: int = 32  # per batch
    pictures: int = 4  # per person and batch
    rate: float = 6e-3  # at its peak, after the warm-up
    decay: float = 1e-2
    identity_weight: float = 0.3  # of the identity loss beside the contrastive one
    smoothing: float = 0.1
    seed: int = 1
    threads: int = 2
    drawers: int = 1  # processes that draw batches; 0 draws them in between
    watched: int = 60  # unseen people of each style in a validation
    note_every: int = 200  # steps between validations and saved weights


@dataclass(slots=True)
class Diary:
    """What happened, by step."""

    losses: list[tuple[int, float, float]] = field(default_factory=list)  # step, contrastive, identity
    scores: list[Note] = field(default_factory=list)
    seconds: float = 0.0


def train(flags: Flags, folder: Path) -> Extractor:
    """Train a network and leave its run in the folder. Raises FloatingPointError when the loss is no longer finite."""
    folder.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(flags.seed)
    torch.set_num_threads(flags.threads)
    batches = draw_batches(flags)
    validation = {
        style.name: list(draw_pictures(VALIDATION_SEED, flags.watched, 3, 1, style)) for style in (STREET, TOY)
    }
    network = Extractor()
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # missing in PyTorch's types
    classifier = nn.Linear(DIM, flags.identities, bias=False)
    nn.init.normal_(classifier.weight, std=0.001)
    weights = [*network.parameters(), *classifier.parameters()]
    optimiser = torch.optim.AdamW(weights, lr=flags.rate, weight_decay=flags.decay)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, lambda step: rate_at(step, flags.steps))

    diary, start = Diary(), time.monotonic()
    ahead = 4 if flags.drawers else None
    loader = DataLoader(batches, batch_size=None, num_workers=flags.drawers, prefetch_factor=ahead)
    bar = tqdm(loader, desc="training", disable=None)
    for step, (images, labels) in enumerate(bar):
        network.train()
        embedded = network.embed(images)
        contrastive = contrast(normalize(embedded.after), labels)
        identity = cross_entropy(classifier(embedded.after), labels, label_smoothing=flags.smoothing)
        loss = contrastive + flags.identity_weight * identity
        if not torch.isfinite(loss):
            raise FloatingPointError(f"the loss is {loss.item()} at step {step}; lower --rate")
        optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        schedule.step()
        if step % 20 == 0:
            diary.losses.append((step, round(contrastive.item(), 4), round(identity.item(), 4)))
            bar.set_postfix(contrastive=diary.losses[-1][1], identity=diary.losses[-1][2])
        if (step + 1) % flags.note_every == 0 or step + 1 == flags.steps:
            diary.seconds = time.monotonic() - start
            diary.scores += validate(network, validation, step + 1)
            save(network, flags, diary, folder)
    return network.eval()


def draw_batches(flags: Flags) -> Batches:
    """People and backgrounds to train on, and the batches made of them."""
    cut_outs = draw_cut_outs(flags.seed, flags.identities, flags.views, STREET, workers=flags.threads)
    scenes = draw_scenes(flags.seed, flags.scenes, STREET)
    return Batches(cut_outs, scenes, Shape(flags.people, flags.pictures, HEIGHT, WIDTH), flags.steps, flags.seed)


def validate(network: Extractor, sets: dict[str, list[Picture]], step: int) -> list[Note]:
    """Scores on unseen people by style; they are watched, and choose nothing."""
    notes = []
    for style, pictures in sets.items():
        scores = judge(describe_by_network(network), pictures)
        notes.append((step, style, round(scores.mean_ap, 4), round(scores.rank(1), 4)))
        tqdm.write(f"step {step}, {style}: mAP {scores.mean_ap:.3f}, rank-1 {scores.rank(1):.3f}")
    return notes


def rate_at(step: int, steps: int) -> float:
    """Share of the peak learning rate: linear warm-up, then a half cosine down to 0."""
    if step < WARM_UP:
        return (step + 1) / WARM_UP
    return 0.5 * (1 + float(np.cos(np.pi * (step - WARM_UP) / max(1, steps - WARM_UP))))


def describe_by_network(network: Extractor) -> Describe:
    """The network in PyTorch, as evaluation wants it."""

    def describe(images: list[NDArray[np.uint8]]) -> NDArray[np.float32]:
        network.eval()
        ready = torch.from_numpy(np.stack([resize(image, HEIGHT, WIDTH) for image in images]))
        with torch.inference_mode():
            parts: list[Tensor] = [network(part) for part in torch.split(ready, 64)]
        vectors: NDArray[np.float32] = torch.cat(parts).numpy()
        return vectors

    return describe


def save(network: Extractor, flags: Flags, diary: Diary, folder: Path) -> None:
    """Write weights.pt, run.json and curves.png, each complete or not at all."""
    torch.save(network.state_dict(), folder / "weights.part")
    (folder / "weights.part").replace(folder / "weights.pt")
    run = {
        "flags": asdict(flags),
        "commit": commit(),
        "environment": {"python": platform.python_version(), "torch": torch.__version__, "cores": os.cpu_count()},
        "parameters": sum(weight.numel() for weight in network.parameters()),
        **asdict(diary),
    }
    (folder / "run.part").write_text(json.dumps(run, indent=1) + "\n")
    (folder / "run.part").replace(folder / "run.json")
    plot(diary, folder / "curves.png")


def commit() -> str:
    """The commit of the working tree, or `unknown` outside a repository."""
    command = ["git", "rev-parse", "HEAD"]
    found = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603  # a fixed command
    return found.stdout.strip() if found.returncode == 0 else "unknown"


def plot(diary: Diary, path: Path) -> None:
    """Losses and validation scores over steps."""
    figure = matplotlib.figure.Figure(figsize=(9, 3.5), layout="constrained")
    left, right = figure.subplots(1, 2)
    steps, contrastive, identity = zip(*diary.losses, strict=True)
    left.plot(steps, contrastive, label="contrastive")
    left.plot(steps, identity, label="identity")
    for style in sorted({entry[1] for entry in diary.scores}):
        mine = [entry for entry in diary.scores if entry[1] == style]
        right.plot([entry[0] for entry in mine], [entry[3] for entry in mine], marker="o", label=f"rank-1, {style}")
    for axes in (left, right):
        axes.set_xlabel("step")
        axes.legend()
    figure.savefig(path)


def main() -> None:
    """Trains with the flags of the command line."""
    parser = argparse.ArgumentParser(description="Train the extractor on synthetic people.")
    parser.add_argument("--out", type=Path, required=True, help="folder of the run")
    defaults = Flags()
    for name, value in asdict(defaults).items():
        parser.add_argument(f"--{name.replace('_', '-')}", type=type(value), default=value)
    given = vars(parser.parse_args())
    folder = given.pop("out")
    train(Flags(**given), folder)


if __name__ == "__main__":
    main()
