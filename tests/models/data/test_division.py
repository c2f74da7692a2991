"""Who is held out, and who asks."""

import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.data.division import assemble, hold_out, number_cameras
from models.data.reading import read_set
from models.data.sample import PictureSet, Row, Sample
from models.data.soundness import check_disjoint, check_distinct
from models.errors import Refused
from tests.models.data.made import folders

PEOPLE = st.sets(st.text(min_size=1, max_size=6), min_size=4, max_size=40)
SHARES = st.floats(0.01, 0.99)


@settings(deadline=None)
@given(PEOPLE, SHARES, st.integers(0, 9))
def test_at_least_two_people_are_on_either_side(people: set[str], share: float, seed: int) -> None:
    held = hold_out(people, share, seed)
    assert held == hold_out(people, share, seed)
    assert held <= people
    assert 2 <= len(held) <= len(people) - 2


@settings(deadline=None)
@given(st.floats(0.05, 0.95), st.integers(0, 9))
def test_who_was_trained_on_stays_so_when_others_join(share: float, seed: int) -> None:
    some, more = ({f"p{k}" for k in range(count)} for count in (400, 600))
    assert hold_out(more, share, seed) & some == hold_out(some, share, seed)


def test_about_the_share_of_people_is_held_out() -> None:
    people = {f"p{k}" for k in range(1000)}
    assert 160 < len(hold_out(people, 0.2, 0)) < 240
    assert hold_out(people, 0.2, 0) != hold_out(people, 0.2, 1)
    assert hold_out(people, 0, 0) == set()
    assert hold_out(people, 1, 0) == people


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 3)), min_size=1, max_size=60), st.floats(0, 1))
def test_a_division_loses_nobody_and_mixes_nobody(pairs: list[tuple[int, int]], share: float) -> None:
    rows = [Row(Path(f"{k}.jpg"), f"p{who}", f"c{camera}", "") for k, (who, camera) in enumerate(pairs)]
    pictures = assemble("set", rows, share, seed=0)
    check_disjoint(pictures)
    assert {one.path for one in (*pictures.train, *pictures.gallery)} == {row.path for row in rows}
    assert set(pictures.query) <= set(pictures.gallery)
    asked = [(one.identity, one.camera) for one in pictures.query]
    seen = {(one.identity, one.camera) for one in pictures.gallery}
    assert len(set(asked)) == len(asked)
    assert set(asked) == {one for one in seen if sum(other[0] == one[0] for other in seen) > 1}


def test_the_same_seed_divides_a_folder_in_the_same_way(tmp_path: Path) -> None:
    source = folders(tmp_path, people=12)
    first, again, other = (read_set(source, seed=seed, share=0.4) for seed in (1, 1, 2))
    assert first == again
    assert first != other


def test_a_name_that_is_no_text_is_held_out_as_any_other() -> None:
    assert hold_out({os.fsdecode(b"\xff"), "a", "b", "c"}, 1, 0) == {os.fsdecode(b"\xff"), "a", "b", "c"}


def test_cameras_keep_their_numbers_and_names_get_some() -> None:
    assert number_cameras(["7", "12", "7"]) == {"7": 7, "12": 12}
    assert number_cameras(["yard", "gate", "3"]) == {"3": 1, "gate": 2, "yard": 3}


def test_an_overlap_is_found_by_identity_and_by_picture() -> None:
    trained, asked = Sample(Path("a.jpg"), 1, 1), Sample(Path("b.jpg"), 1, 2)
    with pytest.raises(Refused, match=r"identity Anna is both in training \(a.jpg\) and in evaluation \(b.jpg\)"):
        check_disjoint(PictureSet("set", (trained,), (asked,), (), ("", "Anna")))
    with pytest.raises(Refused, match=r"a.jpg is both in training and in evaluation"):
        check_disjoint(PictureSet("set", (trained,), (), (Sample(Path("a.jpg"), 2, 1),)))
    with pytest.raises(Refused, match=r"a.jpg occurs 2 times"):
        check_distinct([trained, trained])
