"""Sketches and what is found by them, beside products in float64."""

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service.domain import VectorArray
from service.index import scan
from service.index.segmented import SegmentedIndex
from service.index.sketch import Probe, Sketch
from tests.index.contract import unit_vectors

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
