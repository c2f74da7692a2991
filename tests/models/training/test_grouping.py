"""Batches of people who look alike to a network."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.errors import Refused
from models.evaluation.distances import unit
from models.people.batches import Batches, Shape
from models.people.crowd import cut_outs, draw_scenes
from models.people.style import STREET
from models.training.flags import Flags, check_flags
from models.training.grouping import find_nearest, group_alike
from models.training.material import gather
from tests.models.tiny import TINY, make_folder

DEFAULT = Path("models/default")


@given(st.integers(2, 20), st.integers(1, 25), st.integers(0, 99))
def test_the_nearest_are_those_of_the_whole_matrix_without_oneself(count: int, wanted: int, seed: int) -> None:
    vectors = unit(np.random.default_rng(seed).standard_normal((count, 5)).astype(np.float32))
    similar = vectors @ vectors.T
    np.fill_diagonal(similar, -np.inf)
    found = find_nearest(vectors, wanted)
    assert found.tolist() == np.argsort(-similar, axis=1, kind="stable")[:, : min(wanted, count - 1)].tolist()


def test_drawn_people_come_with_their_doubles() -> None:
    drawn = [cut_outs(1, k, STREET, 4) for k in range(5)]
    shape = Shape(people=4, pictures=2, height=128, width=64)
    batches = Batches([*drawn, *drawn], draw_scenes(1, 4, STREET), shape, steps=20, seed=1)  # k and k + 5 are one
    group_alike(Flags(start=str(DEFAULT), alike=2, drawers=0), batches)
    assert batches.lookalikes is not None
    assert batches.lookalikes.nearest[:, 0].tolist() == [(k + 5) % 10 for k in range(10)]
    for step in range(3):
        labels = batches[step][1].numpy().reshape(4, 2)
        assert (labels[:, 0] == labels[:, 1]).all()
        assert len(set(labels[:, 0].tolist())) == 4


def test_people_of_a_folder_come_in_groups_that_follow_from_seed_and_step(run: Path, tmp_path: Path) -> None:
    folder = make_folder(tmp_path / "pictures", people=12)
    flags = replace(check_flags(replace(TINY, start=str(run), people=4, alike=2)), data=str(folder), hold_out=0.0)
    grouped, again = (gather(flags, judged=False).batches for _ in range(2))
    anybody = gather(replace(flags, alike=0), judged=False).batches
    for step in range(4):
        images, labels = grouped[step]
        assert len(set(labels.tolist())) == 4
        assert (images == again[step][0]).all()
    assert any(grouped[step][1].tolist() != anybody[step][1].tolist() for step in range(4))


@pytest.mark.parametrize(
    ("alike", "message"), [(1, "give 2 to 3"), (4, "give 2 to 3"), (2, "name a run or an exported folder by --from")]
)
def test_groups_that_cannot_be_are_refused(alike: int, message: str) -> None:
    with pytest.raises(Refused, match=message):
        check_flags(replace(TINY, alike=alike))
