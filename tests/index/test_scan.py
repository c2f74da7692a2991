"""Sketches and what is found by them, beside products in float64."""

import itertools
from collections.abc import Callable, Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service.domain import VectorArray
from service.index import scan, state
from service.index.blocks import View
from service.index.segmented import SegmentedIndex
from service.index.sketch import Probe, Sketch
from tests.index.brute_force import unit_vectors

ROWS, DIM = 20_000, 96


def _heavy(count: int, rng: np.random.Generator) -> VectorArray:
    """Vectors with a few coordinates that are far larger than the others, as networks make them."""
    return (rng.standard_t(1.5, (count, DIM)) * rng.choice([1e-3, 1, 1e3])).astype(np.float32)


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), zeros=st.booleans())
def test_no_product_of_sketches_is_further_off_than_is_said(seed: int, zeros: bool) -> None:
    rng = np.random.default_rng(seed)
    vectors, queries = _heavy(200, rng), _heavy(7, rng)
    if zeros:
        vectors[3] = queries[2] = 0
    sketch = Sketch.of(200, DIM)
    sketch.put(0, vectors[:90])
    sketch.put(90, vectors[90:])
    probe = Probe(queries, error=sketch.error, reach=sketch.reach)
    right = vectors.astype(np.float64) @ queries.T.astype(np.float64)
    off = np.abs(probe.products(sketch.codes, sketch.steps) - probe.in_units(right.astype(np.float32)))
    assert (off <= probe.in_units(probe.margin)).all()
    assert (probe.margin <= 0.3 * np.linalg.norm(queries, axis=1) * sketch.reach).all(), "a bound that says nothing"


