"""`python -m models export`: from a trained run to the folder a service runs.

Refuses when ONNX and PyTorch disagree, and smaller numbers when they cost retrieval.
"""

import json
import logging
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
import onnx
import torch
import typer
from numpy.typing import NDArray
from rich.console import Console

from models.data.images import Files
from models.errors import Refused
from models.evaluation.ancestry import saw_only_drawn
from models.evaluation.evaluate import UNSEEN_SEED
from models.evaluation.exam import Exam
from models.evaluation.features import Model
from models.evaluation.graphs import open_graph
from models.evaluation.metrics import Scores
from models.evaluation.thresholds import SITE, read_thresholds
from models.evaluation.trained import read_exam_of
from models.exporting.acceptance import (
    accepted,
    check_enough,
    examine,
    measure_thresholds,
)
from models.exporting.folder import NAME, check_free, write_folder
from models.exporting.origin import describe_file, describe_training, to_entries
from models.exporting.probe import embed_all
from models.exporting.quantise import to_fp16, to_int8
from models.exporting.rendered import choose, render
from models.exporting.running import AGREEMENT, least_cosine, prepare, run, size_of
from models.exporting.surgery import with_metadata
from models.network import Extractor
from models.people.crowd import draw_pictures
from models.people.style import STREET
from models.runs import Record, digest_network, load_run, read_record
from service.embedding.manifest import sha256_of

OPSET = 18
PICTURES = 32  # on which PyTorch and ONNX must agree
SHRUNK_AGREEMENT = 0.999  # of a picture alone and in a batch: other sums are rounded another way, layer by layer
CALIBRATING = 256  # pictures that show the ranges for int8
PEOPLE = 1000  # rendered, whom thresholds rest on where no pictures are given, and as many strangers

Precision = Literal["fp32", "fp16", "int8"]


class ExportRefused(Refused):
    """The exported network does not give PyTorch's vectors."""


def export(
    folder: Annotated[Path, typer.Argument(metavar="RUN", help="The folder of a training run.")],
    out: Annotated[Path, typer.Option(help="A new folder for the model.")],
    name: Annotated[str, typer.Option(help="What the model is called in answers; the run's folder if left out.")] = "",
    precision: Annotated[Precision, typer.Option(help="fp16 and int8 must prove themselves on --data.")] = "fp32",
    data: Annotated[Path | None, typer.Option(help="Pictures to judge by; thresholds are made for them.")] = None,
    data_layout: Annotated[
        str, typer.Option(help="Of the pictures: auto, market, msmt17, folders, flat, csv.")
    ] = "auto",
    pattern: Annotated[str | None, typer.Option(help="Regular expression that finds the camera in names.")] = None,
    share: Annotated[
        float | None,
        typer.Option(
            min=0,
            max=1,
            help="Of people to judge by, where nothing says who. Default: all, or those the run held out.",
        ),
    ] = None,
    which: Annotated[Literal["best", "last"], typer.Option(help="Which weights of the run.")] = "best",
    most_loss: Annotated[float, typer.Option(min=0, max=1, help="mAP that fp16 or int8 may cost.")] = 0.01,
    thresholds: Annotated[
        Path | None, typer.Option(help="A file of `thresholds --json`, to take those for --gallery from.")
    ] = None,
    gallery: Annotated[
        int, typer.Option(min=SITE, help="People enrolled, for whom thresholds are; rendered, if they must be made.")
    ] = PEOPLE,
    workers: Annotated[int, typer.Option(min=0, help="Processes that render people; 0: none beside this.")] = 2,
) -> None:
    """Write the network of a run as a folder that the service runs: bytes in, unit vectors out, any batch.

    [bold]Example:[/] python -m models export runs/mine --out models/mine --data pictures
    """
    name = name or re.sub(r"[^a-z0-9._-]+", "-", folder.resolve().name.lower()).lstrip("-._")
    if not re.fullmatch(NAME, name):
        raise typer.BadParameter(f"--name {name}: up to 64 of a–z, 0–9, dot, dash and underscore are allowed")
    if precision != "fp32" and data is None:
        raise typer.BadParameter(f"--precision {precision} is accepted by its figures only; give pictures with --data")
    if data is not None and thresholds is not None:
        raise typer.BadParameter("--data makes thresholds of its own; leave out --data or --thresholds")
    check_free(out)
    network = load_run(folder, which)
    made = None if thresholds is None else choose(read_thresholds(thresholds, {digest_network(network)}), gallery)
    record, weights = read_record(folder), sha256_of(folder / f"{which}.pt")
    exam = None
    if data is not None:
        exam = read_exam_of(folder, str(data), data_layout, pattern=pattern, share=share)
        check_enough(exam, data)
    console = Console(soft_wrap=True, markup=False)

    graph = trace(network)
    cosine = check_agreement(network, graph, choose_images(exam, PICTURES, network))
    console.print(f"ONNX gives PyTorch's vectors in batches of 1, 7 and 32 (least cosine {cosine:.6f})")
    if exam is None:
        acceptance, stated = None, made or render(model_of(graph, network), gallery, workers)
    else:
        vectors = embed_all(graph, exam, "judging fp32")
        scores = examine(exam, vectors)
        if precision != "fp32":
            if precision == "int8" and not exam.train:
                console.print("int8 is calibrated on the pictures that it is judged by: the set has no training part")
            graph = shrink(graph, precision, choose_images(exam, CALIBRATING, network))
            check_batches(graph, choose_images(exam, PICTURES, network))
            vectors = embed_all(graph, exam, f"judging {precision}")
            scores = check_loss(precision, scores, examine(exam, vectors), most_loss)
        acceptance, stated = accepted(exam, scores), measure_thresholds(exam, vectors)
    told = describe_run(record, network, which) | describe_file(name, size_of(open_graph(graph)), acceptance)
    graph = with_metadata(graph, to_entries(told | {"precision": precision, "run_sha256": weights}))
    manifest = write_folder(
        out, graph, name=name, thresholds=stated, precision=precision, acceptance=acceptance
    )  # fmt: skip
    console.print(f"{out}: {manifest.version}, {manifest.output.dim}-d, {precision}, {len(graph) / 1e6:.1f} MB")
    if acceptance is not None:
        console.print(
            f"mAP {acceptance.mean_ap:.3f}, rank-1 {acceptance.rank_1:.3f} on {acceptance.set} "
            f"({acceptance.queries} queries)"
        )
    console.print(f"thresholds: {stated.made_from}\nREAPPEAR_MODEL_DIR={out} puts it into service")


