"""Who comes together in a batch, and how hard it is."""

import doctest

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

import models.batching
from models.batching import Lookalikes, strength_at


def test_the_examples_in_the_docstrings_hold() -> None:
    assert doctest.testmod(models.batching).failed == 0


def test_randomisation_grows_to_its_full_strength() -> None:
    strengths = [strength_at(step, 100, 0.25, 0.5) for step in range(100)]
    assert strengths[0] == 0.25
    assert strengths == sorted(strengths)
    assert strengths[50] == strengths[99] == 1


def ring(identities: int, near: int, group: int) -> Lookalikes:
    """People in a circle, each of whom looks like the next ones."""
    return Lookalikes((np.arange(identities)[:, None] + np.arange(1, near + 1)) % identities, group)


@given(st.integers(2, 30), st.data())
def test_a_batch_has_different_people_in_groups_of_neighbours(identities: int, data: st.DataObject) -> None:
    people = data.draw(st.integers(2, identities))
    group = data.draw(st.integers(2, people))
    near = min(3 * group, identities - 1)
    chosen = ring(identities, near, group).choose(people, np.random.default_rng(data.draw(st.integers(0, 99))))
    assert len(chosen) == len(set(chosen)) == people
    assert set(chosen) <= set(range(identities))


def test_groups_are_of_people_who_look_alike_and_not_always_the_same() -> None:
    lookalikes, rng = ring(1000, 12, 4), np.random.default_rng(1)
    batches = [lookalikes.choose(8, rng) for _ in range(50)]
    for chosen in batches:
        for first in (0, 4):
            steps = {(one - chosen[first]) % 1000 for one in chosen[first + 1 : first + 4]}
            assert len(steps) == 3
            assert steps <= set(range(1, 13))
    assert len({tuple(sorted((one - chosen[0]) % 1000 for one in chosen[1:4])) for chosen in batches}) > 25
