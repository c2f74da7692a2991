"""Trains an extractor. Reads top to bottom: draw, loop, note.

`python -m models train DATA --out RUN` leaves a run (see models.runs). DATA is a folder of pictures or `people`.
"""

import io
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from types import FrameType
from typing import Annotated, Any

import torch
import typer
from PIL import Image
from rich.console import Console
from torch.utils.tensorboard import SummaryWriter
from tqdm import tqdm

from models.errors import NotFinite, Refused
from models.evaluation.ancestry import check_same_start, note_start
from models.evaluation.trained import note_pictures
from models.files import write_whole
from models.network import Extractor
from models.runs import (
    Checkpoint,
    Record,
    collect_randomness,
    commit,
    describe_environment,
    open_run,
    pack,
    read_checkpoint,
    restore_randomness,
    write_checkpoint,
    write_record,
)
from models.training.checks import check, print_checks
from models.training.finder import write_rate
from models.training.flags import (
    FREE,
    PEOPLE,
    Flags,
    check_flags,
    follow_start,
    list_flags,
    list_told,
    merge_flags,
    take_flags,
)
from models.training.learner import Batch, Learner, Loss, make_learner
from models.training.material import Material, gather, judge_set, load_batches
from models.training.report import write_report
from models.training.watching import Watch, bin_values, open_board, show

LOSS_EVERY = 20  # steps between notes of the loss, fewer in a run of less than 1,000


class Stopped(Refused):
    """The training was interrupted and has saved all that it needs to go on."""


@dataclass(frozen=True, slots=True)
class Training:
    """What a training is made of."""

    flags: Flags
    folder: Path
    learner: Learner
    material: Material
    record: Record


def train(flags: Flags, folder: Path, resume: bool = False, until: int | None = None) -> Extractor:
    """Train a network and leave its run in the folder; gives the last network, the average where one is kept.

    `until` ends the training after that step, saved, to be resumed. Raises Refused for flags and data that cannot be
    trained with, a loss that is not finite and a full disk; Stopped when it was interrupted.
    """
    flags = check_flags(flags)
    checkpoint = open_run(folder, list_flags(flags), FREE, resume)
    if checkpoint and until is not None and until <= checkpoint.step:
        raise Refused(f"--until {until}: {checkpoint.step} steps are done already; give more, or leave it out")
    if checkpoint:
        check_same_start(folder, Record(**checkpoint.record))
    torch.set_num_threads(flags.threads)
    torch.manual_seed(flags.seed)
    material = gather(flags)
    learner = make_learner(flags, material.identities)
    record, first = begin(flags, learner, material), 0
    if checkpoint:
        learner.load(asdict(checkpoint))
        record, first = Record(**checkpoint.record), checkpoint.step
    elif learner.loaded:
        tqdm.write(f"--weights {flags.weights}: {learner.loaded}")
    loader = load_batches(flags, material, first)
    if checkpoint:
        restore_randomness(checkpoint.randomness)

    folder.mkdir(parents=True, exist_ok=True)
    start = Path(flags.start) if flags.start else None
    note_pictures(folder, material.pictures, start, resumed=checkpoint is not None)
    last = min(until or flags.steps, flags.steps)
    try:
        stopped = loop(Training(flags, folder, learner, material, record), loader, first, last)
    except NotFinite as error:
        raise NotFinite(f"{error}{go_on_from(folder)}") from error
    write_report(folder)
    if stopped < last:
        raise Stopped(f"stopped after step {stopped} of {flags.steps}, saved; go on with the same command and --resume")
    return learner.judged.eval()


def go_on_from(folder: Path) -> str:
    """What more to say of a loss that is not finite: the same flags come to it again, and others cannot be resumed."""
    if (folder / "best.pt").exists() and (folder / "run.json").exists():
        return f", in another --out; or begin from the best of this run: --from {folder} --out NEW --rate …"
    return ", in another --out" if (folder / "last.pt").exists() else ""


