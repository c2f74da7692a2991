"""A manifest's thresholds are those made for its gallery size, at FPIRs that the strangers can tell."""

import pytest

from models.errors import Refused
from models.evaluation.thresholds import Threshold
from models.exporting.rendered import choose


def made(gallery: int, fpir: float, similarity: float) -> Threshold:
    return Threshold(gallery, fpir, similarity, similarity, similarity, 0.5, 0.4, 0.6, 10_000, 9_000)


TABLE = [
    made(gallery, fpir, round(0.9 - fpir + gallery / 100_000, 4))
    for gallery in (100, 1_000)
    for fpir in (0.001, 0.01, 0.1)
]


def test_one_percent_is_a_match_and_ten_percent_possible_for_the_gallery_asked_for() -> None:
    chosen = choose(TABLE, 1_000)
    assert (chosen.match, chosen.possible) == (0.9, 0.81)
    assert (chosen.fpir_match, chosen.fpir_possible, chosen.gallery, chosen.identities) == (0.01, 0.1, 1_000, 9_000)
    assert "10000 rendered people" in chosen.made_from
    assert choose(TABLE, 100).match == 0.891


def test_where_strangers_are_few_the_least_that_they_can_tell_is_taken_and_stated() -> None:
    chosen = choose([made(100, 0.2, 0.6), made(100, 0.1, 0.7)], 100)
    assert (chosen.match, chosen.fpir_match, chosen.possible, chosen.fpir_possible) == (0.7, 0.1, 0.6, 0.2)


@pytest.mark.parametrize(("table", "gallery"), [(TABLE, 500), (TABLE[:2], 100), ([], 100)])
def test_thresholds_that_were_not_made_are_refused_with_the_command_that_makes_them(
    table: list[Threshold], gallery: int
) -> None:
    with pytest.raises(Refused, match=f"thresholds --gallery {gallery} --fpir 0.01 --fpir 0.1"):
        choose(table, gallery)


def test_a_threshold_is_never_rounded_down_and_none_above_1_is_stated() -> None:
    chosen = choose([made(100, 0.01, 0.70004), made(100, 0.1, 0.60001)], 100)
    assert (chosen.match, chosen.possible) == (0.7001, 0.6001)
    with pytest.raises(Refused, match="have the vectors of somebody enrolled"):
        choose([made(100, 0.01, 1.0001), made(100, 0.1, 1.0)], 100)
