"""Thresholds for decisions, by gallery size: from rendered people who are enrolled and as many rendered strangers.

The more people are enrolled, the nearer the nearest of them is to a stranger, so each size has thresholds of its own.
"""

import json
import shlex
import sys
from collections.abc import Collection, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
import torch
import typer
from rich.console import Console
from rich.table import Table
from torch.utils.data import DataLoader, Dataset
from tqdm import tqdm, trange

from models.errors import Refused
from models.evaluation.distances import row_blocks
from models.evaluation.exam import style_of
from models.evaluation.features import Model, open_model
from models.evaluation.metrics import Distances, Doubles
from models.evaluation.open_set import LEAST, Searches, join, set_threshold
from models.files import check_places, write_whole
from models.people.crowd import draw_pictures
from models.people.style import Style
from service.images.preprocess import resize

THRESHOLD_SEED = 700_000  # training and evaluation draw their people from other seeds
SITE = 100  # people enrolled, and strangers, who pass the same three cameras
CAMERAS = 3  # of a site: queries come from the first, enrolled crops from the others
REPLICATES = 1_000  # of the bootstrap
CONFIDENCE = 0.95


@dataclass(frozen=True, slots=True)
class Threshold:
    """A cosine similarity at or above which a candidate is accepted, and what may be expected of it."""

    gallery: int  # identities enrolled
    fpir: float  # the share of strangers asked for, whose nearest candidate is accepted
    similarity: float
    low: float  # interval of the similarity, CONFIDENCE
    high: float
    tpir: float  # share of searches of enrolled people that are accepted, and nearest of all
    tpir_low: float
    tpir_high: float
    enrolled: int  # people in all galleries together
    strangers: int  # each searched for once


@dataclass(frozen=True, slots=True)
class Crowd:
    """Unit vectors, person by person; those of one site are neighbours."""

    enrolled: Distances  # (people, crops, dim)
    mates: Distances  # (people, dim), queries of the same people
    strangers: Distances  # (people, dim), queries of others


class Sites(Dataset[torch.Tensor]):
    """Item k is what the cameras of site k saw: uint8 (2 · people, CAMERAS, height, width, 3), the enrolled first."""

    def __init__(self, style: Style, people: int, sites: int, size: tuple[int, int], seed: int) -> None:
        self.style, self.people, self.sites, self.size, self.seed = style, people, sites, size, seed

    def __len__(self) -> int:
        return self.sites

    def __getitem__(self, site: int) -> torch.Tensor:
        pictures = draw_pictures(self.seed + 10 * site, 2 * self.people, CAMERAS, 1, self.style)
        crops = np.stack([resize(picture.image, *self.size) for picture in pictures])
        return torch.from_numpy(crops.reshape(2 * self.people, CAMERAS, *self.size, 3))


