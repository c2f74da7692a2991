"""Figures for decisions, not rankings: the ROC over pairs, and open-set identification, where the person searched for
may be a stranger (Grother et al., NIST IR 8271). Pure functions of distances and labels; smaller is closer."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil

import numpy as np
from numpy.typing import NDArray

from models.evaluation.metrics import JUNK, Distances, Ints, Mask

LARGEST_FPR = 0.01  # the ROC is exact up to here; more would keep every pair in memory
LEAST = 10  # negatives above a threshold, below which its rate is a guess (facts of calibration: off by up to ×16)
SLACK = 1.3  # times as many distances as are kept may wait before they are sifted


@dataclass(frozen=True, slots=True)
class Point:
    """A point of a curve: the share of wrong acceptances asked for, the share of right ones there, and the distance
    below which something is accepted. NaN where there are too few negatives to tell."""

    false_positive: float
    true_positive: float
    distance: float


def accept(negatives: Distances, count: int, rate: float) -> float:
    """The distance below which at most the share `rate` of `count` negatives lie; `negatives` has the nearest of them,
    ascending, more than rate · count. NaN where that share is less than one negative.

    >>> accept(np.array([0.1, 0.2, 0.3]), 10, 0.2), accept(np.array([0.1]), 3, 0.2)
    (0.3, nan)
    """
    allowed = int(rate * count + 1e-9)  # 0.07 · 100 is 7.000000000000001, and 0.29 · 100 is 28.999999999999996
    if not allowed:
        return float("nan")
    return float(negatives[allowed]) if allowed < len(negatives) else float("inf")


def set_threshold(strangers: Distances, fpir: float) -> float:
    """The smallest similarity, in steps of 0.0001, that at most the share `fpir` of strangers reach; strangers (n,)
    ascending, each the distance of one stranger's nearest candidate. Above 1 where even equal vectors are too many.

    >>> set_threshold(np.array([0.27, 0.4, 0.5, 0.6]), 0.25), set_threshold(np.array([0.0, 0.0, 0.5, 0.6]), 0.25)
    (0.6001, 1.0001)
    """
    return just_above(1 - accept(strangers, len(strangers), fpir))


def just_above(similarity: float) -> float:
    """The next multiple of 0.0001: who is as alike as this does not reach it.

    >>> just_above(0.73), just_above(0.73001)
    (0.7301, 0.7301)
    """
    rounded = round_up(similarity)
    return rounded if rounded > similarity else round(rounded + 1e-4, 4)


def round_up(similarity: float) -> float:
    """To four digits, never down, which would let more strangers pass.

    >>> round_up(0.73), round_up(0.73001)
    (0.73, 0.7301)
    """
    return round(ceil(round(similarity * 1e4, 6)) / 1e4, 4)


class Pairs:
    """Collects the distances of all pairs of query and gallery crop, block by block, for the ROC.

    Junk and pairs of one identity on one camera are left out. Only the nearest LARGEST_FPR of the negatives are kept:
    their number is known from the labels beforehand.
    """

    def __init__(self, query_ids: Ints, ids: Ints) -> None:
        """All labels that blocks will come with, (queries,) and (gallery,)."""
        kept = ids[ids != JUNK]
        values, counts = np.unique(kept, return_counts=True)
        place = np.minimum(np.searchsorted(values, query_ids), max(0, len(values) - 1))
        own = np.where(values[place] == query_ids, counts[place], 0) if len(values) else np.zeros(len(query_ids))
        self.negatives = int((len(kept) - own).sum())
        self.keep = int(LARGEST_FPR * self.negatives) + 1
        self.near: list[Distances] = []
        self.waiting = 0
        self.bound = np.inf
        self.positive: list[Distances] = []

    def add(self, distances: Distances, query_ids: Ints, query_cameras: Ints, ids: Ints, cameras: Ints) -> None:
        """A block of queries: distances (rows, gallery), labels (rows,) and (gallery,)."""
        same, counts = query_ids[:, None] == ids[None, :], (ids != JUNK)[None, :]
        own_camera = query_cameras[:, None] == cameras[None, :]
        self.positive.append(distances[same & ~own_camera & counts])
        near = distances[~same & counts & (distances <= self.bound)]
        self.near.append(near)
        self.waiting += len(near)
        if self.waiting > SLACK * self.keep:
            self._trim()

    def roc(self, rates: Sequence[float]) -> list[Point]:
        """The share of positive pairs accepted (TPR) at each false-positive rate, up to LARGEST_FPR."""
        self._trim()
        negatives = np.sort(self.near[0])
        positives = np.sort(np.concatenate(self.positive))
        points = []
        for rate in rates:
            if rate > LARGEST_FPR:
                raise ValueError(f"the ROC is kept up to a false-positive rate of {LARGEST_FPR}, not {rate}")
            bound = accept(negatives, self.negatives, rate)
            known = len(positives) and not np.isnan(bound)
            share = np.searchsorted(positives, bound) / len(positives) if known else float("nan")
            points.append(Point(rate, float(share), bound))
        return points

    def _trim(self) -> None:
        near = np.concatenate(self.near) if self.near else np.empty(0)
        self.near = []
        if len(near) > self.keep:
            near.partition(self.keep - 1)
            self.bound = float(near[self.keep - 1])
            near = near[: self.keep].copy()  # a view would keep the rest
        self.near, self.waiting = [near], len(near)


@dataclass(frozen=True, slots=True)
class Searches:
    """What queries found in a gallery of enrolled identities, all (queries,)."""

    identity: Ints  # whose query it is
    own: Distances  # distance of the nearest crop of the query's identity; infinite for a stranger
    other: Distances  # of the nearest crop of anyone else

    @property
    def mated(self) -> Mask:
        """Queries of enrolled people, (queries,)."""
        return np.isfinite(self.own)


@dataclass(frozen=True, slots=True)
class Identification:
    """Open-set identification at one FPIR."""

    fpir: float  # share of strangers' searches whose nearest candidate is accepted
    tpir: float  # share of searches of enrolled people who are accepted, and nearest of all (rank 1)
    distance: float  # below which a candidate is accepted
    gallery: int  # identities enrolled
    strangers: int  # identities who are not
    mated: int  # searches of enrolled people


def nearest_by_identity(
    distances: Distances, query_ids: Ints, query_cameras: Ints, ids: Ints, cameras: Ints
) -> tuple[Distances, Ints]:
    """The nearest crop of each identity: distances (rows, identities), and the identities, ascending.

    Junk is left out, and for each query its own identity on its own camera; infinite where nothing is left.
    """
    order = np.argsort(ids, kind="stable")
    order = order[ids[order] != JUNK]
    identities, starts = np.unique(ids[order], return_index=True)
    if not len(identities):
        return np.empty((len(distances), 0)), identities
    ignored = (query_ids[:, None] == ids[order]) & (query_cameras[:, None] == cameras[order])
    return np.minimum.reduceat(np.where(ignored, np.inf, distances[:, order]), starts, axis=1), identities


def search(nearest: Distances, identities: Ints, query_ids: Ints, enrolled: Mask) -> Searches:
    """Searches in a gallery of some of the identities, from what `nearest_by_identity` gave.

    nearest (rows, identities), enrolled (identities,).
    """
    own = (query_ids[:, None] == identities) & enrolled
    other = np.where(enrolled & ~own, nearest, np.inf).min(axis=1, initial=np.inf)
    return Searches(query_ids, np.where(own, nearest, np.inf).min(axis=1, initial=np.inf), other)


def join(parts: Sequence[Searches]) -> Searches:
    """Searches of consecutive blocks of queries in one gallery."""
    return Searches(
        np.concatenate([part.identity for part in parts]),
        np.concatenate([part.own for part in parts]),
        np.concatenate([part.other for part in parts]),
    )


def identify(searches: Searches, strangers: Mask, gallery: int, fpir: float) -> Identification:
    """TPIR at an FPIR in a gallery of so many identities. `strangers` (queries,) tells whose searches have no mate;
    an enrolled person without a crop on another camera is neither. A share of less than one search gives NaN."""
    wrong = np.sort(searches.other[strangers])
    bound = accept(wrong, len(wrong), fpir)
    mates = searches.mated & ~strangers
    found = (searches.own[mates] < bound) & (searches.own[mates] < searches.other[mates])
    return Identification(
        fpir=fpir,
        tpir=float(found.mean()) if mates.any() and not np.isnan(bound) else float("nan"),
        distance=bound,
        gallery=gallery,
        strangers=len(np.unique(searches.identity[strangers])),
        mated=int(mates.sum()),
    )


def draw_galleries(
    query_ids: Ints, ids: Ints, size: int, count: int, seed: int
) -> tuple[NDArray[np.int64], list[Mask]]:
    """`count` galleries of `size` identities, each drawn at random from those that occur both in queries and gallery.

    Returns all identities of the gallery, ascending, and each gallery as a mask of them. Distractors are never
    enrolled, because nobody asks for them.
    """
    identities = np.unique(ids[ids != JUNK]).astype(np.int64)
    asked = np.flatnonzero(np.isin(identities, query_ids))
    rng = np.random.default_rng(seed)
    galleries = []
    for _ in range(count):
        enrolled = np.zeros(len(identities), bool)
        enrolled[rng.choice(asked, size, replace=False)] = True
        galleries.append(enrolled)
    return identities, galleries
