"""From crops to candidates, worked by hand."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from service.matching.grouping import Group, Hit, group, hits_of, order

OWNERS = {1: 10, 2: 10, 3: 20, 4: 30, 5: 20}


def owners_of(hits: list[Hit]) -> list[int | None]:
    return [OWNERS.get(hit.crop) for hit in hits]


def test_hits_leave_out_padding() -> None:
    found = hits_of(np.array([0.9, 0.7, -np.inf], np.float32), np.array([4, 1, -1]))
    assert found == [Hit(4, float(np.float32(0.9))), Hit(1, float(np.float32(0.7)))]


def test_each_identity_comes_once_with_its_hits_best_first() -> None:
    hits = [Hit(3, 0.9), Hit(1, 0.8), Hit(5, 0.7), Hit(2, 0.6)]
    found = group(hits, owners_of(hits))
    assert found == [
        Group(20, (Hit(3, 0.9), Hit(5, 0.7))),
        Group(10, (Hit(1, 0.8), Hit(2, 0.6))),
    ]
    assert found[1].similarity == 0.8


def test_a_hit_whose_owner_is_gone_is_dropped() -> None:
    hits = [Hit(99, 0.9), Hit(4, 0.1)]
    assert group(hits, owners_of(hits)) == [Group(30, (Hit(4, 0.1),))]


def test_equal_similarities_are_ordered_by_the_lower_crop() -> None:
    groups = [Group(30, (Hit(4, 0.5),)), Group(10, (Hit(1, 0.5), Hit(2, 0.5))), Group(20, (Hit(3, 0.6),))]
    assert [one.identity for one in order(groups)] == [20, 10, 30]


@given(st.lists(st.tuples(st.integers(1, 30), st.sampled_from([0.1, 0.5, 0.9])), unique_by=lambda hit: hit[0]))
def test_candidates_never_repeat_lose_or_invent_a_hit(pairs: list[tuple[int, float]]) -> None:
    hits = sorted((Hit(*pair) for pair in pairs), key=lambda hit: (-hit.similarity, hit.crop))
    groups = order(group(hits, [hit.crop % 5 for hit in hits]))
    assert len({one.identity for one in groups}) == len(groups)
    assert sorted(hit.crop for one in groups for hit in one.hits) == sorted(hit.crop for hit in hits)
    assert all(hit.crop % 5 == one.identity for one in groups for hit in one.hits)
    similarities = [one.similarity for one in groups]
    assert similarities == sorted(similarities, reverse=True)