def trace(network: Extractor) -> bytes:
    """The network as an ONNX file, `images` uint8 (N, height, width, 3) to `vectors` float32 (N, dim), any N; without
    the traces of source lines that would differ from machine to machine."""
    shape = network.architecture
    images = torch.zeros(2, shape.height, shape.width, 3, dtype=torch.uint8)
    with quiet():
        program = torch.onnx.export(
            network.eval(),
            (images,),
            dynamo=True,
            opset_version=OPSET,
            input_names=["images"],
            output_names=["vectors"],
            dynamic_shapes={"images": {0: torch.export.Dim("N", min=1, max=4096)}},
            verbose=False,
        )
    if program is None:
        raise ExportRefused("the exporter gave no program")
    model = program.model_proto
    for node in model.graph.node:
        node.ClearField("metadata_props")
        node.ClearField("doc_string")
    model.graph.ClearField("metadata_props")
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString())


@contextmanager
def quiet() -> Iterator[None]:
    """Without what PyTorch's exporter says of itself: torchvision is missing, and what PyTorch deprecated."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)
            yield
    finally:
        logger.setLevel(level)


def choose_images(exam: Exam | None, count: int, network: Extractor) -> NDArray[np.uint8]:
    """Images (count, height, width, 3): real pictures of a set, those to train on first, repeated where there are too
    few; rendered people where there is no set."""
    size = network.architecture.height, network.architecture.width
    if exam is None:
        people = draw_pictures(UNSEEN_SEED, count, 1, 1, STREET)
        return prepare([one.image for one in people], size)
    images = Files(exam.train) if exam.train else exam.images
    if isinstance(images, Files):
        images = images.shrunk(*size)
    places = np.linspace(0, len(images), count, endpoint=False).astype(int)
    return prepare([images[int(place)] for place in places], size)


def check_agreement(network: Extractor, graph: bytes, images: NDArray[np.uint8]) -> float:
    """The least cosine between PyTorch and ONNX over images (n, height, width, 3) in batches of 1, 7 and 32.

    Raises ExportRefused below AGREEMENT.
    """
    session = open_graph(graph)
    with torch.inference_mode():
        expected = network.eval()(torch.from_numpy(images)).numpy()
    worst = min(least_cosine(run(session, images, batch), expected) for batch in (1, 7, 32))
    if worst < AGREEMENT:
        raise ExportRefused(f"cosine {worst:.6f} between PyTorch and ONNX, {AGREEMENT} is needed; nothing was written")
    return worst


def check_batches(graph: bytes, images: NDArray[np.uint8], least: float = SHRUNK_AGREEMENT) -> float:
    """The least cosine between vectors of images made alone and in batches of 7 and 32. ExportRefused below `least`."""
    session = open_graph(graph)
    alone = run(session, images, 1)
    worst = min(least_cosine(run(session, images, batch), alone) for batch in (7, 32))
    if worst < least:
        raise ExportRefused(
            f"cosine {worst:.6f} between a picture alone and in a batch; take another --precision; nothing was written"
        )
    return worst


def shrink(graph: bytes, precision: Precision, images: NDArray[np.uint8]) -> bytes:
    """The graph in a smaller precision; images (n, height, width, 3) show the ranges for int8."""
    return to_fp16(graph) if precision == "fp16" else to_int8(graph, images)


def check_loss(precision: str, whole: Scores, small: Scores, most_loss: float) -> Scores:
    """The figures in the smaller precision. Raises Refused, with both, when it costs more mAP than allowed."""
    if whole.mean_ap - small.mean_ap > most_loss:
        raise Refused(
            f"{precision} has mAP {small.mean_ap:.4f}, fp32 {whole.mean_ap:.4f}: it costs more than {most_loss:g}; "
            "keep fp32, or allow it with --most-loss; nothing was written"
        )
    return small


def model_of(graph: bytes, network: Extractor) -> Model:
    """The graph as evaluation takes networks."""
    session, shape = open_graph(graph), network.architecture
    return Model("exported", shape.height, shape.width, lambda crops: run(session, crops, len(crops)))


def describe_run(record: Record, network: Extractor, which: str) -> dict[str, object]:
    """What the file says of its run."""
    last = record.scores[-1][0] if record.scores else 0
    steps = record.best.get("step", last) if which == "best" else last
    return {
        "architecture": json.dumps(network.architecture.to_json(), sort_keys=True),
        "backbone": network.architecture.backbone,
        "commit": record.commit,
        "weights": digest_network(network),
        **describe_training(record.flags, record.identities, steps, saw_only_drawn(record.flags, record.origin)),
    }
