"""`python -m models import`: an outside ONNX extractor becomes a folder that the service runs, or is refused by its
figures. No torch: onnx, onnxruntime and numpy."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from models.evaluation.exam import read_exam
from models.evaluation.histogram import describe_colours
from models.exporting.acceptance import accept, check_enough, embed, measure_thresholds, rank_all
from models.exporting.folder import NAME, check_free, write_folder
from models.exporting.origin import describe_file, to_entries
from models.exporting.probe import (
    PICTURES,
    Told,
    Trial,
    as_good,
    choose,
    embed_all,
    find_layout,
    find_size,
    must_run_alone,
    normalises_inside,
    try_ways,
    ways,
)
from models.exporting.surgery import Colour, Layout, Range, Triple, read_foreign, with_metadata, wrap
from service.embedding.manifest import Source, sha256_of


def bring(
    file: Annotated[Path, typer.Argument(help="An ONNX file that turns pictures into vectors.")],
    out: Annotated[Path, typer.Option(help="A new folder for the model.")],
    name: Annotated[str, typer.Option(help="What the model is called in answers, such as youtureid.")],
    data: Annotated[Path, typer.Option(help="Pictures with identities and cameras to accept it by.")],
    data_layout: Annotated[
        str, typer.Option(help="Of the pictures: auto, market, msmt17, folders, flat, csv.")
    ] = "auto",
    pattern: Annotated[str | None, typer.Option(help="Regular expression that finds the camera in names.")] = None,
    layout: Annotated[Layout | None, typer.Option(help="nchw or nhwc; else found by the shape.")] = None,
    colour: Annotated[Colour | None, typer.Option(help="rgb or bgr; else the better one is found.")] = None,
    scale: Annotated[Range | None, typer.Option("--range", help="0-1 or 0-255; else the better one is found.")] = None,
    mean: Annotated[str | None, typer.Option(help="To subtract, on that range: 0.485,0.456,0.406.")] = None,
    std: Annotated[str | None, typer.Option(help="To divide by, on that range: 0.229,0.224,0.225.")] = None,
    size: Annotated[str | None, typer.Option(help="HEIGHTxWIDTH, where the file leaves it open.")] = None,
    output: Annotated[str | None, typer.Option(help="The tensor with the vectors, where there are several.")] = None,
    at_least: Annotated[float, typer.Option(min=0, max=1, help="mAP that it must reach on the pictures.")] = 0.1,
    source_url: Annotated[str, typer.Option(help="Where the file came from, for the manifest.")] = "",
    as_told: Annotated[
        bool, typer.Option("--as-told", help="Feed it as told, even where another way is better.")
    ] = False,
) -> None:
    """Bring an ONNX extractor from elsewhere into service: find out how it wants its pictures, wrap it so that the
    service can feed it, and accept it by its retrieval figures.

    [bold]Example:[/] python -m models import reid.onnx --name mine --size 256x128 --data pictures --out models/mine
    """
    told = Told(layout, colour, scale, parse_triple("--mean", mean), parse_triple("--std", std))
    if not re.fullmatch(NAME, name):
        raise typer.BadParameter(f"--name {name}: up to 64 of a–z, 0–9, dot, dash and underscore are allowed")
    check_free(out)
    foreign = read_foreign(file, output)
    found = find_layout(foreign, told.layout)
    pixels = find_size(foreign, found, parse_size(size))
    exam = read_exam(str(data), data_layout, pattern=pattern)
    check_enough(exam, data)
    console = Console(soft_wrap=True, markup=False)
    if inside := normalises_inside(foreign):
        console.print(f"the graph begins with {', '.join(inside)}: it may normalise pictures by itself")
    part, possible = exam.part(PICTURES), ways(foreign, found, told)
    if reason := must_run_alone(foreign, possible, pixels, part):
        console.print(f"{reason}; each picture is run alone, which is slower", highlight=False)
    trials = try_ways(foreign, possible, pixels, part, alone=bool(reason))
    console.print(tabulate(trials))
    trial = choose(trials, told, as_told=as_told)
    console.print(f"fed with {trial.feeding.flags}", highlight=False)
    if others := [one.feeding.flags for one in as_good(trials) if told.fits(one.feeding) and one is not trial]:
        console.print(
            f"these pictures do not tell it from {' or '.join(others)}: say so if you know",
            highlight=False,
        )
    graph = wrap(foreign, trial.feeding, pixels, alone=bool(reason))
    sha256 = sha256_of(file)
    vectors = embed_all(graph, exam, f"judging {name}")
    colours = rank_all(exam, embed(describe_colours, exam, "judging a histogram"))
    acceptance = accept(exam, rank_all(exam, vectors), colours, at_least)
    graph = with_metadata(graph, describe_origin(describe_file(name, pixels, acceptance), sha256, source_url, trial))
    thresholds = measure_thresholds(exam, vectors)
    manifest = write_folder(
        out,
        graph,
        name=name,
        thresholds=thresholds,
        source=Source(sha256=sha256, url=source_url),
        acceptance=acceptance,
    )
    figures = f"mAP {acceptance.mean_ap:.3f}, rank-1 {acceptance.rank_1:.3f}"
    console.print(
        f"{out}: {manifest.version}, {manifest.output.dim}-d, {figures} on {exam.name} ({acceptance.queries} queries; "
        f"a histogram has mAP {colours.ap[colours.counted].mean():.3f})\nthresholds: {thresholds.made_from}\n"
        f"REAPPEAR_MODEL_DIR={out} puts it into service",
        highlight=False,
    )  # fmt: skip


def parse_triple(flag: str, text: str | None) -> Triple | None:
    """Three numbers with commas between, or one for all three channels. Raises typer.BadParameter."""
    if text is None:
        return None
    try:
        numbers = [float(part) for part in text.split(",")]
    except ValueError:
        numbers = []
    if len(numbers) == 1:
        numbers *= 3
    if len(numbers) != 3 or (flag == "--std" and min(numbers) <= 0):
        raise typer.BadParameter(f"{flag} {text}: use one or three numbers with commas between, such as 0.5,0.5,0.5")
    return numbers[0], numbers[1], numbers[2]


def parse_size(text: str | None) -> tuple[int, int] | None:
    """Height and width, pixels. Raises typer.BadParameter."""
    if text is None:
        return None
    found = re.fullmatch(r"(\d{1,4})[x×](\d{1,4})", text)
    if not found or not int(found[1]) or not int(found[2]):
        raise typer.BadParameter(f"--size {text}: use HEIGHTxWIDTH, such as 256x128")
    return int(found[1]), int(found[2])


def tabulate(trials: Sequence[Trial]) -> Table:
    """What each way of feeding gave, the best first."""
    table = Table("fed with", "mAP", "rank-1", "cosine of strangers", title="ways to feed it")
    for one in sorted(trials, key=lambda one: (bool(one.fault), -one.mean_ap)):
        figures = (f"{value:.3f}" for value in (one.mean_ap, one.rank_1, one.between))
        table.add_row(one.feeding.flags, *((one.fault, "", "") if one.fault else figures))
    return table


def describe_origin(told: dict[str, object], sha256: str, url: str, trial: Trial) -> dict[str, str]:
    """What the file says of itself in its metadata."""
    told = told | {"source_sha256": sha256, "feeding": trial.feeding.flags}
    return to_entries(told | ({"source_url": url} if url else {}))