def draw_crowd(
    model: Model, style: Style, people: int, workers: int, site: int = SITE, seed: int = THRESHOLD_SEED
) -> Crowd:
    """Render so many people to enrol and as many strangers, in worker processes, and keep their vectors.

    Raises Refused when the people do not fill whole sites.
    """
    if people < site or people % site:
        raise Refused(f"{people} people do not fill sites of {site}; give a multiple of {site}")
    sites = Sites(style, site, people // site, (model.height, model.width), seed)
    loader = DataLoader(sites, batch_size=None, num_workers=workers, prefetch_factor=1 if workers else None)
    bar = tqdm(total=2 * people, desc=f"rendering people, {style.name}", unit="people", disable=None)
    enrolled, mates, strangers = [], [], []
    for crops in loader:
        ours, others = crops.numpy()[:site], crops.numpy()[site:]
        found = model.run(ours.reshape(-1, *ours.shape[2:])).reshape(site, CAMERAS, -1)
        mates.append(found[:, 0])
        enrolled.append(found[:, 1:])
        strangers.append(model.run(others[:, 0]))
        bar.update(2 * site)
    bar.close()
    return Crowd(np.concatenate(enrolled), np.concatenate(mates), np.concatenate(strangers))


def make_thresholds(crowd: Crowd, galleries: Sequence[int], fpirs: Sequence[float], seed: int = 0) -> list[Threshold]:
    """A threshold for each gallery size and FPIR, with intervals by a bootstrap over identities.

    The people are divided into as many galleries of a size as they fill, and each person is searched for in the gallery
    of their own site (NIST IR 8271: FPIR and, at rank 1, TPIR). Raises Refused for a size that there are too few
    people for, and for an FPIR below 10 / strangers, which so few cannot tell.
    """
    check_sizes(len(crowd.mates), galleries, fpirs)
    made = []
    for size in galleries:
        mates, strangers = search_galleries(crowd, size)
        made += [measure(mates, strangers, size, fpir, seed) for fpir in fpirs]
    return made


def check_sizes(people: int, galleries: Sequence[int], fpirs: Sequence[float]) -> None:
    """Raises Refused where so many people and as many strangers are too few for a gallery or an FPIR."""
    for size in galleries:
        if not 1 <= size <= people:
            raise Refused(f"a gallery of {size} needs as many people, not {people}; raise --people")
        strangers = people // size * size
        for fpir in fpirs:
            if not 0 < fpir < 1 or fpir * strangers < LEAST - 1e-9:
                raise Refused(
                    f"an FPIR of {fpir:.3g} cannot be told from {strangers} strangers; "
                    f"ask for {LEAST / strangers:.2g} and more, or raise --people"
                )


def search_galleries(crowd: Crowd, size: int) -> tuple[Searches, Doubles]:
    """Searches of the enrolled people in galleries of one size, and the distances of strangers' nearest candidates.

    People who do not fill a last gallery are left out.
    """
    found, wrong = [], []
    starts = range(0, len(crowd.mates) - size + 1, size)
    with tqdm(total=2 * size * len(starts), desc=f"searching galleries of {size:,}", disable=None, leave=False) as bar:
        for start in starts:
            people = np.arange(start, start + size)
            for rows, near in nearest_people(crowd.mates[people], crowd.enrolled[people]):
                own = near[np.arange(len(near)), np.arange(rows.start, rows.stop)].copy()
                near[np.arange(len(near)), np.arange(rows.start, rows.stop)] = np.inf
                found.append(Searches(people[rows], own, near.min(axis=1)))
                bar.update(len(near))
            for _, near in nearest_people(crowd.strangers[people], crowd.enrolled[people]):
                wrong.append(near.min(axis=1))
                bar.update(len(near))
    return join(found), np.concatenate(wrong)


def nearest_people(queries: Distances, enrolled: Distances) -> Iterator[tuple[slice, Distances]]:
    """Blocks of the distance of each query (n, dim) to the nearest crop of each person: (rows, people)."""
    people, crops, dim = enrolled.shape
    shelf = enrolled.reshape(people * crops, dim)
    for rows in row_blocks(len(queries), len(shelf)):
        yield rows, (1 - queries[rows] @ shelf.T).reshape(-1, people, crops).min(axis=2)


def measure(mates: Searches, strangers: Doubles, gallery: int, fpir: float, seed: int) -> Threshold:
    """One threshold with its intervals: strangers and enrolled people are drawn again, with replacement."""
    similarity, tpir = at_fpir(np.sort(strangers), mates.own, mates.other, fpir)
    rng = np.random.default_rng(seed)
    again = np.empty((REPLICATES, 2))
    for k in trange(REPLICATES, desc="drawing strangers again", disable=None, leave=False):
        some = rng.integers(len(mates.own), size=len(mates.own))
        others = np.sort(strangers[rng.integers(len(strangers), size=len(strangers))])
        again[k] = at_fpir(others, mates.own[some], mates.other[some], fpir)
    (low, tpir_low), (high, tpir_high) = np.quantile(again, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2], axis=0)
    interval = float(low), float(high), tpir, float(tpir_low), float(tpir_high)
    return Threshold(gallery, fpir, similarity, *interval, len(mates.own), len(strangers))


