"""`python -m models evaluate MODEL DATA`: every figure of a model on a set of pictures, printed and written."""

import csv
import io
import json
import shlex
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from rich.console import Console
from rich.table import Table

from models.errors import Refused
from models.evaluation.assessment import RANKS, Assessment, assess, to_json
from models.evaluation.distances import Distances, Vectors, cosine_blocks
from models.evaluation.evaluate import IDENTITIES
from models.evaluation.exam import PEOPLE, Exam
from models.evaluation.expansion import Binary, augment_database, binarise, expand
from models.evaluation.features import Device, classify_training, extract, open_model
from models.evaluation.metrics import Classification
from models.evaluation.ranked import write_ranked
from models.evaluation.reranking import rerank, suggest_k
from models.evaluation.trained import is_trained_on, read_exam_of, warn_of_export
from models.files import check_places, write_whole

AUTO = "auto"
WEIGHT = 0.3  # of the original distance in re-ranking (λ), as in the paper
PAIRS_SHOWN = 40  # cameras pairs in the printed table; the JSON file has all


@dataclass(frozen=True, slots=True)
class Method:
    """What is done to vectors before they are ranked; None: not done."""

    flip: bool = False
    augment: tuple[int, float] | None = None  # k, alpha
    expand: tuple[int, float] | None = None  # k, alpha
    binarise: Binary | None = None
    rerank: tuple[int, int, float] | None = None  # k1, k2, λ

    def in_words(self) -> str:
        """In the order in which it is done."""
        done = [
            "flip averaging" if self.flip else "",
            "database-side augmentation k={} α={:g}".format(*self.augment) if self.augment else "",
            "query expansion k={} α={:g}".format(*self.expand) if self.expand else "",
            f"binarised by {self.binarise}" if self.binarise else "",
            "k-reciprocal re-ranking {}/{} λ={:g}".format(*self.rerank) if self.rerank else "",
        ]
        return ", ".join(one for one in done if one) or "plain cosine"


