"""Whether a network is good enough: retrieval figures on a picture set, and the thresholds that its vectors need.

It needs no torch and does not know where vectors come from.
"""

from math import comb
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from models.errors import Refused
from models.evaluation.distances import cosine_blocks
from models.evaluation.evaluate import Describe
from models.evaluation.exam import Exam
from models.evaluation.metrics import JUNK, Rankings, Scores, join, rank, summarise
from models.evaluation.open_set import LEAST, just_above, round_up, set_threshold
from service.embedding.manifest import Acceptance, Thresholds

Vectors = NDArray[np.float32]

BLOCK = 64  # pictures in memory at once
FPIR_MATCH, FPIR_POSSIBLE = 0.01, 0.1  # of strangers
CONFIDENCE = 0.95
MOST_STRANGERS = 5000  # their similarities to each other are one matrix


def check_enough(exam: Exam, source: Path) -> None:
    """Raises Refused when fewer than two people are on two cameras."""
    if len(exam.pairs()) < 2:
        raise Refused(
            f"{source}: {len(exam.pairs())} identity has pictures from two cameras; a retrieval figure needs at least "
            "2 such identities, and is worth something from about 50"
        )


def embed(describe: Describe, exam: Exam, what: str) -> Vectors:
    """The vectors (pictures, dim) of an exam, in the order of its pictures, with a progress bar."""
    count = len(exam.images)
    bar = tqdm(range(0, count, BLOCK), desc=what, unit="block", disable=None)
    return np.concatenate([describe([exam.images[k] for k in range(at, min(at + BLOCK, count))]) for at in bar])


def examine(exam: Exam, vectors: Vectors) -> Scores:
    """Figures by cosine and the Market rule, from the vectors of an exam's pictures."""
    return summarise(rank_all(exam, vectors), len(exam.gallery))


def precisions(exam: Exam, vectors: Vectors) -> NDArray[np.float64]:
    """The average precision of each query that has somebody to find, to compare networks query by query."""
    found = rank_all(exam, vectors)
    return found.ap[found.counted]


def rank_all(exam: Exam, vectors: Vectors) -> Rankings:
    """Each query's figures, a block of distances at a time."""
    parts, start = list[Rankings](), 0
    for distances in cosine_blocks(vectors[exam.queries], vectors[exam.gallery]):
        parts.append(rank(distances, *exam.labels.of(slice(start, start := start + len(distances)))))
    return join(parts)


def is_above_chance(gains: NDArray[np.float64]) -> bool:
    """Whether the mean of gains (queries,) is above 0 by more than twice its standard error."""
    return bool(gains.mean() > 2 * gains.std() / np.sqrt(len(gains)))


def guess(exam: Exam) -> NDArray[np.float64]:
    """The average precision (queries,) that a ranking drawn at random has in the mean (Bestgen, ACL 2015); NaN where
    there is nobody to find."""
    labels, found = exam.labels, []
    for identity, camera in zip(labels.query_ids, labels.query_cameras, strict=True):
        same, near = labels.ids == identity, labels.cameras == camera
        right, count = int((same & ~near).sum()), int((~(same & near) & (labels.ids != JUNK)).sum())
        harmonic = float((1 / np.arange(1, count + 1)).sum())
        share = (right - 1) / max(1, count - 1)
        found.append((share * (count - harmonic) + harmonic) / count if right else np.nan)
    return np.array(found, np.float64)


def accept(exam: Exam, mine: Rankings, colours: Rankings, at_least: float) -> Acceptance:
    """The figures as a manifest has them, of a network's rankings beside those of a histogram of colours.

    Raises Refused below the mAP asked for, and where it is not above that of the histogram and of chance by more than
    two standard errors.
    """
    scores, counted = summarise(mine, len(exam.gallery)), mine.counted
    found = f"mAP {scores.mean_ap:.3f}, rank-1 {scores.rank(1):.3f} on {exam.name} ({scores.queries} queries)"
    if scores.mean_ap < at_least:
        raise Refused(f"{found}; mAP {at_least:.3f} is asked for with --at-least")
    for what, theirs in (("a histogram of colours", colours.ap), ("a ranking at random", guess(exam))):
        if not is_above_chance(mine.ap[counted] - theirs[counted]):
            raise Refused(
                f"{found}; {what} has mAP {theirs[counted].mean():.3f}, which is no less but by chance, so this "
                "network is of no use here: check the settings, or that the file is trained at all, or give more people"
            )
    return accepted(exam, scores)


def accepted(exam: Exam, scores: Scores) -> Acceptance:
    """The figures as a manifest has them."""
    rounded = round(scores.mean_ap, 4), round(scores.rank(1), 4)
    return Acceptance(set=exam.name, queries=scores.queries, mean_ap=rounded[0], rank_1=rounded[1])


def measure_thresholds(exam: Exam, vectors: Vectors) -> Thresholds:
    """Both thresholds, from each identity's picture of one camera as a stranger to all others' of another camera
    (open-set identification: Grother et al., NIST IR 8271). `made_from` says it where there are too few."""
    pairs = exam.pairs()[:MOST_STRANGERS]
    query, gallery = (vectors[[pair[side] for pair in pairs]] for side in (0, 1))
    similarity = query @ gallery.T
    np.fill_diagonal(similarity, -1)
    strangers = np.sort(similarity.max(axis=1))
    match, match_is = threshold(strangers, FPIR_MATCH)
    possible, possible_is = threshold(strangers, FPIR_POSSIBLE)
    return Thresholds(
        match=match,
        possible=min(match, possible),
        identities=len(pairs),
        gallery=len(pairs) - 1,
        fpir_match=FPIR_MATCH,
        fpir_possible=FPIR_POSSIBLE,
        made_from=f"{len(pairs)} identities of {exam.name}, each once a stranger; match {match_is}; "
        f"possible {possible_is}",
    )


def threshold(strangers: NDArray[np.floating], fpir: float) -> tuple[float, str]:
    """The smallest similarity that at most this share of strangers reach, and what it rests on.

    strangers (n,) ascending, each the similarity of one stranger's best candidate. With too few for the share to be
    measured it is the upper 95 % bound of the quantile (order statistics; Conover, Practical Nonparametric Statistics),
    and with too few for even that, halfway between the most alike stranger and 1. Raises Refused where so many are the
    equal of somebody that no similarity keeps them out.

    >>> threshold(np.linspace(0, 0.999, 1000), 0.01)
    (0.9891, 'is measured')
    >>> threshold(np.array([0.1, 0.2, 0.5]), 0.01)
    (0.75, 'is a cautious guess: for a FPIR of 0.01 they are too few by far')
    """
    count = len(strangers)
    if count * fpir >= LEAST:
        measured = set_threshold(1 - strangers[::-1].astype(np.float64), fpir)
        check_told_apart(measured, fpir)
        return measured, "is measured"
    below = 0.0
    for k in range(count):  # the share of samples in which at most k strangers lie below the quantile
        below += comb(count, k) * (1 - fpir) ** k * fpir ** (count - k)
        if below >= CONFIDENCE:
            bound = min(1.0, just_above(float(strangers[k])))
            return bound, f"is an upper bound: for a FPIR of {fpir:g} they are too few"
    guess = min(1.0, round_up((float(strangers[-1]) + 1) / 2))
    return guess, f"is a cautious guess: for a FPIR of {fpir:g} they are too few by far"


def check_told_apart(match: float, fpir: float) -> None:
    """Raises Refused for a threshold above 1, which nobody reaches."""
    if match > 1:
        raise Refused(f"more than {fpir:.1%} of strangers have the vectors of somebody enrolled; train it first")
