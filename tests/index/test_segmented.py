"""Rows that come, are packed and are removed: what they leave in memory."""

import numpy as np

from service.index.blocks import GONE, Block
from service.index.kinds import kind_of
from service.index.segmented import SegmentedIndex
from service.index.segments import Packing
from tests.index.brute_force import unit_vectors
from tests.index.contract import DIM, LARGE_DIM


def test_a_removed_vector_leaves_the_memory_at_once() -> None:
    index, vectors = SegmentedIndex(DIM, block_rows=16), unit_vectors(16, DIM, seed=0)
    index.add(np.arange(16), vectors)
    (block,) = index._state.loose
    index.remove(np.array([3]))
    assert vectors[2].tobytes() in block.vectors.tobytes()
    assert vectors[3].tobytes() not in block.vectors.tobytes()
    assert block.sketch.codes[2].any()
    assert not block.sketch.codes[3].any()
    assert np.isnan(block.sketch.steps[3])


def test_blocks_shrink_away_as_their_vectors_are_removed() -> None:
    index = SegmentedIndex(DIM, block_rows=16)
    index.add(np.arange(160), unit_vectors(160, DIM, seed=1))
    assert len(index._state.loose) == 10
    index.remove(np.arange(41))
    assert [block.count for block in index._state.loose] == [7, *[16] * 7]
    index.remove(np.arange(160))
    assert index._state.loose == ()


def test_small_blocks_are_packed_into_one() -> None:
    index = SegmentedIndex(DIM, block_rows=16)
    index.add(np.arange(160), unit_vectors(160, DIM, seed=1))
    index.remove(np.array([number for number in range(128) if number % 16 > 2]))
    assert [block.count for block in index._state.loose] == [16, 8, 16, 16]


def test_memory_stays_where_people_come_and_go() -> None:
    """Also while the block that takes rows is far from full: removed rows do not wait in it until it is."""
    index, kept, came, largest = SegmentedIndex(DIM), 3000, 60_000, 0
    vectors = unit_vectors(came, DIM, seed=4)
    index.add(np.arange(kept), vectors[:kept])
    row_bytes = index.bytes / kept
    for first in range(kept, came, 100):
        index.add(np.arange(first, first + 100), vectors[first : first + 100])
        if first >= 2 * kept:
            assert index.remove(np.arange(first - kept, first - kept + 100)) == 100
        largest = max(largest, index.bytes)
    assert largest < 2 * 2 * kept * row_bytes, "twice those that are there"
    there = [*range(kept), *range(came - kept, came)]
    assert len(index) == len(there)
    queries = vectors[[0, kept - 1, came - kept, came - 1]]
    expected = np.array(there)[np.argmax(queries @ vectors[there].T, axis=1)]
    assert index.search(queries, 1)[1][:, 0].tolist() == expected.tolist() == [0, kept - 1, came - kept, came - 1]


def test_a_vector_that_is_being_removed_while_it_is_copied_does_not_outlive_that() -> None:
    """Its mark may be copied before what overwrites it."""
    old = Block.of(16, DIM, np.float32)
    vectors = unit_vectors(16, DIM, seed=2)
    old.append(np.arange(16), vectors)
    rows = np.arange(4)
    old.ids[rows] = GONE
    packing = Packing((old,), (copy := Block.of(16, DIM, np.float32),), (np.arange(16),))
    copy.append(old.ids.copy(), old.vectors.copy())
    old.ids[rows] = rows
    old.remove(rows)
    packing.settle()
    assert (copy.live, old.live) == (12, 12)
    assert np.isnan(copy.vectors[:4]).all()
    assert np.isnan(copy.sketch.steps[:4]).all()
    assert np.array_equal(copy.vectors[4:], vectors[4:])


def test_float16_takes_half_the_memory_of_the_rows() -> None:
    sizes = []
    for kind in (kind_of("exact", LARGE_DIM), kind_of("exact-fp16", LARGE_DIM)):
        index = SegmentedIndex(LARGE_DIM, kind)
        index.add(np.arange(1000), unit_vectors(1000, LARGE_DIM, seed=7))
        sizes.append(index.bytes)
    sketch_and_id = LARGE_DIM + 4 + 8
    assert sizes == [1000 * (LARGE_DIM * 4 + sketch_and_id), 1000 * (LARGE_DIM * 2 + sketch_and_id)]
