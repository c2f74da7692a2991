"""Which rows of blocks a search may see."""

import numpy as np
import pytest

from service.domain import CropIds
from service.index.blocks import Block, View, views
from tests.index.brute_force import unit_vectors


@pytest.mark.parametrize("gap", [1, 3, 1000])
@pytest.mark.parametrize("share", [0.01, 0.02, 0.3, 1.0])
def test_an_allow_list_is_looked_up_alike_however_far_apart_ids_are(gap: int, share: float) -> None:
    """Close together by a table, far apart one by one; ids that are below, above and between those that are there."""
    rng = np.random.default_rng(3)
    ids = rng.permutation(5000) * gap
    block = Block.of(5000, 4, np.float32)
    block.append(ids, unit_vectors(5000, 4, seed=1))
    block.remove(np.arange(0, 5000, 7))
    asked = np.sort(rng.choice(np.arange(-3, 5010) * gap, int(5000 * share), replace=False))
    expected = np.flatnonzero(np.isin(block.ids, asked) & (block.ids != -1))
    (view,) = views([block], asked)
    found = np.arange(5000)[block.ids != -1] if view.rows is None else np.sort(view.rows)
    assert found.tolist() == expected.tolist()


def test_a_list_that_cannot_be_written_to_is_looked_up_once_until_something_changes() -> None:
    block = filled()
    allow = np.arange(0, 4100, 2)
    (writable,) = views([block], allow)
    assert views([block], allow)[0] is not writable
    allow.setflags(write=False)
    (seen,) = views([block], allow)
    steps = seen.steps
    assert views([block], allow)[0] is seen
    assert views([block], allow.copy())[0] is not seen

    block.remove(np.array([10]))
    (after_removal,) = views([block], allow)
    assert set(rows_of(seen)) - set(rows_of(after_removal)) == {10}
    assert np.isnan(after_removal.steps[10])
    assert not np.isnan(steps[10])
    block.append(np.array([4000, 4001]), unit_vectors(2, 4, seed=2))
    (after_addition,) = views([block], allow)
    assert set(rows_of(after_addition)) - set(rows_of(after_removal)) == {4000}


def test_a_list_is_not_taken_for_another_that_was_where_it_is() -> None:
    """Arrays of one size, made and dropped, come to lie where the last one did, and so have its id."""
    block = filled()
    ids = set()
    for number in range(50):
        allow = unchanging(np.arange(number % 2, 4000, 2))
        ids.add(id(allow))
        assert rows_of(views([block], allow)[0])[0] == number % 2
        del allow
    assert len(ids) < 50


def test_a_row_that_was_being_written_is_seen_by_the_next_search() -> None:
    block = filled()
    allow = unchanging(np.arange(0, 4100, 2))
    block.ids[4000], block.changed = 4000, block.changed + 1  # as `append` does, before others see it
    assert 4000 not in rows_of(views([block], allow)[0])
    block.count += 1
    assert 4000 in rows_of(views([block], allow)[0])


def test_rows_of_a_list_are_kept_no_longer_than_the_list_or_what_it_names() -> None:
    block = filled()
    before = block.bytes
    allow = unchanging(np.arange(0, 4000, 2))
    views([block], allow)
    assert block.bytes == before + 2000 * 8 + 4000 * 4
    del allow
    assert block.bytes == before

    allow = unchanging(np.arange(0, 4000, 2))
    views([block], allow)
    block.remove(np.array([10]))
    assert block.bytes == before
    views([block], allow)
    block.append(np.array([4000]), unit_vectors(1, 4, seed=2))
    assert block.bytes == before + (before // 4000)


def test_what_was_looked_up_before_a_removal_and_remembered_after_it_is_not_used() -> None:
    block = filled()
    allow = unchanging(np.arange(0, 4000, 2))
    (early,), changed = views([block], allow), block.changed
    block.remove(np.array([10]))
    block.remember(allow, changed, early)
    assert 10 not in rows_of(views([block], allow)[0])


def filled() -> Block:
    """4,000 rows under as many ids, and room for more."""
    block = Block.of(5000, 4, np.float32)
    block.append(np.arange(4000), unit_vectors(4000, 4, seed=1))
    return block


def unchanging(allow: CropIds) -> CropIds:
    """That cannot be written to."""
    allow.setflags(write=False)
    return allow


def rows_of(view: View) -> list[int]:
    """As plain numbers."""
    return np.arange(view.count).tolist() if view.rows is None else view.rows.tolist()
