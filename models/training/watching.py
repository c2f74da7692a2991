"""Looks into a step of training: how far weights move, what layers give, which triplets are hardest.

The looks go to TensorBoard and, in short, to the run's record; nothing here changes a weight.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.functional import normalize
from torch.utils.hooks import RemovableHandle
from torch.utils.tensorboard import SummaryWriter

from models.errors import Outside
from models.network import Extractor

Image = NDArray[np.uint8]  # (h, w, 3)
Values = NDArray[np.float32]
Filters = NDArray[np.float64]  # (n, k, k, 3)

SAMPLE = 20_000  # values of a layer that a histogram is made of
BINS = 40
TRIPLETS = 6
EDGE = 2  # pixels of the frames round the pictures of a triplet
GREEN, RED, BLUE = (0, 140, 60), (200, 30, 30), (40, 80, 200)


@dataclass(slots=True)
class Watch:
    """One step, seen from inside; `begin` before its forward pass, `look` at each batch, `end` after the update."""

    ratios: dict[str, float] = field(default_factory=dict)  # by layer: size of the update over size of the weights
    activations: dict[str, Values] = field(default_factory=dict)  # by part of the backbone: some of its outputs
    dead: dict[str, float] = field(default_factory=dict)  # by part: share of channels that are 0 everywhere
    gradients: dict[str, Values] = field(default_factory=dict)  # by layer: some of the gradient
    filters: Image = field(default_factory=lambda: np.zeros((1, 1, 3), np.uint8))
    triplets: Image = field(default_factory=lambda: np.zeros((1, 1, 3), np.uint8))
    roughness: float = 1.0  # of the filters: 1 is white noise
    wrong: float = 0.0  # share of anchors that are nearer to somebody else than to their own farthest picture
    before: dict[str, Tensor] = field(default_factory=dict)
    hooks: list[RemovableHandle] = field(default_factory=list)

    def begin(self, network: Extractor) -> None:
        """Remember the weights and listen to the parts of the backbone."""
        self.before = {name: weight.detach().clone() for name, weight in layers(network)}
        for name, part in network.backbone.named_children():
            if any(True for _ in part.parameters()):
                self.hooks.append(part.register_forward_hook(self.listener(name)))

    def listener(self, name: str) -> Any:
        """A hook that keeps some of what a part gives."""

        def listen(part: nn.Module, inputs: Any, output: Tensor) -> None:
            values = output.detach().float()
            self.activations[name] = sample(values)
            self.dead[name] = float((values == 0).all(dim=3).all(dim=2).all(dim=0).float().mean())

        return listen

    def look(self, images: Tensor, labels: Tensor, vectors: Tensor) -> None:
        """Keep the hardest triplets of a batch: uint8 (N, H, W, 3), (N,), (N, dim)."""
        found = find_triplets(labels.cpu(), vectors.float().cpu())
        self.triplets, self.wrong = draw_triplets(images.cpu().numpy(), found), found.wrong

    def end(self, network: Extractor) -> None:
        """Compare with what was remembered, and stop listening."""
        for hook in self.hooks:
            hook.remove()
        self.hooks = []
        for name, weight in layers(network):
            old = self.before[name]
            self.ratios[name] = float((weight.detach() - old).norm() / old.norm().clamp(min=1e-12))
            if weight.grad is not None:
                self.gradients[name] = sample(weight.grad.float())
        self.before = {}
        filters = first_filters(network)
        if filters is not None:
            self.filters, self.roughness = draw_filters(filters), measure_roughness(filters)


def layers(network: nn.Module) -> list[tuple[str, Tensor]]:
    """Weights of at least two dimensions by the name of their layer: convolutions and linear maps."""
    return [(name.removesuffix(".weight"), weight) for name, weight in network.named_parameters() if weight.ndim > 1]


def sample(values: Tensor) -> Values:
    """At most SAMPLE of a tensor's values, evenly spread, the same for the same shape."""
    flat = values.detach().reshape(-1)
    kept: Values = flat[:: max(1, len(flat) // SAMPLE)].cpu().numpy()
    return kept


def bin_values(values: Values) -> list[float]:
    """A histogram as [low, high, counts …]; values that are not finite are left out."""
    finite = values[np.isfinite(values)]
    if not len(finite):
        return [0.0, 1.0, *[0.0] * BINS]
    counts, edges = np.histogram(finite, BINS)
    return [float(edges[0]), float(edges[-1]), *map(float, counts)]


def first_filters(network: nn.Module) -> Filters | None:
    """The weights (n, k, k, 3) of the first layer that sees RGB."""
    found = [weight for _, weight in layers(network) if weight.ndim == 4 and weight.shape[1] == 3]
    return np.nan_to_num(found[0].detach().double().cpu().numpy().transpose(0, 2, 3, 1)) if found else None


def measure_roughness(filters: Filters) -> float:
    """Mean squared difference of neighbours over twice the variance: 1 for white noise, near 0 for smooth filters."""
    variance = filters.var((1, 2, 3)).mean()
    steps = [np.diff(filters, axis=axis) for axis in (1, 2)]
    return float(np.mean([np.square(one).mean() for one in steps]) / max(1e-12, 2 * float(variance)))


def draw_filters(filters: Filters) -> Image:
    """Filters (n, k, k, 3) as a sheet, each stretched to full contrast."""
    low, high = filters.min((1, 2, 3), keepdims=True), filters.max((1, 2, 3), keepdims=True)
    shades = (255 * (filters - low) / np.maximum(high - low, 1e-12)).astype(np.uint8)
    tiles = [np.pad(one.repeat(6, 0).repeat(6, 1), ((2, 2), (2, 2), (0, 0)), constant_values=255) for one in shades]
    across = min(16, len(tiles))
    tiles += [np.full_like(tiles[0], 255)] * (-len(tiles) % across)
    return np.concatenate([np.concatenate(tiles[k : k + across], 1) for k in range(0, len(tiles), across)])


@dataclass(frozen=True, slots=True)
class Triplets:
    """Anchor, farthest picture of the same person, nearest of another, hardest first; and the share that is wrong."""

    places: list[tuple[int, int, int]]
    wrong: float


def find_triplets(labels: Tensor, vectors: Tensor) -> Triplets:
    """The triplets of a batch (batch-hard: Hermans et al., 2017): labels (N,), vectors (N, dim) of any length."""
    units = normalize(vectors)
    near = units @ units.T
    same = labels[:, None] == labels[None, :]
    itself = torch.eye(len(labels), dtype=torch.bool)
    positive, p = near.masked_fill(~same | itself, torch.inf).min(1)
    negative, n = near.masked_fill(same, -torch.inf).max(1)
    counted = positive.isfinite() & negative.isfinite()
    hardness = torch.where(counted, negative - positive, -torch.inf)
    order = [int(k) for k in hardness.argsort(descending=True, stable=True) if counted[k]]
    wrong = float((hardness[counted] > 0).float().mean()) if order else 0.0
    return Triplets([(k, int(p[k]), int(n[k])) for k in order], wrong)


def draw_triplets(images: Image, found: Triplets) -> Image:
    """The hardest TRIPLETS side by side: anchor in blue, the same person in green, another one in red."""
    rows = [
        np.concatenate([frame(images[k], colour) for k, colour in zip(row, (BLUE, GREEN, RED), strict=True)], axis=1)
        for row in found.places[:TRIPLETS]
    ]
    return np.concatenate(rows, axis=1) if rows else np.full((8, 8, 3), 127, np.uint8)


def frame(image: Image, colour: tuple[int, int, int]) -> Image:
    """The picture in a coloured frame."""
    height, width = image.shape[:2]
    framed = np.full((height + 2 * EDGE, width + 2 * EDGE, 3), colour, np.uint8)
    framed[EDGE:-EDGE, EDGE:-EDGE] = image
    return framed


@contextmanager
def open_board(folder: Path, step: int) -> Iterator[SummaryWriter]:
    """TensorBoard's file for a run; what a stopped run wrote after `step` is hidden. Raises Outside on a full disk.

    TensorBoard writes in a thread of its own: what fails there comes out at a later call, or when the file is closed.
    """
    place, tell, failed = folder / "tensorboard", threading.excepthook, list[BaseException | None]()

    def note(failure: threading.ExceptHookArgs) -> None:
        if isinstance(failure.exc_value, OSError):
            failed.append(failure.exc_value)
        else:
            tell(failure)

    threading.excepthook = note
    board = SummaryWriter(str(place), purge_step=step + 1)
    try:
        yield board
        board.close()
    except OSError as error:
        if failed and error is not failed[0]:
            raise
        way = "go on with --resume" if (folder / "last.pt").exists() else "start again"
        raise Outside(f"{place}: {error.strerror or error}; make room for it and {way}") from error
    finally:
        with suppress(OSError):
            board.close()
        threading.excepthook = tell


def show(board: SummaryWriter, watch: Watch, step: int) -> None:
    """Send a look to TensorBoard."""
    put: Any = board  # PyTorch leaves these methods without types
    for name, ratio in watch.ratios.items():
        put.add_scalar(f"update ratio/{name}", ratio, step)
    for name, share in watch.dead.items():
        put.add_scalar(f"dead channels/{name}", share, step)
    for kind, histograms in (("activations", watch.activations), ("gradients", watch.gradients)):
        for name, values in histograms.items():
            if np.isfinite(values).all():
                put.add_histogram(f"{kind}/{name}", values, step)
    put.add_image("first-layer filters", watch.filters, step, dataformats="HWC")
    put.add_image("hardest triplets", watch.triplets, step, dataformats="HWC")
