"""Which kind of index suits a gallery."""

import json
import os
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Column, Table

from reappear.database import opened
from service.config import read_settings
from service.db.loading import vectors_in
from service.db.people import find_collection
from service.db.schema import check_revision
from service.domain import DEFAULT_COLLECTION, VectorArray
from service.embedding.manifest import read_manifest
from service.errors import FileRefused
from service.heaps import share_heaps
from service.index.advice import Advice, advise, kinds_for
from service.index.faiss_setup import tune_faiss

app = typer.Typer(help="The index of a gallery.", no_args_is_help=True)

QUERIES = 200  # vectors that are taken out and looked for
SEED = 5


@app.callback()
def index() -> None:
    """Which kind of index suits a gallery."""


@app.command("advise")
def advise_kind(
    file: Annotated[Path | None, typer.Argument(help="Vectors, (n, dim) as .npy; else the database's.")] = None,
    collection: Annotated[str, typer.Option(help="Whose vectors, of the database.")] = DEFAULT_COLLECTION,
    budget_ms: Annotated[float, typer.Option(min=0, help="Longest that one search should take.")] = 50,
    kinds: Annotated[
        list[str] | None, typer.Option("--kind", help="A kind to try beside exact; repeat it for more.")
    ] = None,
    plot: Annotated[Path | None, typer.Option(help="A PNG file: time against recall.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False,
) -> None:
    """Measure kinds of index on your own vectors, and recommend one for REAPPEAR_INDEX. Needs memory for two copies.

    [bold]Example:[/] reappear index advise --plot advice.png
    """
    draw = None if plot is None else _drawing(plot)
    settings = read_settings()
    vectors = _from_file(file) if file else _from_database(collection)
    if len(vectors) < 2:
        raise FileRefused(f"{len(vectors)} vectors tell nothing about any kind of index; enrol people first")
    vectors, queries = _split(vectors)
    tried = ["exact", *kinds] if kinds else kinds_for(len(vectors))
    share_heaps()
    tune_faiss(vectors.shape[1])
    columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), disable=not sys.stderr.isatty()) as bars:
        task = bars.add_task("", total=len(tried))
        done = iter(range(len(tried)))
        advice = advise(
            vectors, queries, tried, budget_ms=budget_ms, threads=settings.cores,
            note=lambda kind: bars.update(task, description=kind, completed=next(done)),
        )  # fmt: skip
    if as_json:
        print(json.dumps(asdict(advice), indent=2))
    else:
        _show(advice)
    if draw is not None and plot is not None:
        _plot(draw, advice, plot)


def _show(advice: Advice) -> None:
    title = f"{advice.vectors} vectors of {advice.dim} dimensions, searched for {advice.queries} others"
    table = Table(
        Column("kind", no_wrap=True), "recall@10", "1 query ms", "32 queries ms", "MB", "built in s", title=title
    )
    for one in advice.measured:
        if one.refused:
            table.add_row(one.kind, "–", "–", "–", "–", "–")
            continue
        table.add_row(
            one.kind, f"{one.recall:.4f}", f"{one.single_ms:.2f}", f"{one.batch_ms:.1f}", f"{one.bytes / 1e6:.0f}",
            f"{one.build_s:.1f}",
        )  # fmt: skip
    console = Console(soft_wrap=True, markup=False)
    console.print(table)
    for one in advice.measured:
        if one.refused:
            console.print(f"{one.kind}: {one.refused}", highlight=False)
    console.print(f"REAPPEAR_INDEX={advice.kind}: {advice.reason}", highlight=False)


def _from_file(file: Path) -> VectorArray:
    try:
        vectors = np.load(file, allow_pickle=False)
    except (ValueError, EOFError) as error:
        raise FileRefused(f"{file} is no .npy file: {error}") from error
    if vectors.ndim != 2 or vectors.dtype.kind != "f":
        raise FileRefused(f"{file} holds {vectors.dtype} of shape {vectors.shape}; (n, dim) of float is needed")
    return np.asarray(vectors, np.float32)


def _from_database(collection: str) -> VectorArray:
    settings = read_settings()
    manifest = read_manifest(settings.model_dir)
    with opened(settings.url) as database:
        database.read_now(check_revision)
        home = database.read_now(find_collection, collection).id
        return database.read_now(vectors_in, home, manifest.name, manifest.sha256, manifest.output.dim)


def _split(vectors: VectorArray) -> tuple[VectorArray, VectorArray]:
    """Unit vectors to search, and some that are taken out of them to be looked for."""
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    if not np.isfinite(lengths).all() or (lengths == 0).any():
        raise FileRefused("some vectors are zero or not finite")
    vectors /= lengths
    chosen = np.zeros(len(vectors), np.bool_)
    chosen[np.random.default_rng(SEED).permutation(len(vectors))[: min(QUERIES, len(vectors) // 2)]] = True
    return vectors[~chosen], vectors[chosen]


def _drawing(plot: Path) -> Any:
    """Matplotlib's figures, which come with the extra `train`, once it is seen that the file can be written: measuring
    takes long."""
    if plot.suffix.lower() != ".png" or plot.is_dir() or not os.access(plot.absolute().parent, os.W_OK | os.X_OK):
        raise FileRefused(f"{plot} cannot be written as a plot: name a .png file in a folder that this user may write")
    try:
        from matplotlib import figure
    except ImportError as error:
        raise FileRefused("--plot needs matplotlib: pip install matplotlib, or use --json") from error
    return figure


def _plot(figure: Any, advice: Advice, file: Path) -> None:
    drawn = figure.Figure(figsize=(7, 4.5), layout="constrained")
    axes = drawn.subplots()
    for one in advice.measured:
        if not one.refused:
            axes.scatter(one.recall, one.single_ms)
            axes.annotate(one.kind, (one.recall, one.single_ms), xytext=(4, 4), textcoords="offset points", fontsize=8)
    axes.set(xlabel="recall@10", ylabel="one query, ms", yscale="log")
    axes.set_title(f"{advice.vectors} vectors of {advice.dim} dimensions; recommended: {advice.kind}", fontsize=9)
    drawn.savefig(file, dpi=150, format="png")
