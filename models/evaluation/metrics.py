"""Figures by the protocol of Market-1501 (Zheng et al., ICCV 2015): pure functions of distances and labels.

They know neither pictures nor networks. `score` takes all distances at once; for more than fit in memory, `rank` each
block of queries, `join` the parts and `summarise` them.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.errors import Refused

Ints = NDArray[np.integer[Any]]
Doubles = NDArray[np.float64]
Distances = NDArray[np.floating[Any]]
Mask = NDArray[np.bool_]

JUNK = -1  # gallery identity of crops that are removed before ranking; 0 is a distractor, which stays as a negative


@dataclass(frozen=True, slots=True)
class Scores:
    """Figures over the counted queries, those that have a positive left."""

    mean_ap: float  # AP as the mean of precision at each positive
    mean_ap_trapezoid: float  # AP as the official MATLAB code computes it
    mean_inp: float  # mINP (Ye et al., TPAMI 2021): positives over the rank of the last one
    cmc: Doubles  # (gallery,), cmc[k - 1] is rank-k
    queries: int
    without_positive: int

    def rank(self, k: int) -> float:
        """Share of queries with a positive among the first k; a gallery smaller than k is taken whole."""
        return float(self.cmc[min(k, len(self.cmc)) - 1])


@dataclass(frozen=True, slots=True)
class Rankings:
    """Each query's own figures, in order, all (queries,); NaN and a first rank of 0 where no positive is left."""

    ap: Doubles
    ap_trapezoid: Doubles
    inp: Doubles
    first: NDArray[np.int64]  # rank of the nearest positive, from 1

    @property
    def counted(self) -> Mask:
        """Which queries have a positive, (queries,)."""
        return self.first > 0


@dataclass(frozen=True, slots=True)
class Classification:
    """How well an identity classifier names identities; precision, recall and F1 are means over identities (macro)."""

    accuracy: float
    precision: float
    recall: float
    f1: float


def score(distances: Distances, query_ids: Ints, query_cameras: Ints, ids: Ints, cameras: Ints) -> Scores:
    """Rank the gallery for each query and sum up.

    distances (queries, gallery), smaller is closer, ties broken by gallery position; labels (queries,) and (gallery,).
    For each query, gallery crops of its identity on its camera are ignored.
    Raises Refused if no query has a positive, or a distance is NaN.

    The first query finds its one positive at rank 1. The second has its positive at rank 2: the nearest crop is of its
    own camera and ignored, then comes a stranger. AP and INP are 1 and 1/2.

    >>> near = np.array([[0.1, 0.2, 0.3, 0.4], [0.4, 0.2, 0.3, 0.1]])
    >>> s = score(near, np.array([1, 2]), np.array([1, 1]), np.array([1, 3, 2, 2]), np.array([2, 2, 3, 1]))
    >>> s.queries, s.mean_ap, s.mean_inp, s.rank(1), s.rank(2), s.rank(50)
    (2, 0.75, 0.75, 0.5, 1.0, 1.0)
    """
    return summarise(rank(distances, query_ids, query_cameras, ids, cameras), len(ids))


def rank(distances: Distances, query_ids: Ints, query_cameras: Ints, ids: Ints, cameras: Ints) -> Rankings:
    """Each query's figures; arguments as for `score`. Raises Refused if a distance is NaN."""
    if np.isnan(distances).any():
        raise Refused("a distance is NaN; the model gives vectors that are not finite, so train or export it again")
    junk = ids == JUNK
    found = [
        positive_ranks(row, (ids == identity), (cameras == camera), junk)
        for row, identity, camera in zip(distances, query_ids, query_cameras, strict=True)
    ]
    return Rankings(
        ap=np.array([average_precision(ranks) if len(ranks) else np.nan for ranks in found], np.float64),
        ap_trapezoid=np.array(
            [average_precision_trapezoid(ranks) if len(ranks) else np.nan for ranks in found], np.float64
        ),
        inp=np.array([len(ranks) / ranks[-1] if len(ranks) else np.nan for ranks in found], np.float64),
        first=np.array([ranks[0] if len(ranks) else 0 for ranks in found], np.int64),
    )


def join(parts: Sequence[Rankings]) -> Rankings:
    """The rankings of consecutive blocks of queries, in order."""
    return Rankings(
        np.concatenate([part.ap for part in parts]),
        np.concatenate([part.ap_trapezoid for part in parts]),
        np.concatenate([part.inp for part in parts]),
        np.concatenate([part.first for part in parts]),
    )