def loop(training: Training, loader: Iterator[Batch], first: int, last: int) -> int:
    """Steps, noted and saved; gives how many are done, fewer than `last` when it was interrupted."""
    flags, record = training.flags, training.record
    start, done = time.monotonic() - record.seconds, first
    bar = tqdm(range(first, last), initial=first, total=flags.steps, desc="training", disable=None)
    with interruptible() as interrupted, open_board(training.folder, first) as board:
        for step in bar:
            noting = (step + 1) % flags.note_every == 0 or step + 1 == flags.steps
            watch = Watch() if noting else None
            loss = training.learner.learn(step, list(islice(loader, flags.accumulate)), watch)
            done, record.seconds = step + 1, time.monotonic() - start
            if step % min(LOSS_EVERY, 1 + flags.steps // 50) == 0 or noting:
                note_loss(record, board, loss, done)
                bar.set_postfix(loss=f"{loss.total:.3f}")
            if watch:
                note_watch(training, board, watch, done)
                note_scores(training, board, done)
                save(training, done)
            if interrupted:
                break
        if done < flags.steps:
            save(training, done)
    return done


def begin(flags: Flags, learner: Learner, material: Material) -> Record:
    """The record of a run that has not learned anything yet."""
    return Record(
        flags=list_flags(flags),
        architecture=learner.network.architecture.to_json(),
        identities=material.identities,
        parameters=sum(weight.numel() for weight in learner.network.parameters()),
        commit=commit(),
        environment=describe_environment(flags.device),
        across=material.across,
        data="" if flags.data == PEOPLE else str(Path(flags.data).resolve()),
        origin=note_start(flags.start),
        loaded=learner.loaded,
    )


@contextmanager
def interruptible() -> Iterator[list[int]]:
    """A list that gets the signal when Ctrl-C or a stop is asked for; the second one ends at once."""
    caught: list[int] = []

    def catch(number: int, at: FrameType | None) -> None:
        caught.append(number)
        signal.signal(number, signal.default_int_handler)

    if threading.current_thread() is not threading.main_thread():
        yield caught
        return
    before = {number: signal.signal(number, catch) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield caught
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def note_loss(record: Record, board: SummaryWriter, loss: Loss, step: int) -> None:
    """Keep the loss, its parts and the learning rate."""
    parts = {name: round(part, 5) for name, part in loss.parts.items()}
    record.losses.append((step, round(loss.total, 5), parts, loss.rate))
    for name, value in {"total": loss.total, **loss.parts}.items():
        board.add_scalar(f"loss/{name}", value, step)
    board.add_scalar("learning rate", loss.rate, step)


def note_watch(training: Training, board: SummaryWriter, watch: Watch, step: int) -> None:
    """Keep what was seen inside of a step; of histograms and pictures the last."""
    record = training.record
    record.ratios.append((step, {name: float(f"{ratio:.3g}") for name, ratio in watch.ratios.items()}))
    record.dead.append((step, {name: round(share, 4) for name, share in watch.dead.items()}))
    seen = {"activations": watch.activations, "gradients": watch.gradients}
    record.histograms = {kind: {name: bin_values(one) for name, one in found.items()} for kind, found in seen.items()}
    record.filters.append((step, round(watch.roughness, 4)))
    record.triplets.append((step, round(watch.wrong, 4)))
    for name, image in (("filters.png", watch.filters), ("triplets.png", watch.triplets)):
        buffer = io.BytesIO()
        Image.fromarray(image).save(buffer, "PNG")
        write_whole(training.folder / name, buffer.getvalue())
    show(board, watch, step)


def note_scores(training: Training, board: SummaryWriter, step: int) -> None:
    """Judge by people of the training and by unseen ones; keep the weights that are the best so far."""
    flags, record, material = training.flags, training.record, training.material
    network = training.learner.judged
    chosen = list[float]()
    for one in (material.train, *material.validation):
        scores = judge_set(network, one, flags.device)
        figures = {"mAP": scores.mean_ap, "rank-1": scores.rank(1), "mINP": scores.mean_inp}
        mean_ap, rank, mean_inp = (round(value, 4) for value in figures.values())
        record.scores.append((step, one.name, mean_ap, rank, mean_inp))
        tqdm.write(f"step {step}, {one.name}: mAP {scores.mean_ap:.3f}, rank-1 {scores.rank(1):.3f}")
        for name, value in figures.items():
            board.add_scalar(f"{name}/{one.name}", value, step)
        if one.name in material.chosen_on:
            chosen.append(figures[flags.choose_by])
    value = sum(chosen) / len(chosen)
    if value > record.best.get("value", -1):
        record.best = {"step": step, "set": ",".join(material.chosen_on), "metric": flags.choose_by, "value": value}
        write_whole(training.folder / "best.pt", pack(network.state_dict()))


def save(training: Training, step: int) -> None:
    """Write last.pt and run.json."""
    record, state = training.record, training.learner.state()
    write_checkpoint(
        training.folder, Checkpoint(step=step, randomness=collect_randomness(), record=asdict(record), **state)
    )
    write_record(training.folder, record)


@take_flags
def train_command(
    context: typer.Context,
    data: Annotated[str, typer.Argument(help="a folder of pictures, a CSV file, or `people` for synthetic people")],
    out: Annotated[Path, typer.Option(help="folder of the run")],
    resume: Annotated[bool, typer.Option("--resume", help="go on where the run in --out was stopped")] = False,
    until: Annotated[int, typer.Option(min=0, help="stop after this step, to be resumed; 0: train to the end")] = 0,
    check_first: Annotated[
        bool, typer.Option("--check", help="check data, losses and network, and do not train")
    ] = False,
    find_first: Annotated[bool, typer.Option("--find-rate", help="look for a learning rate, and do not train")] = False,
    **given: Any,
) -> None:
    """Train an extractor on pictures of a folder or on synthetic people.

    With --resume, flags that are not given are those the run was started with. Ctrl-C saves, and exits with status 130.

    [bold]Example:[/] python -m models train pictures --out runs/mine --steps 2000
    """
    flags, told = Flags(data=data, **given), list_told(context, given)
    if flags.start and not resume:
        flags = follow_start(flags, told)
    if check_first:
        raise typer.Exit(0 if print_checks(check(flags)) else 1)
    if find_first:
        write_rate(flags, out)
        return
    if resume and (out / "last.pt").exists():
        flags = merge_flags(data, given, told, read_checkpoint(out).record["flags"])
    try:
        train(flags, out, resume, until or None)
    except Stopped as stopped:
        Console(stderr=True, soft_wrap=True).print(str(stopped), markup=False, highlight=False)
        raise typer.Exit(130) from stopped
