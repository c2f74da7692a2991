"""All figures of one ranking in one pass over blocks of distances: what the evaluation prints and writes."""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.errors import Refused
from models.evaluation.distances import nearest
from models.evaluation.metrics import JUNK, Distances, Ints, Mask, Rankings, Scores, join, rank, rank_between, summarise
from models.evaluation.open_set import (
    LEAST,
    Identification,
    Pairs,
    Point,
    Searches,
    draw_galleries,
    identify,
    nearest_by_identity,
    search,
)
from models.evaluation.open_set import join as join_searches

RANKS = (1, 5, 10, 20)
FPRS = (1e-4, 1e-3, 1e-2)
CURVE = tuple(float(f"{10 ** (-k / 4):.3g}") for k in range(8, 25))  # the ROC from 1e-2 to 1e-6, four points a decade
FPIRS = (0.1, 0.01, 0.001)
GALLERIES = 10  # drawn for open-set identification
SHOWN = 10  # of a ranking that are kept for pictures


@dataclass(frozen=True, slots=True)
class Labels:
    """Identities and cameras of queries (queries,) and gallery (gallery,)."""

    query_ids: Ints
    query_cameras: Ints
    ids: Ints
    cameras: Ints

    def of(self, rows: slice) -> tuple[Ints, Ints, Ints, Ints]:
        """Those of a block of queries, in the order that `score` takes them."""
        return self.query_ids[rows], self.query_cameras[rows], self.ids, self.cameras


@dataclass(frozen=True, slots=True)
class OpenSet:
    """Identification at one FPIR, over several galleries of the same size drawn at random."""

    fpir: float
    tpir: float  # the mean
    least: float  # of the galleries
    most: float
    distance: float  # mean of those below which a candidate is accepted
    gallery: int  # identities enrolled
    strangers: int  # identities who are not

    @property
    def firm(self) -> bool:
        """Whether there are strangers enough for this FPIR."""
        return self.fpir * self.strangers >= LEAST


@dataclass(frozen=True, slots=True)
class Assessment:
    """Every figure of one ranking."""

    scores: Scores
    rankings: Rankings
    between: dict[tuple[int, int], Scores]  # by camera of query and gallery
    roc: list[Point]  # at CURVE
    at_fpr: list[Point]  # at FPRS
    open_set: list[OpenSet]  # at FPIRS; empty where nobody can be left out
    ranked: NDArray[np.int64]  # (queries, ≤ SHOWN) gallery positions, the nearest first; −1 where no more count


def assess(blocks: Iterable[Distances], labels: Labels, enrolled: int | None = None, seed: int = 0) -> Assessment:
    """All figures from blocks of consecutive queries (rows, gallery), smaller is closer.

    `enrolled` is the gallery size in identities for open-set identification, half of them if None; who is enrolled is
    drawn from the seed. Raises Refused where no query has a positive, a distance is NaN, or so many cannot be enrolled.
    """
    identities, galleries = choose_galleries(labels, enrolled, seed)
    parts: list[Rankings] = []
    between: dict[tuple[int, int], list[Rankings]] = {}
    pairs = Pairs(labels.query_ids, labels.ids)
    searches: list[list[Searches]] = [[] for _ in galleries]
    ranked, start = [], 0
    for distances in blocks:
        block = labels.of(slice(start, start := start + len(distances)))
        parts.append(rank(distances, *block))
        pairs.add(distances, *block)
        ranked.append(first_counted(distances, *block))
        for cameras, rankings in rank_between(distances, *block).items():
            between.setdefault(cameras, []).append(rankings)
        if galleries:
            near, _ = nearest_by_identity(distances, *block)
            for found, who in zip(searches, galleries, strict=True):
                found.append(search(near, identities, block[0], who))
    rankings = join(parts)
    joined = {cameras: join(some) for cameras, some in sorted(between.items())}
    return Assessment(
        scores=summarise(rankings, len(labels.ids)),
        rankings=rankings,
        between={cameras: summarise(one, len(labels.ids)) for cameras, one in joined.items() if one.counted.any()},
        roc=pairs.roc(CURVE),
        at_fpr=pairs.roc(FPRS),
        open_set=identify_strangers([join_searches(found) for found in searches], identities, galleries),
        ranked=np.concatenate(ranked),
    )


