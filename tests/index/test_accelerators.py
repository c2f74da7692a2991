"""Segments: sealed beside what goes on, searched by an accelerator, which may fail."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from service.domain import VectorArray
from service.errors import IndexRefused
from service.index import cards
from service.index.accelerators import Source
from service.index.kinds import EXACT, kind_of
from service.index.segmented import SegmentedIndex
from service.index.segments import Packing
from tests.index.brute_force import unit_vectors
from tests.index.contract import DIM, LARGE_DIM
from tests.index.stand_in import StandIn


def _sealed(name: str = "Flat", rows: int = 128, **more: Any) -> tuple[SegmentedIndex, VectorArray]:
    """An index whose blocks of 16 rows are all sealed."""
    index, vectors = SegmentedIndex(DIM, kind_of(name, DIM), block_rows=16, **more), unit_vectors(rows, DIM, seed=0)
    index.add(np.arange(rows), vectors)
    return index, vectors


def test_full_blocks_are_sealed_and_segments_grow_with_what_joins_them() -> None:
    index, vectors = (
        SegmentedIndex(DIM, kind_of("Flat", DIM), block_rows=16, segment_rows=64),
        unit_vectors(200, DIM, seed=2),
    )
    sizes = []
    for start in range(0, 200, 10):
        index.add(np.arange(start, start + 10), vectors[start : start + 10])
        sizes.append(sorted(len(segment.blocks) for segment in index._state.segments))
    assert [1] in sizes
    assert [1, 2] in sizes
    assert sizes[-1] == [4, 4, 4]
    assert [block.count for block in index._state.loose] == [8]


def test_what_is_removed_while_a_segment_is_built_is_not_found_in_it(monkeypatch: pytest.MonkeyPatch) -> None:
    kind = kind_of("Flat", DIM)
    building, removed = threading.Event(), threading.Event()

    def build(source: Source) -> object:
        building.set()
        assert removed.wait(10)
        assert kind.build is not None
        return kind.build(source)

    with ThreadPoolExecutor(1) as executor:
        index = SegmentedIndex(DIM, replace(kind, build=build), block_rows=16, background=executor.submit)
        vectors = unit_vectors(40, DIM, seed=3)
        index.add(np.arange(40), vectors)
        assert building.wait(10)
        index.remove(np.arange(0, 12))
        removed.set()
    assert index._state.segments
    assert len(index) == 28
    assert sorted(index.search(vectors[:1], 40)[1][0].tolist()) == [*[-1] * 12, *range(12, 40)]
    index.purge()
    assert [segment.removed for segment in index._state.segments] == [0]


def test_a_row_that_comes_while_a_block_is_sealed_is_found_though_the_block_became_the_last() -> None:
    """The block is packed, so not full, and what came after it is removed while it is sealed."""
    vectors, sealing = unit_vectors(80, DIM, seed=3), list[int]()

    def meanwhile(name: str) -> None:
        if name == "while-sealing" and not sealing:
            sealing.append(index._state.loose[0].count)
            index.remove(np.array([70]))
            index.add(np.array([71]), vectors[71:72])

    kind, later = replace(kind_of("Flat", DIM), least=1), list[Callable[[], None]]()
    index = SegmentedIndex(DIM, kind, block_rows=16, background=later.append, fail_point=meanwhile)
    index.add(np.array([*range(32), 70]), vectors[[*range(32), 70]])
    index.remove(np.array([number for number in range(32) if number % 16 > 6]))
    while later:
        later.pop()()
    assert sealing == [14], "rows of a packed block with room for two more"
    assert index.search(vectors[71:72], 1)[1].tolist() == [[71]]


def test_a_purge_leaves_no_removed_vector_in_an_accelerator() -> None:
    index, vectors = _sealed()
    index.remove(np.array([5, 50]))
    assert [segment.removed for segment in index._state.segments] == [2]
    index.purge()
    (segment,) = index._state.segments
    assert segment.removed == 0
    rows = segment.accelerator._index.reconstruct_n(0, segment.accelerator.limit).tobytes()
    assert vectors[6].tobytes() in rows
    assert vectors[5].tobytes() not in rows
    assert index.search(vectors[6:7], 1)[1].tolist() == [[6]]


def test_an_accelerator_that_cannot_be_built_leaves_an_exact_index() -> None:
    index, vectors = _sealed("IVF2,PQ4x8;nprobe=2", rows=96)
    assert index._state.segments == ()
    assert index.search(vectors[7:8], 1)[1].tolist() == [[7]]


def test_a_large_k_is_answered_beyond_what_a_card_selects() -> None:
    card = StandIn()
    index = SegmentedIndex(DIM, kind_of("gpu", DIM, card), block_rows=1024)
    vectors = unit_vectors(5000, DIM, seed=4)
    index.add(np.arange(5000), vectors)
    _, ids = index.search(vectors[:2], 10)
    assert card.searches
    searches = card.searches
    _, ids = index.search(vectors[:2], 4000)
    assert card.searches == searches, "it was asked for more than it selects"
    assert [len(set(row.tolist())) for row in ids] == [4000, 4000]


def test_a_card_is_used_by_one_thread_and_given_back_what_is_no_longer_needed() -> None:
    card = StandIn()
    index = SegmentedIndex(DIM, kind_of("gpu", DIM, card), block_rows=64)
    vectors = unit_vectors(640, DIM, seed=5)
    with ThreadPoolExecutor(4) as threads:
        for start in range(0, 640, 64):
            index.add(np.arange(start, start + 64), vectors[start : start + 64])
            list(threads.map(lambda one: index.search(one[None], 3), vectors[:8]))
    index.remove(np.arange(100))
    index.purge()
    assert card.freed_by == {card.owner}
    assert card.used_bytes == sum(len(segment.places) for segment in index._state.segments) * DIM * 2
    assert card.owner != threading.get_ident()


def test_a_card_without_room_leaves_an_exact_index_and_says_so(caplog: pytest.LogCaptureFixture) -> None:
    card = StandIn()
    index = SegmentedIndex(DIM, kind_of("gpu", DIM, card), block_rows=64)
    card.room_bytes = 100
    vectors = unit_vectors(200, DIM, seed=6)
    index.add(np.arange(200), vectors)
    assert index.search(vectors[7:8], 1)[1].tolist() == [[7]]
    assert "the card has no room for 192 × 8 float16" in caplog.text
    assert card.used_bytes == 0


def test_a_card_that_cannot_be_used_is_refused_at_once() -> None:
    with pytest.raises(IndexRefused, match=r"the card cannot be used: .*out of memory"):
        kind_of("gpu", DIM, StandIn(room_bytes=1000))


def test_where_a_search_on_the_card_fails_the_rows_are_compared_and_it_is_told_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    card = StandIn()
    index = SegmentedIndex(DIM, kind_of("gpu", DIM, card), block_rows=64)
    vectors = unit_vectors(128, DIM, seed=6)
    index.add(np.arange(128), vectors)
    assert index._state.segments
    card.fails = True
    for row in (7, 70):
        assert index.search(vectors[row : row + 1], 1)[1].tolist() == [[row]]
    assert (
        caplog.text.count(
            "a search on the card failed, and is answered from memory: Error in search: no temporary memory"
        )
        == 1
    )
    card.fails = False
    searches = card.searches
    assert index.search(vectors[7:8], 1)[1].tolist() == [[7]]
    assert card.searches > searches


def test_searches_come_between_the_parts_of_a_copy(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each part is copied in a turn of its own at the card."""
    monkeypatch.setattr(cards, "ADDED_AT_ONCE", 32)
    card = StandIn()
    index = SegmentedIndex(DIM, kind_of("gpu", DIM, card), block_rows=100)
    card.added.clear()
    turns: list[list[int]] = []
    call = cards.Card.call

    def noted(self: cards.Card, act: Any, *arguments: Any) -> Any:
        before = len(card.added)
        found = call(self, act, *arguments)
        turns.append(card.added[before:])
        return found

    monkeypatch.setattr(cards.Card, "call", noted)
    index.add(np.arange(100), unit_vectors(100, DIM, seed=7))
    assert [turn for turn in turns if turn] == [[32], [32], [32], [4]]


