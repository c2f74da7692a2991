"""Finds a learning rate before training: it rises from step to step until the loss explodes.

The learning-rate range test of Smith (WACV 2017). Nothing is trained that is kept.
"""

import json
import math
from dataclasses import asdict, dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
import typer
from matplotlib.figure import Figure
from rich.console import Console
from scipy.signal import savgol_filter
from tqdm import tqdm

from models.errors import NotFinite, Refused
from models.files import write_whole
from models.training.flags import Flags, check_flags, follow_start, list_told, take_flags
from models.training.learner import Learner, make_learner
from models.training.material import gather, load_batches
from models.training.plots import start_figure, to_png

MEMORY = 0.9  # of the running mean of the loss
SHORTEST = 8  # tries that say anything
EXPLODED = 4.0  # times the least loss, where the test ends


@dataclass(frozen=True, slots=True)
class Found:
    """Rates tried, the running mean of the loss at each, and the rate to train with."""

    rates: list[float]
    losses: list[float]
    suggested: float


def find_rate(flags: Flags, tries: int = 100, low: float = 1e-6, high: float = 1.0) -> Found:
    """Try `tries` rates from low to high, evenly on a log scale, one step each, on a network that is thrown away.

    Raises Refused when the loss falls at none of them.
    """
    flags = replace(flags, steps=tries, average=0.0, freeze_steps=0, resize="")
    flags = check_flags(flags)
    torch.set_num_threads(flags.threads)
    torch.manual_seed(flags.seed)
    material = gather(flags, judged=False)
    learner = make_learner(flags, material.identities)
    loader = load_batches(flags, material, 0)
    rates = [low * (high / low) ** (k / max(1, tries - 1)) for k in range(tries)]
    losses = list[float]()
    mean = 0.0
    for k, rate in enumerate(tqdm(rates, desc="trying learning rates", disable=None)):
        total = try_rate(learner, k, list(islice(loader, flags.accumulate)), rate)
        mean = MEMORY * mean + (1 - MEMORY) * total
        losses.append(mean / (1 - MEMORY ** (k + 1)))
        if not math.isfinite(total) or losses[-1] > EXPLODED * min(losses):
            break
    losses = [one for one in losses if math.isfinite(one)]
    return Found(rates[: len(losses)], losses, suggest(rates[: len(losses)], losses))


def try_rate(learner: Learner, step: int, batches: list[Any], rate: float) -> float:
    """The loss of one step; infinity where it is not finite."""
    try:
        return learner.learn(step, batches, rate=rate).total
    except NotFinite:
        return math.inf


def suggest(rates: list[float], losses: list[float]) -> float:
    """The rate at which the loss falls fastest on a log scale of rates, at most a tenth of the rate where it is least.

    The slope is that of a line through a fifth of the points, because the loss of a step is noisy. Raises Refused when
    the loss does not fall by at least a hundredth.

    >>> rates = [10.0 ** (k / 2) for k in range(-12, 1)]
    >>> suggest(rates, [7, 7, 7, 7, 6.9, 6.5, 5, 4.1, 3.9, 3.8, 3.7, 3.9, 9])
    0.001
    """
    count, least = len(losses), int(np.argmin(losses)) if losses else 0
    if count < SHORTEST or least < count // 5 or losses[least] > 0.99 * float(np.median(losses[: count // 5])):
        raise Refused("the loss falls at no learning rate; see `python -m models train DATA --out RUN --check`")
    slopes = savgol_filter(losses, window_length=2 * (count // 10) + 3, polyorder=1, deriv=1)
    steepest = int(np.argmin(slopes[: least + 1]))
    return float(f"{min(rates[steepest], rates[least] / 10):.2g}")


def plot(found: Found) -> Figure:
    """Loss over rate, with the suggestion."""
    figure, (axes,) = start_figure()
    axes.plot(found.rates, found.losses)
    axes.axvline(found.suggested, color="C1", linestyle="--", label=f"suggested {found.suggested:.2g}")
    axes.set_xscale("log")
    axes.set_xlabel("learning rate")
    axes.set_ylabel("loss")
    axes.set_ylim(top=1.1 * max(found.losses[: max(1, len(found.losses) // 2)]))
    axes.legend(frameon=False)
    return figure


def write_rate(flags: Flags, folder: Path, tries: int = 100) -> Found:
    """Find a rate and leave rate.json and rate.png in the folder, where the report of a run there shows them."""
    found = find_rate(flags, tries)
    folder.mkdir(parents=True, exist_ok=True)
    write_whole(folder / "rate.png", to_png(plot(found)))
    write_whole(folder / "rate.json", (json.dumps(asdict(found)) + "\n").encode())
    Console(markup=False).print(
        f"suggested: --rate {found.suggested:g} (plot in {folder / 'rate.png'})", highlight=False
    )
    return found


@take_flags
def find_command(
    context: typer.Context,
    data: Annotated[str, typer.Argument(help="a folder of pictures, a CSV file, or `people` for synthetic people")],
    out: Annotated[Path, typer.Option(help="folder for rate.json and rate.png")],
    tries: Annotated[int, typer.Option(help="learning rates to try, from 1e-6 to 1", min=10)] = 100,
    **given: Any,
) -> None:
    """Find a learning rate before training: a plot and a suggestion. Takes the flags of train.

    [bold]Example:[/] python -m models find-rate pictures --out runs/mine
    """
    flags = Flags(data=data, **given)
    write_rate(follow_start(flags, list_told(context, given)) if flags.start else flags, out, tries)