def at_fpir(strangers: Distances, own: Distances, other: Distances, fpir: float) -> tuple[float, float]:
    """The similarity that at most the share `fpir` of strangers reach, and the TPIR there; strangers ascending."""
    similarity = set_threshold(strangers, fpir)
    return similarity, float(((1 - own >= similarity) & (own < other)).mean())


def thresholds(
    model: Annotated[str, typer.Argument(help="A run's folder, an exported folder or an .onnx file.")],
    style: Annotated[str, typer.Option(help="What the rendered people look like.")] = "street",
    people: Annotated[int, typer.Option(min=SITE, help="To enrol, and as many strangers.")] = 10_000,
    gallery: Annotated[list[int] | None, typer.Option(min=1, help="Identities enrolled; several times.")] = None,
    fpir: Annotated[list[float] | None, typer.Option(min=0, max=1, help="Share of strangers; several times.")] = None,
    device: Annotated[str, typer.Option(help="Of a run's network: cpu or cuda.")] = "cpu",
    provider: Annotated[str, typer.Option(help="Of an ONNX network: cpu or cuda.")] = "cpu",
    threads: Annotated[int | None, typer.Option(min=1, help="Of the network on the CPU. Default: one a core.")] = None,
    workers: Annotated[int, typer.Option(min=0, help="Processes that render; 0: none beside this.")] = 2,
    seed: Annotated[int, typer.Option(min=0, help="Of the bootstrap.")] = 0,
    json_file: Annotated[Path | None, typer.Option("--json", help="Write the table here.")] = None,
) -> None:
    """Make thresholds by gallery size from rendered people; by default for 100, 1,000 and 10,000 at FPIR 1 % and 0.1 %.

    An FPIR below 10 / strangers is refused. No threshold carries over to cameras of another kind.

    [bold]Example:[/] python -m models thresholds models/mine --people 1000 --gallery 100 --gallery 1000 --fpir 0.01
    """
    if device not in ("cpu", "cuda") or provider not in ("cpu", "cuda"):
        raise Refused(f"--device {device} --provider {provider}: choose cpu or cuda")
    check_places(json_file)
    sizes, rates = gallery or [100, 1_000, 10_000], fpir or [0.01, 0.001]
    check_sizes(people, sizes, rates)
    network = open_model(model, "cuda" if device == "cuda" else "cpu", provider, threads)
    found = make_thresholds(draw_crowd(network, style_of(style), people, workers), sizes, rates, seed)
    table = Table("enrolled", "FPIR", "threshold", "95 % interval", "TPIR", "95 % interval", title=network.name)
    for one in found:
        table.add_row(
            f"{one.gallery:,}", f"{one.fpir:.1%}", f"{one.similarity:.4f}", f"{one.low:.4f} … {one.high:.4f}",
            f"{one.tpir:.1%}", f"{one.tpir_low:.1%} … {one.tpir_high:.1%}",
        )  # fmt: skip
    Console().print(table)
    if json_file:
        record = {
            "model": network.name,
            "checksum": network.checksum,
            "style": style,
            "command": shlex.join(["python", "-m", "models", *sys.argv[1:]]),
            "thresholds": [asdict(one) for one in found],
        }
        write_whole(json_file, (json.dumps(record, indent=1) + "\n").encode())


def read_thresholds(path: Path, checksums: Collection[str]) -> list[Threshold]:
    """What `thresholds --json` wrote for a model that has one of the checksums. Raises Refused for another file and for
    another model's, whose vectors lie elsewhere."""
    try:
        record = json.loads(path.read_text())
        if record["checksum"] not in checksums:
            raise Refused(
                f"{path} was made for {record['model']}, whose weights are others; make it anew from this model with "
                "`thresholds --json`"
            )
        return [Threshold(**one) for one in record["thresholds"]]
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise Refused(f"{path} is not a file of `thresholds --json` ({error}); write it anew") from error