def first_counted(
    distances: Distances, query_ids: Ints, query_cameras: Ints, ids: Ints, cameras: Ints
) -> NDArray[np.int64]:
    """The first SHOWN of the gallery that the protocol does not ignore (rows, ≤ SHOWN), −1 where there are fewer."""
    ignored = (ids == JUNK) | ((query_ids[:, None] == ids) & (query_cameras[:, None] == cameras))
    counted = np.where(ignored, np.inf, distances)
    places = nearest(counted, SHOWN)
    return np.where(np.isfinite(np.take_along_axis(counted, places, axis=1)), places, -1)


def choose_galleries(labels: Labels, enrolled: int | None, seed: int) -> tuple[NDArray[np.int64], list[Mask]]:
    """Galleries to identify people in; none where fewer than two people can be enrolled and none were asked for."""
    able = len(np.intersect1d(labels.query_ids, labels.ids))
    if enrolled is None and able < 2:
        return np.empty(0, np.int64), []
    size = able // 2 if enrolled is None else enrolled
    if not 1 <= size < len(np.unique(labels.query_ids)) or size > able:
        raise Refused(
            f"a gallery of {size} identities cannot be drawn: {able} people are in queries and gallery, and some must "
            f"be left as strangers; give --enrolled from 1 to {max(1, able - 1)}, or evaluate on more people"
        )
    return draw_galleries(labels.query_ids, labels.ids, size, GALLERIES, seed)


def identify_strangers(searches: list[Searches], identities: Ints, galleries: list[Mask]) -> list[OpenSet]:
    """Open-set identification at each of FPIRS, over all galleries."""
    if not searches:
        return []
    open_set = []
    for fpir in FPIRS:
        found: list[Identification] = []
        for one, enrolled in zip(searches, galleries, strict=True):
            strangers = ~np.isin(one.identity, identities[enrolled])
            found.append(identify(one, strangers, int(enrolled.sum()), fpir))
        rates = np.array([one.tpir for one in found])
        distance = float(np.mean([one.distance for one in found]))
        sizes = found[0].gallery, min(one.strangers for one in found)
        open_set.append(OpenSet(fpir, float(rates.mean()), float(rates.min()), float(rates.max()), distance, *sizes))
    return open_set


def to_json(assessment: Assessment) -> dict[str, Any]:
    """Every figure as a JSON object; what cannot be told is null. Thresholds are similarities, 1 − distance."""
    scores = assessment.scores
    return {
        "mean_ap": scores.mean_ap,
        "mean_ap_trapezoid": scores.mean_ap_trapezoid,
        "mean_inp": scores.mean_inp,
        "cmc": {str(k): scores.rank(k) for k in RANKS},
        "queries": scores.queries,
        "without_positive": scores.without_positive,
        "tpr_at_fpr": [point_to_json(point) for point in assessment.at_fpr],
        "roc": [point_to_json(point) for point in assessment.roc],
        "open_set": [
            {
                "fpir": one.fpir,
                "tpir": known(one.tpir),
                "tpir_least": known(one.least),
                "tpir_most": known(one.most),
                "threshold": known(1 - one.distance),
                "gallery_identities": one.gallery,
                "strangers": one.strangers,
                "enough_strangers": one.firm,
            }
            for one in assessment.open_set
        ],
        "camera_pairs": [
            {"query_camera": a, "gallery_camera": b, "mean_ap": s.mean_ap, "rank_1": s.rank(1), "queries": s.queries}
            for (a, b), s in assessment.between.items()
        ],
    }


def point_to_json(point: Point) -> dict[str, float | None]:
    """A point of the ROC."""
    return {"fpr": point.false_positive, "tpr": known(point.true_positive), "threshold": known(1 - point.distance)}


def known(figure: float) -> float | None:
    """A figure as JSON can hold it."""
    return figure if math.isfinite(figure) else None
