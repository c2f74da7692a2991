import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import faiss
import numpy as np
import pytest

from service.domain import VectorArray
from service.errors import IndexRefused
from service.index import scan
from service.index.accelerators import Source
from service.index.blocks import GONE, Block
from service.index.faiss_setup import tune_faiss
from service.index.kinds import EXACT, EXACT_HALVES, kind_of
from service.index.segmented import SegmentedIndex
from service.index.segments import Packing
from tests.index.brute_force import unit_vectors
from tests.index.contract import DIM, LARGE_DIM, MakeIndex, VectorIndexContract
from tests.index.stand_in import StandIn

Background = Callable[[Callable[[], None]], object]
HALF = 1e-3  # similarity of vectors that are kept as float16


@pytest.fixture(autouse=True, scope="module")
def _tuned() -> None:
    tune_faiss(LARGE_DIM)


@pytest.fixture
def behind() -> Iterator[Background]:
    """A thread that seals beside the one that adds."""
    with ThreadPoolExecutor(1) as executor:
        yield executor.submit


def _at_once(work: Callable[[], None]) -> None:
    work()


class TestExact(VectorIndexContract):
    """Blocks so small that everything crosses them, middling ones that fill and are compacted, and one for all."""

    @pytest.fixture(params=[3, 64, 4096], ids=lambda rows: f"blocks of {rows}")
    def make_index(self, request: pytest.FixtureRequest) -> MakeIndex:
        return lambda dim: SegmentedIndex(dim, block_rows=request.param)


class TestSketched(VectorIndexContract):
    """With sketches from a few rows on, several rounds and two threads; else the contract has too few rows for them."""

    @pytest.fixture(autouse=True)
    def _from_few_rows_on(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(scan, "SMALL", 8)
        monkeypatch.setattr(scan, "FIRST", 32)
        monkeypatch.setattr(scan, "PRODUCTS", 64)
        monkeypatch.setattr(scan, "SHARED", 64)
        monkeypatch.setattr(scan, "CROWDED", 2)

    @pytest.fixture(params=[EXACT, EXACT_HALVES], ids=lambda kind: kind.name)
    def make_index(self, request: pytest.FixtureRequest) -> MakeIndex:
        self.tolerance = HALF if request.param is EXACT_HALVES else self.tolerance
        return lambda dim: SegmentedIndex(dim, request.param, block_rows=64, threads=2)


class TestExactHalves(VectorIndexContract):
    tolerance = HALF

    @pytest.fixture(params=[16, 4096], ids=lambda rows: f"blocks of {rows}")
    def make_index(self, request: pytest.FixtureRequest) -> MakeIndex:
        return lambda dim: SegmentedIndex(dim, EXACT_HALVES, block_rows=request.param)


class TestApproximate(VectorIndexContract):
    """Kinds that lose nothing, so that all around them can be held to brute force: the accelerator has all rows of a
    segment, or all lists are probed. Sealed where it is added, and in the background."""

    @pytest.fixture(params=["Flat", "IVF2,Flat;nprobe=2"])
    def make_index(self, request: pytest.FixtureRequest, behind: Background) -> MakeIndex:
        background = behind if request.param == "Flat" else _at_once
        return lambda dim: SegmentedIndex(
            dim, kind_of(request.param, dim), block_rows=32, segment_rows=128, background=background
        )


class TestCard(VectorIndexContract):
    """With a stand-in for the card: what is tested is everything but FAISS's own code on it."""

    @pytest.fixture(params=[False, True], ids=["classic", "cuvs"])
    def make_index(self, request: pytest.FixtureRequest, behind: Background) -> MakeIndex:
        background = behind if request.param else _at_once
        return lambda dim: SegmentedIndex(
            dim, kind_of("gpu", dim, StandIn(cuvs=request.param)), block_rows=32, segment_rows=128,
            background=background,
        )  # fmt: skip


def _sealed(name: str = "Flat", rows: int = 128, **more: Any) -> tuple[SegmentedIndex, VectorArray]:
    """An index whose blocks of 16 rows are all sealed."""
    index, vectors = SegmentedIndex(DIM, kind_of(name, DIM), block_rows=16, **more), unit_vectors(rows, DIM, seed=0)
    index.add(np.arange(rows), vectors)
    return index, vectors


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
    index = SegmentedIndex(DIM, kind_of("gpu", DIM, StandIn(room_bytes=100)), block_rows=64)
    vectors = unit_vectors(200, DIM, seed=6)
    index.add(np.arange(200), vectors)
    assert index.search(vectors[7:8], 1)[1].tolist() == [[7]]
    assert "the card has no room for 192 × 8 float16" in caplog.text


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
    card = StandIn(room_bytes=1500)
    index = SegmentedIndex(DIM, kind_of("gpu", DIM, card), block_rows=64)
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


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("IVFx", "could not parse index string IVFx"),
        ("", "could not parse"),
        ("IVF16,SQ8;nprob=3", "could not set parameter nprob"),
        ("PQ3", "multiple of the number of subquantizers"),
        ("IDMap,Flat", "cannot be built of 1 rows: add does not make sense"),
        ("gpu", "needs a GPU build of FAISS"),
        ("Exact", "could not parse"),
    ],
)
def test_a_kind_that_there_is_not_is_refused_with_the_reason(name: str, said: str) -> None:
    with pytest.raises(IndexRefused, match=said):
        kind_of(name, DIM)


def test_a_gpu_build_that_sees_no_card_is_refused() -> None:
    with pytest.raises(IndexRefused, match="sees no card"):
        kind_of("gpu", DIM, StandIn(cards=0))


def test_float16_takes_half_the_memory_of_the_rows() -> None:
    sizes = []
    for kind in (kind_of("exact", LARGE_DIM), kind_of("exact-fp16", LARGE_DIM)):
        index = SegmentedIndex(LARGE_DIM, kind)
        index.add(np.arange(1000), unit_vectors(1000, LARGE_DIM, seed=7))
        sizes.append(index.bytes)
    sketch_and_id = LARGE_DIM + 4 + 8
    assert sizes == [1000 * (LARGE_DIM * 4 + sketch_and_id), 1000 * (LARGE_DIM * 2 + sketch_and_id)]


@pytest.mark.gpu
@pytest.mark.skipif(not faiss.get_num_gpus(), reason="FAISS sees no CUDA card here")
class TestRealCard(VectorIndexContract):
    @pytest.fixture
    def make_index(self) -> MakeIndex:
        return lambda dim: SegmentedIndex(dim, kind_of("gpu", dim), block_rows=512, segment_rows=4096)


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
