"""From a similarity to a decision. Which thresholds are in force is decided here and nowhere else."""

from enum import StrEnum

from service.domain import Collection, Thresholds


class Decision(StrEnum):
    """What a similarity means under the thresholds in force."""

    MATCH = "match"
    POSSIBLE = "possible"
    UNKNOWN = "unknown"


def thresholds_in_force(requested: float | None, collection: Collection, model: Thresholds) -> Thresholds:
    """The request's threshold, else the collection's, else the model's; `possible` never above `match`."""
    match = model.match if collection.match_threshold is None else collection.match_threshold
    possible = model.possible if collection.possible_threshold is None else collection.possible_threshold
    if requested is not None:
        match = requested
    return Thresholds(match=match, possible=min(possible, match))


def decide(similarity: float | None, thresholds: Thresholds) -> Decision:
    """match at or above the upper threshold, possible between the two, else unknown; None is nobody at all."""
    if similarity is None or not similarity >= thresholds.possible:  # nor does NaN reach any threshold
        return Decision.UNKNOWN
    return Decision.MATCH if similarity >= thresholds.match else Decision.POSSIBLE
