"""What every VectorIndex must do, whatever engine it rests on. An engine joins with a subclass that gives `make_index`:

class TestMyEngine(VectorIndexContract):
    @pytest.fixture(params=[...])
    def make_index(self, request): return lambda dim: MyEngine(dim, ...)
"""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from service.domain import CropIds, VectorArray, VectorIndex
from tests.index.brute_force import BruteForce, check_answer, unit_vectors
from tests.index.race import ENOUGH, Race

MakeIndex = Callable[[int], VectorIndex]

DIM = 8
LARGE_DIM = 512


class VectorIndexContract:
    """Subclass it, and give `make_index`."""

    tolerance = 1e-6  # a float16 engine sets a larger one

    @pytest.fixture
    def make_index(self) -> MakeIndex:
        raise NotImplementedError

    def test_any_sequence_of_changes_is_searched_as_by_brute_force(self, make_index: MakeIndex) -> None:
        run_state_machine_as_test(
            lambda: _Changes(make_index, self.tolerance),
            settings=settings(
                max_examples=25, stateful_step_count=30, deadline=None, suppress_health_check=list(HealthCheck)
            ),
        )

    def test_an_empty_index_finds_nothing(self, make_index: MakeIndex) -> None:
        index = make_index(DIM)
        for allow in (None, np.array([1, 2])):
            similarities, ids = index.search(unit_vectors(3, DIM, seed=0), 4, allow)
            assert ids.shape == similarities.shape == (3, 4)
            assert (ids == -1).all()
            assert (similarities == -np.inf).all()
        assert len(index) == 0
        assert index.remove(np.array([1])) == 0

    def test_an_index_that_was_emptied_finds_nothing_and_can_be_filled_again(self, make_index: MakeIndex) -> None:
        index, vectors, ids = make_index(DIM), unit_vectors(50, DIM, seed=1), np.arange(50)
        index.add(ids, vectors)
        assert index.remove(ids) == 50
        assert (index.search(vectors[:5], 7)[1] == -1).all()
        index.add(ids[::-1], vectors)
        assert index.search(vectors[7:8], 1)[1].tolist() == [[42]]

    def test_of_many_equal_vectors_the_lowest_ids_are_found(self, make_index: MakeIndex) -> None:
        """More of them than an index is likely to fetch to spare, added out of order, the first ones removed."""
        index, vector = make_index(DIM), unit_vectors(1, DIM, seed=2)
        ids = np.random.default_rng(2).permutation(700)
        index.add(ids, np.repeat(vector, 700, axis=0))
        index.remove(np.arange(0, 100))
        assert index.search(vector, 6)[1].tolist() == [[100, 101, 102, 103, 104, 105]]
        allow = np.array([650, 20, 640, 630, 999])
        assert index.search(vector, 6, allow)[1].tolist() == [[630, 640, 650, -1, -1, -1]]

    def test_equal_vectors_at_the_edge_of_k_leave_out_the_highest_id(self, make_index: MakeIndex) -> None:
        index, vectors = make_index(DIM), np.eye(DIM, dtype=np.float32)
        index.add(np.array([9, 3, 5, 7]), np.stack([vectors[1], vectors[1], vectors[0], vectors[1]]))
        assert index.search(vectors[:1], 3)[1].tolist() == [[5, 3, 7]]

    def test_removing_an_id_that_is_named_twice_takes_nothing_else_along(self, make_index: MakeIndex) -> None:
        index, vectors = make_index(DIM), unit_vectors(3, DIM, seed=3)
        index.add(np.array([1, 2, 3]), vectors)
        assert index.remove(np.array([1, 1, 1, 8, 8])) == 1
        assert len(index) == 2
        assert sorted(index.search(vectors[:1], 5)[1][0].tolist()) == [-1, -1, -1, 2, 3]

    def test_the_answer_to_a_query_does_not_depend_on_its_company(self, make_index: MakeIndex) -> None:
        index, vectors = make_index(LARGE_DIM), unit_vectors(400, LARGE_DIM, seed=4)
        index.add(np.arange(400), vectors)
        queries = unit_vectors(40, LARGE_DIM, seed=5)
        together, together_ids = index.search(queries, 20)
        for place, query in enumerate(queries):
            alone, alone_ids = index.search(query[None], 20)
            assert alone_ids[0].tolist() == together_ids[place].tolist()
            assert alone[0].tolist() == together[place].tolist(), "a similarity changed with the size of the batch"

    @pytest.mark.parametrize("share", [0.0, 0.001, 0.05, 0.5, 1.0])
    def test_many_long_vectors_and_a_large_k_agree_with_brute_force(self, make_index: MakeIndex, share: float) -> None:
        """With an allow-list of any share of the ids, unknown and removed ones among them."""
        count, rng = 3_000, np.random.default_rng(6)
        index, known = make_index(LARGE_DIM), BruteForce(LARGE_DIM)
        vectors = unit_vectors(count, LARGE_DIM, seed=6)
        vectors[count // 2 :] = vectors[: count - count // 2]  # each vector twice
        ids = rng.permutation(count * 2)[:count].astype(np.int64)
        for part in np.array_split(np.arange(count), 7):
            index.add(ids[part], vectors[part])
            known.add(ids[part], vectors[part])
        gone = rng.choice(ids, count // 3, replace=False)
        assert index.remove(gone) == known.remove(gone) == len(gone)
        assert len(index) == count - len(gone)
        allow = None if share == 1.0 else rng.choice(count * 2, int(count * 2 * share), replace=False).astype(np.int64)
        queries = np.concatenate([vectors[:2], unit_vectors(4, LARGE_DIM, seed=7)])
        for k in (1, 17, 900):
            answer = index.search(queries, k, allow)
            check_answer(known, queries, k, allow, answer, tolerance=self.tolerance, exact=False)

    def test_a_few_ids_of_each_query_are_scored_as_a_search_scores_them(self, make_index: MakeIndex) -> None:
        """Unknown, removed and missing ones among them, and another number for each query."""
        index, vectors = make_index(LARGE_DIM), unit_vectors(300, LARGE_DIM, seed=12)
        ids = np.random.default_rng(12).permutation(300)
        index.add(ids, vectors)
        index.remove(np.arange(0, 300, 10))
        queries = unit_vectors(3, LARGE_DIM, seed=13)
        asked = np.array([[7, 110, 23, 299, 5], [301, 7, -1, -1, -1], [-1, -1, -1, -1, -1]])
        similarities, found = index.among(queries, asked)
        for query, row in enumerate(asked):
            allow = row[row >= 0]
            (right,), (right_ids,) = index.search(queries[query : query + 1], 5, allow)
            assert found[query].tolist() == right_ids.tolist()
            assert similarities[query].tolist() == right.tolist()

    def test_more_can_be_asked_for_than_a_card_selects(self, make_index: MakeIndex) -> None:
        index, known, vectors = make_index(DIM), BruteForce(DIM), unit_vectors(2_600, DIM, seed=10)
        index.add(np.arange(2_600), vectors)
        known.add(np.arange(2_600), vectors)
        for k in (2_048, 2_049, 3_000):
            answer = index.search(vectors[:2], k)
            check_answer(known, vectors[:2], k, None, answer, tolerance=self.tolerance, exact=False)

    def test_an_index_that_is_restored_from_the_pieces_of_another_answers_alike(self, make_index: MakeIndex) -> None:
        """Removals before and after the cut, and what is added to the restored one, included."""
        index, vectors = make_index(DIM), unit_vectors(400, DIM, seed=11)
        index.add(np.arange(300), vectors[:300])
        index.remove(np.arange(0, 300, 7))
        restored = make_index(DIM)
        restored.restore(replace(one, ids=one.ids.copy(), vectors=one.vectors.copy()) for one in index.cut())
        for one in (index, restored):
            one.remove(np.arange(0, 300, 5))
            one.add(np.arange(300, 400), vectors[300:])
            one.purge()
        assert len(restored) == len(index)
        for allow in (None, np.arange(0, 400, 3)):
            right, found = index.search(vectors[:9], 50, allow), restored.search(vectors[:9], 50, allow)
            assert [part.tolist() for part in found] == [part.tolist() for part in right]
        assert {piece.key for piece in index.cut()} == {piece.key for piece in index.cut()}

    @pytest.mark.parametrize("allowing", [False, True], ids=["all", "an allow-list"])
    def test_searches_beside_a_writer_see_all_that_was_finished_before_they_began(
        self, make_index: MakeIndex, allowing: bool
    ) -> None:
        race = Race(make_index(LARGE_DIM), self.tolerance, allowing)
        race.run()
        assert race.failures == []
        assert race.searches >= ENOUGH, "too few searches to say anything"
        assert race.writes >= ENOUGH, "too few writes to say anything"


class _Changes(RuleBasedStateMachine):
    """An index and a dict, changed alike."""

    def __init__(self, make_index: MakeIndex, tolerance: float) -> None:
        super().__init__()
        self.index = make_index(DIM)
        self.known = BruteForce(DIM)
        self.tolerance = tolerance
        self.next_id = 0
        self.removed: list[int] = []
        self.kept: list[CropIds] = []  # allow-lists that are asked for again, whatever changes in between

    @initialize(representable=st.booleans())
    def choose_numbers(self, representable: bool) -> None:
        """Vectors whose inner products are exact, so that unequal vectors tie too; or any."""
        self.representable = representable

    def vectors(self, count: int, seed: int, duplicates: bool) -> VectorArray:
        rng = np.random.default_rng(seed)
        made = _representable(count, rng) if self.representable else unit_vectors(count, DIM, seed=seed)
        if duplicates and self.known.vectors:
            pool = np.stack(list(self.known.vectors.values()))
            copied = rng.random(count) < 0.7
            made[copied] = pool[rng.integers(len(pool), size=count)][copied]
        return made

    @rule(count=st.integers(1, 40), seed=st.integers(0, 2**32 - 1), duplicates=st.booleans())
    def add(self, count: int, seed: int, duplicates: bool) -> None:
        rng = np.random.default_rng(seed)
        ids = self.next_id + np.cumsum(rng.integers(1, 4, size=count))
        self.next_id = int(ids[-1])
        self.put(rng.permutation(ids), seed, duplicates)

    @precondition(lambda self: self.removed)
    @rule(data=st.data(), seed=st.integers(0, 2**32 - 1), duplicates=st.booleans())
    def add_again(self, data: st.DataObject, seed: int, duplicates: bool) -> None:
        ids = np.array(data.draw(st.lists(st.sampled_from(self.removed), min_size=1, unique=True)), np.int64)
        self.put(ids, seed, duplicates)
        self.removed = sorted(set(self.removed) - set(ids.tolist()))

    def put(self, ids: CropIds, seed: int, duplicates: bool) -> None:
        vectors = self.vectors(len(ids), seed, duplicates)
        self.index.add(ids, vectors)
        self.known.add(ids, vectors)

    @rule(data=st.data(), unknown=st.lists(st.integers(-2, 10_000), max_size=3))
    def remove(self, data: st.DataObject, unknown: list[int]) -> None:
        some = st.lists(st.sampled_from(sorted(self.known.vectors)), max_size=30) if self.known.vectors else st.just([])
        self.take_away(np.array(data.draw(some) + unknown, np.int64))

    @rule(share=st.floats(0.3, 1), seed=st.integers(0, 2**32 - 1))
    def remove_most(self, share: float, seed: int) -> None:
        ids = np.array(sorted(self.known.vectors), np.int64)
        self.take_away(ids[np.random.default_rng(seed).random(len(ids)) < share])

    def take_away(self, ids: CropIds) -> None:
        there = set(ids.tolist()) & self.known.vectors.keys()
        assert self.index.remove(ids) == self.known.remove(ids)
        self.removed = sorted({*self.removed, *there})

    @rule(
        data=st.data(), count=st.integers(1, 9), k=st.integers(1, 150), seed=st.integers(0, 2**32 - 1),
        known=st.booleans(),
    )  # fmt: skip
    def search(self, data: st.DataObject, count: int, k: int, seed: int, known: bool) -> None:
        queries = self.vectors(count, seed, duplicates=known)
        kept = st.sampled_from(self.kept) if self.kept else st.none()
        allow = data.draw(st.none() | self.allow_lists() | kept, label="allow")
        if allow is not None and data.draw(st.booleans(), label="keep"):
            allow.setflags(write=False)
            self.kept.append(allow)
        answer = self.index.search(queries, k, allow)
        check_answer(self.known, queries, k, allow, answer, tolerance=self.tolerance, exact=self.representable)

    def allow_lists(self) -> st.SearchStrategy[CropIds]:
        """None, some, many or all of the ids, removed and unknown ones among them, in any order, some twice."""
        ever = np.arange(-1, self.next_id + 5)

        def choose(share: float, seed: int) -> CropIds:
            return np.random.default_rng(seed).choice(ever, int(len(ever) * share))

        return st.builds(choose, st.sampled_from([0, 0.02, 0.2, 0.5, 1, 3]), st.integers(0, 2**32 - 1))

    @invariant()
    def the_length_is_right(self) -> None:
        assert len(self.index) == len(self.known.vectors)


def _representable(count: int, rng: np.random.Generator) -> VectorArray:
    """Unit vectors of DIM numbers out of 0, ±0.5 and ±1: all inner products are exact, and many are equal."""
    vectors = np.zeros((count, DIM), np.float32)
    for vector in vectors:
        if rng.random() < 0.3:
            vector[rng.integers(DIM)] = rng.choice([-1, 1])
        else:
            vector[rng.choice(DIM, 4, replace=False)] = rng.choice([-0.5, 0.5], 4)
    return vectors
