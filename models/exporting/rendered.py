"""The two thresholds of a manifest from rendered people, where no pictures of real ones are given."""

from collections.abc import Sequence

from models.errors import Refused
from models.evaluation.exam import style_of
from models.evaluation.features import Model
from models.evaluation.open_set import LEAST, round_up
from models.evaluation.thresholds import Threshold, draw_crowd, make_thresholds
from models.exporting.acceptance import FPIR_MATCH, FPIR_POSSIBLE, check_told_apart
from service.embedding.manifest import Thresholds

STYLE = "street"


def render(model: Model, people: int, workers: int) -> Thresholds:
    """Thresholds for a gallery of so many rendered people, from as many strangers."""
    crowd = draw_crowd(model, style_of(STYLE), people, workers)
    return choose(make_thresholds(crowd, [people], fpirs_for(people)), people)


def fpirs_for(strangers: int) -> list[float]:
    """The shares of strangers that `match` and `possible` let through.

    With fewer than 1,000 strangers a FPIR of 1 % cannot be told: then the least that can be is taken, and stated.

    >>> fpirs_for(10_000), fpirs_for(100)
    ([0.01, 0.1], [0.1, 0.2])
    """
    match = max(FPIR_MATCH, LEAST / strangers)
    return [match, max(FPIR_POSSIBLE, 2 * match)]


def choose(found: Sequence[Threshold], gallery: int) -> Thresholds:
    """Those of one gallery size, at the least FPIR from 1 % on and from 10 % on. Raises Refused where there is none."""
    mine = sorted((one for one in found if one.gallery == gallery), key=lambda one: one.fpir)
    match = next((one for one in mine if one.fpir >= FPIR_MATCH), None)
    possible = next(
        (one for one in mine if match and one.fpir >= max(FPIR_POSSIBLE, match.fpir) and one != match), None
    )
    if match is None or possible is None:
        raise Refused(
            f"there are no thresholds for a gallery of {gallery} at an FPIR of {FPIR_MATCH:g} and {FPIR_POSSIBLE:g}; "
            f"make them with `thresholds --gallery {gallery} --fpir {FPIR_MATCH:g} --fpir {FPIR_POSSIBLE:g}`"
        )
    check_told_apart(match.similarity, match.fpir)
    return Thresholds(
        match=round_up(match.similarity),
        possible=round_up(possible.similarity),
        identities=match.strangers,
        gallery=gallery,
        fpir_match=match.fpir,
        fpir_possible=possible.fpir,
        made_from=f"{match.enrolled} rendered people and as many rendered strangers, each searched for once",
    )