def evaluate(
    model: Annotated[str, typer.Argument(help="A run's folder, an exported folder, an .onnx file, or `histogram`.")],
    data: Annotated[str, typer.Argument(help="A folder of pictures, a CSV file, or people:STYLE.")],
    layout: Annotated[str, typer.Option(help="How the pictures are named; see check-data.")] = "auto",
    pattern: Annotated[str | None, typer.Option(help="Regular expression that finds the camera in names.")] = None,
    hold_out: Annotated[
        float | None,
        typer.Option(
            min=0,
            max=1,
            help="Share of people to evaluate by, where nothing says who. Default: all, or those the run held out.",
        ),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Chooses who is held out, and who is enrolled.")] = 0,
    anyway: Annotated[
        bool, typer.Option("--anyway", help="Judge a run even by pictures that it was trained on.")
    ] = False,
    identities: Annotated[int, typer.Option(min=2, help="People to draw for people:STYLE.")] = IDENTITIES,
    flip: Annotated[bool, typer.Option("--flip", help="Average each picture with its mirror image.")] = False,
    augment_database: Annotated[
        str,
        typer.Option(
            metavar="K[,ALPHA]",
            help="Move gallery vectors towards K neighbours, weighed by similarity to the power ALPHA.",
        ),
    ] = "",
    expand: Annotated[
        str, typer.Option(metavar="K[,ALPHA]", help="Move queries towards their K nearest crops, weighed likewise.")
    ] = "",
    binarise: Annotated[str, typer.Option(help="Keep one bit per number: sign or round.")] = "",
    rerank: Annotated[
        str,
        typer.Option(metavar="K1,K2,LAMBDA", help="k-reciprocal re-ranking; auto: K1 and K2 by pictures per identity."),
    ] = "",
    enrolled: Annotated[
        int | None, typer.Option(min=1, help="Identities in the gallery of open-set identification. Default: half.")
    ] = None,
    device: Annotated[str, typer.Option(help="Of a run's network: cpu or cuda.")] = "cpu",
    provider: Annotated[str, typer.Option(help="Of an ONNX network: cpu or cuda.")] = "cpu",
    threads: Annotated[int | None, typer.Option(min=1, help="Of the network on the CPU. Default: one a core.")] = None,
    workers: Annotated[int, typer.Option(min=0, help="Processes that read pictures; 0: none beside this.")] = 2,
    ranked: Annotated[Path | None, typer.Option(help="Write the best and worst ranked lists here, as PNG.")] = None,
    json_file: Annotated[Path | None, typer.Option("--json", help="Write every figure here.")] = None,
    csv_file: Annotated[Path | None, typer.Option("--csv", help="Write each query's figures here.")] = None,
) -> None:
    """Judge a model by the protocol of Market-1501: CMC, mAP, mINP, ROC, open-set identification, pairs of cameras.

    A neighbourhood in re-ranking should be as large as an identity: too small gains little, too large is worse than
    none. `--rerank auto` takes the mean number of pictures per identity as K1, and 0.3 of it as K2.

    [bold]Example:[/] python -m models evaluate runs/mine pictures --rerank auto --ranked lists.png
    """
    for name, value, choices in (("device", device, ("cpu", "cuda")), ("provider", provider, ("cpu", "cuda")),
                                 ("binarise", binarise, ("", "sign", "round"))):  # fmt: skip
        if value not in choices:
            raise Refused(f"--{name} {value}: choose one of {', '.join(choice for choice in choices if choice)}")
    check_places(json_file, csv_file, ranked)
    start = time.monotonic()
    run = Path(model) if (Path(model) / "run.json").exists() else None
    network = open_model(model, as_device(device), provider, threads)
    if run is None and not data.startswith(PEOPLE):
        warn_of_export(Path(model), data)
    exam = read_exam_of(
        run, data, layout, pattern=pattern, share=hold_out, seed=None if hold_out is None else seed,
        identities=identities, anyway=anyway,
    )  # fmt: skip
    method = Method(
        flip, parse_k(augment_database, "--augment-database"), parse_k(expand, "--expand"),
        as_binary(binarise), parse_rerank(rerank, exam),
    )  # fmt: skip
    vectors = extract(network, exam.images, flip=flip, workers=workers)
    assessment = assess(rank_by(method, vectors, exam), exam.labels, enrolled, seed)
    named, reason = classify_people(run, exam, as_device(device), workers)
    show(Console(markup=False), f"{network.name} on {exam.name}: {method.in_words()}", assessment, named, reason)
    if ranked:
        write_ranked(ranked, assessment, exam.labels, exam.images, exam.queries, exam.gallery)
    if csv_file:
        write_whole(csv_file, per_query(assessment, exam).encode())
    if json_file:
        record = {
            "model": network.name,
            "data": exam.name,
            "command": shlex.join(["python", "-m", "models", *sys.argv[1:]]),
            "method": asdict(method),
            "in_words": method.in_words(),
            **to_json(assessment),
            "classification": asdict(named) if named else None,
            "seconds": round(time.monotonic() - start, 1),
        }
        write_whole(json_file, (json.dumps(record, indent=1) + "\n").encode())


def rank_by(method: Method, vectors: Vectors, exam: Exam) -> Iterator[Distances]:
    """Blocks of distances of queries to the gallery, after all that the method does to vectors (pictures, dim)."""
    queries, gallery = vectors[exam.queries], vectors[exam.gallery]
    if method.augment:
        gallery = augment_database(gallery, *method.augment)
    if method.expand:
        queries = expand(queries, gallery, *method.expand, own=exam.own)
    if method.binarise:
        queries, gallery = binarise(queries, method.binarise), binarise(gallery, method.binarise)
    if not method.rerank:
        return cosine_blocks(queries, gallery)
    if method.augment or method.expand:  # a picture that is both is no longer one vector
        both = np.concatenate([queries, gallery])
        return rerank(both, np.arange(len(queries)), np.arange(len(queries), len(both)), *method.rerank)
    every = np.empty_like(vectors)
    every[exam.queries], every[exam.gallery] = queries, gallery
    return rerank(every, exam.queries, exam.gallery, *method.rerank)


def classify_people(run: Path | None, exam: Exam, device: Device, workers: int) -> tuple[Classification | None, str]:
    """The figures of a run's identity classifier on the pictures it was trained on, or why there are none."""
    if run is None or not is_trained_on(run, exam):
        return None, ""
    try:
        return classify_training(run, exam.train, device, workers), ""
    except Refused as error:
        return None, str(error)


def parse_k(text: str, option: str) -> tuple[int, float] | None:
    """`K` or `K,ALPHA`; empty is None. Raises Refused."""
    if not text:
        return None
    k, _, alpha = text.partition(",")
    try:
        return int(k), float(alpha or 0)
    except ValueError as error:
        raise Refused(f"{option} {text}: give K or K,ALPHA, such as 5 or 5,3") from error


def parse_rerank(text: str, exam: Exam) -> tuple[int, int, float] | None:
    """`K1,K2,LAMBDA` or `auto`; empty is None. Raises Refused."""
    if not text:
        return None
    if text == AUTO:
        asked = np.unique(exam.labels.query_ids)  # without distractors
        pictures = {**dict(zip(exam.gallery.tolist(), exam.labels.ids.tolist(), strict=True)),
                    **dict(zip(exam.queries.tolist(), exam.labels.query_ids.tolist(), strict=True))}  # fmt: skip
        ids = np.array(list(pictures.values()))
        return (*suggest_k(ids[np.isin(ids, asked)]), WEIGHT)
    try:
        k1, k2, weight = text.split(",")
        return int(k1), int(k2), float(weight)
    except ValueError as error:
        raise Refused(f"--rerank {text}: give K1,K2,LAMBDA, such as 20,6,0.3, or auto") from error


def as_device(text: str) -> Device:
    """The device of this name, which was checked."""
    return "cuda" if text == "cuda" else "cpu"


def as_binary(text: str) -> Binary | None:
    """The method of this name, which was checked."""
    return "sign" if text == "sign" else "round" if text == "round" else None


def show(console: Console, title: str, found: Assessment, named: Classification | None, reason: str) -> None:
    """Print the tables."""
    scores = found.scores
    ranking = Table("mAP", "mAP, trapezoid", "mINP", *(f"rank-{k}" for k in RANKS), "queries", title=title)
    figures = (scores.mean_ap, scores.mean_ap_trapezoid, scores.mean_inp, *(scores.rank(k) for k in RANKS))
    ranking.add_row(*(f"{figure:.4f}" for figure in figures), str(scores.queries))
    console.print(ranking)
    if scores.without_positive:
        console.print(f"{scores.without_positive} queries have nobody to find and are not counted")
    pairs = Table("FPR", "TPR", "similarity", title="pairs of query and gallery crop (ROC)")
    for point in found.at_fpr:
        pairs.add_row(f"{point.false_positive:g}", tell(point.true_positive), tell(1 - point.distance))
    console.print(pairs)
    if found.open_set:
        first = found.open_set[0]
        title = f"open-set identification, {first.gallery} enrolled, {first.strangers} strangers"
        table = Table("FPIR", "TPIR", "least … most", "similarity", title=title)
        for one in found.open_set:
            spread = f"{tell(one.least)} … {tell(one.most)}"
            table.add_row(f"{one.fpir:g}{'' if one.firm else ' ?'}", tell(one.tpir), spread, tell(1 - one.distance))
        console.print(table)
        if not all(one.firm for one in found.open_set):
            console.print("? rests on fewer than 10 strangers above the threshold: take it as a guess")
    cameras = Table("query camera", "gallery camera", "mAP", "rank-1", "queries", title="by pair of cameras")
    for (here, there), pair in list(found.between.items())[:PAIRS_SHOWN]:
        cameras.add_row(str(here), str(there), f"{pair.mean_ap:.4f}", f"{pair.rank(1):.4f}", str(pair.queries))
    console.print(cameras)
    if len(found.between) > PAIRS_SHOWN:
        console.print(f"and {len(found.between) - PAIRS_SHOWN} more pairs, which --json has")
    if named:
        table = Table("accuracy", "precision", "recall", "F1", title="identity classifier on training pictures")
        table.add_row(*(f"{getattr(named, name):.4f}" for name in ("accuracy", "precision", "recall", "f1")))
        console.print(table)
    if reason:
        console.print(f"identity classifier: {reason}", markup=False)


def tell(figure: float) -> str:
    """A figure, or a dash where it cannot be told."""
    return f"{figure:.4f}" if np.isfinite(figure) else "–"


def per_query(found: Assessment, exam: Exam) -> str:
    """CSV with a line for each query; empty where it has nobody to find."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(["query", "identity", "camera", "ap", "ap_trapezoid", "inp", "first_rank"])
    rankings, labels = found.rankings, exam.labels
    for k, counted in enumerate(rankings.counted):
        line: list[Any] = [exam.names[exam.queries[k]], labels.query_ids[k], labels.query_cameras[k]]
        figures = [rankings.ap[k], rankings.ap_trapezoid[k], rankings.inp[k], rankings.first[k]]
        writer.writerow([*line, *(figures if counted else [""] * len(figures))])
    return buffer.getvalue()