def test_vectors_that_halves_cannot_tell_apart_are_found_by_a_card_all_the_same() -> None:
    """Rounded to float16 their order is another, further than k away from where they belong."""
    chance = np.random.default_rng(15)
    base = unit_vectors(1, LARGE_DIM, seed=15)
    vectors = (base + 2e-5 * chance.standard_normal((3000, LARGE_DIM))).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    index, exact = (
        SegmentedIndex(LARGE_DIM, kind, block_rows=1000) for kind in (kind_of("gpu", LARGE_DIM, StandIn()), EXACT)
    )
    for one in (index, exact):
        one.add(np.arange(3000), vectors)
    assert index._state.segments
    queries = base + 0.3 * unit_vectors(20, LARGE_DIM, seed=16)
    queries /= np.linalg.norm(queries, axis=1, keepdims=True)
    assert index.search(queries, 5)[1].tolist() == exact.search(queries, 5)[1].tolist()


def test_an_approximate_index_is_exact_for_every_filter_also_for_one_that_leaves_all() -> None:
    vectors = unit_vectors(2000, 32, seed=8)
    index = SegmentedIndex(32, kind_of("IVF16,SQ8;nprobe=1", 32), block_rows=1000)
    index.add(np.arange(2000), vectors)
    queries = unit_vectors(20, 32, seed=9)
    best = np.argsort(-(queries @ vectors.T), axis=1)[:, :10].tolist()
    assert index.search(queries, 10)[1].tolist() != best
    for allow in (np.arange(2000), np.arange(5000)):
        assert index.search(queries, 10, allow)[1].tolist() == best