def summarise(rankings: Rankings, gallery: int) -> Scores:
    """Means over the queries that have a positive, in a gallery of so many crops. Raises Refused if none has."""
    counted = rankings.counted
    if not counted.any():
        raise Refused(
            "no query has a positive in the gallery on another camera; check the identities and cameras, "
            "since a set with one camera only has nothing to find"
        )
    return Scores(
        mean_ap=float(rankings.ap[counted].mean()),
        mean_ap_trapezoid=float(rankings.ap_trapezoid[counted].mean()),
        mean_inp=float(rankings.inp[counted].mean()),
        cmc=np.cumsum(np.bincount(rankings.first[counted] - 1, minlength=gallery)) / counted.sum(),
        queries=int(counted.sum()),
        without_positive=int((~counted).sum()),
    )


def positive_ranks(distances: Distances, same_identity: Mask, same_camera: Mask, junk: Mask) -> NDArray[np.int64]:
    """Ranks, from 1, of one query's positives among the gallery crops that count, ascending; all arguments (gallery,).

    Only crops up to the farthest positive are sorted.
    The nearest is a positive, then one on the same camera that is ignored, a stranger, and again a positive:

    >>> near, camera = np.array([0.1, 0.2, 0.3, 0.4]), np.array([False, True, False, False])
    >>> positive_ranks(near, np.array([True, True, False, True]), camera, np.array([False] * 4)).tolist()
    [1, 3]
    """
    counts = ~(junk | (same_identity & same_camera))
    kept, positives = distances[counts], np.flatnonzero(same_identity[counts])
    if not len(positives):
        return positives
    mine = kept[positives]
    ahead = np.sort(kept[kept <= mine.max()])  # a plain sort is five times as fast as a stable argsort
    nearer, up_to = np.searchsorted(ahead, mine, "left"), np.searchsorted(ahead, mine, "right")
    for k in np.flatnonzero(up_to - nearer > 1):  # ties are rare, and looking for them is slow
        nearer[k] += np.count_nonzero(kept[: positives[k]] == mine[k])
    return np.sort(nearer + 1)


def average_precision(ranks: NDArray[np.int64]) -> float:
    """Mean of the precision at each positive.

    >>> round(average_precision(np.array([1, 3])), 4)
    0.8333
    """
    return float(np.mean(np.arange(1, len(ranks) + 1) / ranks))


def average_precision_trapezoid(ranks: NDArray[np.int64]) -> float:
    """Mean over positives of the precision there and just before, taken as 1 before the first place.

    >>> round(average_precision_trapezoid(np.array([1, 3])), 4)
    0.7917
    """
    hits = np.arange(1, len(ranks) + 1)
    before = np.where(ranks > 1, (hits - 1) / np.maximum(ranks - 1, 1), 1.0)
    return float(np.mean((hits / ranks + before) / 2))


def rank_between(
    distances: Distances, query_ids: Ints, query_cameras: Ints, ids: Ints, cameras: Ints
) -> dict[tuple[int, int], Rankings]:
    """Rankings by pair of cameras, the query's and the gallery's: as if the gallery were of that one camera.

    Arguments as for `score`. A pair of a camera with itself has nothing to find and is left out.
    """
    pairs = {}
    for there in np.unique(cameras):
        columns = cameras == there
        part, part_ids, part_cameras = distances[:, columns], ids[columns], cameras[columns]
        for here in np.unique(query_cameras[query_cameras != there]):
            rows = query_cameras == here
            ranked = rank(part[rows], query_ids[rows], query_cameras[rows], part_ids, part_cameras)
            pairs[int(here), int(there)] = ranked
    return pairs


def classify(named: Ints, labels: Ints) -> Classification:
    """Judge what an identity classifier named (n,), its largest logit, by the right labels (n,).

    Means are over the identities that occur in the labels; one that is never named has precision 0.
    Identity 0 is named right once and once as 1; identity 1 is named right:

    >>> c = classify(np.array([0, 1, 1]), np.array([0, 0, 1]))
    >>> [round(figure, 4) for figure in (c.accuracy, c.precision, c.recall, c.f1)]
    [0.6667, 0.75, 0.75, 0.6667]
    """
    if not len(labels):
        raise Refused("there is no picture to classify; check that the training part of the data is not empty")
    count = int(max(named.max(), labels.max())) + 1
    right = np.bincount(labels[named == labels], minlength=count)
    said, there = np.bincount(named, minlength=count), np.bincount(labels, minlength=count)
    present = there > 0
    precision, recall = right / np.maximum(said, 1), right / np.maximum(there, 1)
    f1 = 2 * right / np.maximum(said + there, 1)  # 2PR / (P + R), which has no hole where both are 0
    return Classification(
        accuracy=float((named == labels).mean()),
        precision=float(precision[present].mean()),
        recall=float(recall[present].mean()),
        f1=float(f1[present].mean()),
    )