def _people(rng: np.random.Generator) -> VectorArray:
    """Twenty vectors of each of a thousand people, who have much in common, as the crops of one camera do."""
    shared, people = rng.normal(size=DIM) * 1.5, rng.normal(size=(ROWS // 20, DIM))
    made = shared + np.repeat(people, 20, axis=0) + rng.normal(size=(ROWS, DIM)) * 0.5
    return (made / np.linalg.norm(made, axis=1, keepdims=True)).astype(np.float32)


def _one(rng: np.random.Generator) -> VectorArray:
    """The same vector, but for a thousand: nothing that a sketch can tell apart."""
    made = np.repeat(unit_vectors(1, DIM, seed=1), ROWS, axis=0)
    made[rng.choice(ROWS, 1000, replace=False)] = unit_vectors(1000, DIM, seed=2)
    return made


@pytest.mark.parametrize("make", [_people, _one])
@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("share", [1.0, 0.9, 0.1, 0.01])
def test_what_is_found_by_sketches_is_what_comparing_everything_finds(
    make: Callable[[np.random.Generator], VectorArray], threads: int, share: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    rng = np.random.default_rng(3)
    vectors, ids = make(rng), rng.permutation(ROWS)
    monkeypatch.setattr(scan, "SHARED", 4_000)
    index = SegmentedIndex(DIM, block_rows=6_000, threads=threads)
    index.add(ids, vectors)
    gone = rng.choice(ids, ROWS // 10, replace=False)
    index.remove(gone)
    allow = None if share == 1 else rng.choice(ids, int(ROWS * share), replace=False)
    may = ~np.isin(ids, gone) if allow is None else np.isin(ids, allow) & ~np.isin(ids, gone)
    queries = np.concatenate([vectors[:5], unit_vectors(30, DIM, seed=4)])
    right = queries.astype(np.float64) @ vectors[may].T.astype(np.float64)
    for count in (1, 35):
        similarities, found = index.search(queries[:count], 30, allow)
        for query in range(count):
            best = np.lexsort((ids[may], -right[query].astype(np.float32)))[:30]
            np.testing.assert_array_equal(found[query], ids[may][best])
            np.testing.assert_allclose(similarities[query], right[query][best], atol=1e-6)


def test_most_rows_are_not_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    looked_at = []
    exact = scan._pairs

    def counted(queries: VectorArray, owners: np.ndarray, vectors: np.ndarray, rows: np.ndarray) -> VectorArray:
        looked_at.append(len(rows))
        return exact(queries, owners, vectors, rows)

    monkeypatch.setattr(scan, "_pairs", counted)
    index, vectors = SegmentedIndex(DIM), _people(np.random.default_rng(5))
    index.add(np.arange(ROWS), vectors)
    index.search(vectors[:1], 10)
    assert 0 < sum(looked_at) < ROWS / 20


@pytest.mark.parametrize("looks", [1, 2], ids=["in the first round", "while others wait for the last"])
@pytest.mark.parametrize("crowd", [False, True], ids=["the best of the first rows", "a crowd of the same"])
def test_rows_that_are_removed_after_they_were_named_hide_nobody(
    monkeypatch: pytest.MonkeyPatch, crowd: bool, looks: int
) -> None:
    """So many of the best go between a look at the sketches and one at the rows that the rest must be asked for."""
    vectors = unit_vectors(ROWS, DIM, seed=6)
    best = np.argsort(-(vectors @ vectors[0]))[:100]
    if crowd:
        vectors[5_000:9_000] = vectors[0]
    index = SegmentedIndex(DIM)
    index.add(np.arange(ROWS), vectors)
    gone = np.arange(5_000, 9_000) if crowd else best[:90]
    divided, calls = scan._divided, itertools.count(1)

    def removed_before(hopeful: scan.Found, wanted: int) -> tuple[np.ndarray, scan.Found]:
        if next(calls) == looks:
            index.remove(gone)
        return divided(hopeful, wanted)

    monkeypatch.setattr(scan, "_divided", removed_before)
    (found,) = index.search(vectors[:1], 10)[1]
    right = vectors.astype(np.float64) @ vectors[0]
    right[gone] = -1
    assert found.tolist() == np.argsort(-right)[:10].tolist()


@pytest.mark.parametrize("queries", [1, 3])
def test_many_who_come_late_and_are_all_better_are_not_all_compared(
    monkeypatch: pytest.MonkeyPatch, queries: int
) -> None:
    """The first rows set a bar that a third of the later ones pass: those have a bar of their own."""
    vectors = unit_vectors(ROWS, DIM, seed=10)
    probes = unit_vectors(queries, DIM, seed=11)
    rng = np.random.default_rng(12)
    near = probes[0] + rng.uniform(0.01, 0.1, (1_200, 1)) * rng.standard_normal((1_200, DIM))
    vectors[-1_200:] = near / np.linalg.norm(near, axis=1, keepdims=True)
    vectors[-1] = np.nan  # one of them is removed
    index = SegmentedIndex(DIM)
    index.add(np.arange(ROWS), vectors)
    monkeypatch.setattr(scan, "_whole", lambda *arguments: pytest.fail("all rows of a part were compared"))
    _, found = index.search(probes, 10)
    right = np.nan_to_num(vectors.astype(np.float64), nan=-1) @ probes.T.astype(np.float64)
    assert found.tolist() == np.argsort(-right, axis=0)[:10].T.tolist()


def test_a_search_beside_the_removal_of_everything_finds_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    index = SegmentedIndex(DIM)
    index.add(np.arange(ROWS), unit_vectors(ROWS, DIM, seed=8))
    scanned = state.scan

    def emptied_before(queries: VectorArray, seen: Sequence[View], *how_far: int) -> scan.Found:
        index.remove(np.arange(ROWS))
        return scanned(queries, seen, *how_far)

    monkeypatch.setattr(state, "scan", emptied_before)
    similarities, found = index.search(unit_vectors(3, DIM, seed=9), 10)
    assert (found == -1).all()
    assert np.isneginf(similarities).all()


def test_a_query_that_everything_is_alike_to_does_not_burden_those_beside_it(monkeypatch: pytest.MonkeyPatch) -> None:
    widths = []
    by_query = scan._by_query

    def noted(queries: int, hopeful: Sequence[scan.Hopeful]) -> scan.Found:
        found = by_query(queries, hopeful)
        widths.append(found[0].shape[1])
        return found

    monkeypatch.setattr(scan, "_by_query", noted)
    vectors = unit_vectors(ROWS, DIM, seed=7)
    vectors[:, 0] = 0
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    aside = np.eye(1, DIM, dtype=np.float32)  # at a right angle to all of them
    index = SegmentedIndex(DIM)
    index.add(np.arange(ROWS), vectors)
    similarities, found = index.search(np.concatenate([vectors[:7], aside]), 10)
    assert (found[:7, 0] == np.arange(7)).all()
    assert found[7].tolist() == list(range(10))
    assert np.abs(similarities[7]).max() < 1e-6
    assert max(widths) <= ROWS // scan.CROWDED