@pytest.mark.parametrize("refused", [True, False], ids=["after a refusal", "with room for one"])
def test_a_purge_needs_no_room_for_two_and_no_accelerator(refused: bool) -> None:
    """64 rows take 1,024 bytes of the card."""
    card = StandIn()
    index = SegmentedIndex(DIM, kind_of("gpu", DIM, card), block_rows=64)
    card.room_bytes = 1500
    vectors = unit_vectors(128, DIM, seed=10)
    index.add(np.arange(64), vectors[:64])
    if refused:
        index.add(np.arange(64, 128), vectors[64:])
    assert card.used_bytes == 1024
    index.remove(np.array([3]))
    assert index.holds_removed
    index.purge()
    assert not index.holds_removed
    assert card.used_bytes == (0 if refused else 63 * DIM * 2)
    assert index.search(vectors[4:5], 1)[1].tolist() == [[4]]
    assert 3 not in index.search(vectors[3:4], 128)[1]


def test_an_error_that_nobody_foresaw_is_told_and_ends_in_an_exact_index(caplog: pytest.LogCaptureFixture) -> None:
    built = []

    def build(source: Source) -> object:
        built.append(source.count)
        raise MemoryError("no more")

    index = SegmentedIndex(DIM, replace(kind_of("Flat", DIM), build=build), block_rows=16)
    vectors = unit_vectors(64, DIM, seed=11)
    for start in range(0, 64, 16):
        index.add(np.arange(start, start + 16), vectors[start : start + 16])
    assert built == [16]
    assert "MemoryError: no more" in caplog.text
    assert index.search(vectors[40:41], 1)[1].tolist() == [[40]]


def test_rows_that_cannot_be_packed_once_are_packed_later_and_sealed_all_the_same(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_room(blocks: object, block_rows: int) -> Packing:
        raise MemoryError("no more")

    index = SegmentedIndex(DIM, kind_of("Flat", DIM), block_rows=16)
    vectors = unit_vectors(64, DIM, seed=12)
    index.add(np.arange(8), vectors[:8])
    with monkeypatch.context() as patch:
        patch.setattr("service.index.segmented.pack", no_room)
        index.remove(np.arange(5))
    assert "packed after the next write" in caplog.text
    index.add(np.arange(8, 64), vectors[8:])
    assert index._state.segments
    assert index.search(vectors[40:41], 1)[1].tolist() == [[40]]


def test_a_row_that_rounding_makes_worse_behind_many_that_it_makes_better_is_found() -> None:
    """Query and rows lie beside the middle between two halves: the best row is rounded down, the others up, each by
    nearly 2 ** -10, so that a card gives none but the others."""
    half = LARGE_DIM // 2
    query = np.repeat([_beside(LARGE_DIM**-0.5, up=False), _beside(LARGE_DIM**-0.5, up=True)], half)
    best, others = np.zeros(LARGE_DIM), np.zeros(LARGE_DIM)
    best[:half], others[half:] = _beside(2**-4, up=False), _beside(2**-4, up=True)
    similarity = query @ best

    def of(wanted: float) -> VectorArray:
        row = others.copy()
        row[-1] += (wanted - query @ row) / query[-1]
        return row.astype(np.float32)

    rows = np.array([of(similarity - 4e-5), *[of(similarity - 1.1e-3)] * 130, best], np.float32)
    index = SegmentedIndex(LARGE_DIM, kind_of("gpu", LARGE_DIM, StandIn(cuvs=True)), block_rows=len(rows))
    index.add(np.arange(len(rows)), rows)
    assert index._state.segments
    assert index.search(query[None].astype(np.float32), 1)[1].tolist() == [[len(rows) - 1]]


def _beside(value: float, *, up: bool) -> float:
    """A number that is nearly in the middle between two halves, and rounded up or down."""
    low = np.float16(value)
    return float((float(low) + float(np.nextafter(low, np.float16(10)))) / 2 * (1 + (3e-6 if up else -3e-6)))
