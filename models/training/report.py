"""report.html and curves.png of a run: a pure function of what lies in its folder."""

import json
from pathlib import Path
from typing import Annotated

import typer
from matplotlib.figure import Figure
from rich.console import Console

from models.files import write_whole
from models.runs import LayerNote, Record, option, read_record
from models.training.plots import (
    Section,
    draw_histograms,
    draw_lines,
    embed_picture,
    start_figure,
    tabulate,
    to_png,
    to_svg,
    write_page,
)
from models.training.verdicts import (
    HEALTHY,
    judge_dead,
    judge_filters,
    judge_gradients,
    judge_loss,
    judge_rate,
    judge_ratios,
    judge_scores,
    judge_triplets,
)

NEAR = "Nobody was seen by two cameras, so the scores do not tell whether people are found at another camera."
SHOWN_LAYERS = 12  # lines in one plot


def write_report(folder: Path) -> None:
    """Write report.html and curves.png. Raises Refused when the folder holds no run."""
    record = read_record(folder)
    write_whole(folder / "curves.png", to_png(plot_curves(record)))
    sections = [
        Section("Summary", summarise(record), tabulate(["", ""], facts(record))),
        shown("Loss", judge_loss(record), plot_loss(record)),
        shown("Learning rate", judge_rate(record), plot_rate(record)),
        shown("Training and validation scores", judge_scores(record), plot_scores(record)),
        shown(
            "Update-to-weight ratios", judge_ratios(record), plot_layers(record.ratios, "‖update‖ / ‖weights‖", HEALTHY)
        ),
        shown("Dead channels", judge_dead(record), plot_layers(record.dead, "share of channels", None)),
        shown(
            "Activations",
            ("What the parts of the backbone give at the last look, counts on a log scale.", False),
            plot_ridges(record, "activations"),
        ),
        shown("Gradients", judge_gradients(record), plot_ridges(record, "gradients")),
        pictured("First-layer filters", judge_filters(record), folder / "filters.png"),
        pictured("Hardest triplets", judge_triplets(record), folder / "triplets.png"),
        *found_rate(folder),
        Section("Flags", "What the run depends on.", tabulate(["flag", "value"], list_options(record))),
    ]
    write_whole(folder / "report.html", write_page(f"Training run {folder.name}", sections))


def shown(title: str, verdict: tuple[str, bool], figure: Figure) -> Section:
    """A section with a plot."""
    return Section(title, verdict[0], to_svg(figure, title.split(maxsplit=1)[0].lower()), verdict[1])


def pictured(title: str, verdict: tuple[str, bool], path: Path) -> Section:
    """A section with a picture of the run's folder."""
    return Section(title, verdict[0], embed_picture(path, title), verdict[1])


def found_rate(folder: Path) -> list[Section]:
    """What the learning-rate finder left here, if it was run."""
    path = folder / "rate.json"
    if not path.exists():
        return []
    rate = json.loads(path.read_text())["suggested"]
    return [
        Section("Learning-rate finder", f"It suggests --rate {rate:.2g}.", embed_picture(folder / "rate.png", "rates"))
    ]


def summarise(record: Record) -> str:
    """The run in a sentence."""
    steps = record.scores[-1][0] if record.scores else record.losses[-1][0] if record.losses else 0
    best = record.best
    chosen = f" Best {best['metric']} on {best['set']}: {best['value']:.4f}, at step {best['step']}." if best else ""
    near = "" if record.across else f" {NEAR}"
    return f"{steps:,} of {record.flags['steps']:,} steps in {record.seconds / 60:.1f} minutes.{chosen}{near}"


def facts(record: Record) -> list[tuple[str, object]]:
    """What is known about the network and the machine."""
    network = ", ".join(f"{name} {value}" for name, value in record.architecture.items())
    return [
        ("network", network),
        ("parameters", f"{record.parameters:,}"),
        ("identities", f"{record.identities:,}"),
        *([("initial weights", record.loaded)] if record.loaded else []),
        ("seed", record.flags["seed"]),
        ("commit", record.commit),
        *record.environment.items(),
    ]


def list_options(record: Record) -> list[tuple[str, object]]:
    """The flags as the command line has them."""
    return [(option(name), value) for name, value in record.flags.items()]


def plot_curves(record: Record) -> Figure:
    """Loss and validation in one picture."""
    figure, (left, right) = start_figure(2)
    draw_lines(left, loss_lines(record))
    draw_lines(right, score_lines(record, 3, "rank-1"))
    return figure


def plot_loss(record: Record) -> Figure:
    """The loss and its parts."""
    figure, (axes,) = start_figure()
    draw_lines(axes, loss_lines(record))
    return figure


def loss_lines(record: Record) -> dict[str, tuple[list[float], list[float]]]:
    """The total and each part, by step."""
    steps: list[float] = [step for step, *_ in record.losses]
    lines = {"total": (steps, [total for _, total, *_ in record.losses])}
    for name in record.losses[-1][2] if record.losses else ():
        lines[name] = (steps, [parts[name] for _, _, parts, _ in record.losses])
    return lines


def plot_rate(record: Record) -> Figure:
    """The learning rate."""
    figure, (axes,) = start_figure(height=2.4)
    draw_lines(axes, {"learning rate": ([step for step, *_ in record.losses], [one[3] for one in record.losses])})
    return figure


def plot_scores(record: Record) -> Figure:
    """mAP and rank-1 of each set."""
    figure, (left, right) = start_figure(2)
    for axes, place, name in ((left, 2, "mAP"), (right, 3, "rank-1")):
        draw_lines(axes, score_lines(record, place, name))
        axes.set_ylim(0, 1.02)
    return figure


def score_lines(record: Record, place: int, name: str) -> dict[str, tuple[list[float], list[float]]]:
    """One figure of each set, by step."""
    lines: dict[str, tuple[list[float], list[float]]] = {}
    for note in record.scores:
        xs, ys = lines.setdefault(f"{name}, {note[1]}", ([], []))
        xs.append(note[0])
        ys.append(float(note[place]))
    return lines


def plot_layers(notes: list[LayerNote], what: str, healthy: float | None) -> Figure:
    """A figure of each layer by step, of at most SHOWN_LAYERS spread over the depth."""
    figure, (axes,) = start_figure(height=4.2)
    names = list(notes[-1][1]) if notes else []
    kept = names[:: max(1, -(-len(names) // SHOWN_LAYERS))]
    steps: list[float] = [step for step, _ in notes]
    draw_lines(axes, {name: (steps, [figures.get(name, 0.0) for _, figures in notes]) for name in kept})
    axes.set_ylabel(what)
    if healthy is not None:
        axes.axhspan(healthy / 3, healthy * 3, color="green", alpha=0.12)
        axes.set_yscale("log", nonpositive="clip")
    else:
        axes.set_ylim(-0.02, 1.02)
    return figure


def plot_ridges(record: Record, kind: str) -> Figure:
    """Histograms of the layers, spread over the depth."""
    found = record.histograms.get(kind, {})
    names = list(found)[:: max(1, -(-len(found) // 20))]
    figure, (axes,) = start_figure(height=1 + 0.3 * len(names))
    draw_histograms(axes, {name: found[name] for name in names})
    return figure


def report_command(run: Annotated[Path, typer.Argument(help="folder of a run")]) -> None:
    """Write report.html and curves.png of a run anew; train writes them at its end.

    [bold]Example:[/] python -m models report runs/mine
    """
    write_report(run)
    Console(markup=False).print(f"{run / 'report.html'}", highlight=False)
