"""From several vectors to one of unit length."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from service.errors import BadInput
from service.matching.pooling import pool, unit


def test_the_pool_of_two_right_angled_vectors_lies_between_them() -> None:
    pooled = pool(np.eye(2, dtype=np.float32))
    assert pooled.dtype == np.float32
    assert pooled.tolist() == pytest.approx([2**-0.5, 2**-0.5])


def test_the_pool_of_one_vector_is_that_vector_and_weights_are_by_count() -> None:
    vector = unit(np.array([3.0, 4.0]))
    assert pool(vector[None]).tolist() == pytest.approx([0.6, 0.8])
    east, north = np.array([1, 0], np.float32), np.array([0, 1], np.float32)
    assert pool(np.stack([east, east, north])).tolist() == pytest.approx([2 / 5**0.5, 1 / 5**0.5])


def test_vectors_that_cancel_out_cannot_be_pooled() -> None:
    with pytest.raises(BadInput, match="zero"):
        pool(np.array([[1, 0], [-1, 0]], np.float32))


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_a_vector_that_is_not_finite_has_no_unit(bad: float) -> None:
    with pytest.raises(BadInput, match="finite"):
        unit(np.array([0.5, bad]))


def test_a_zero_vector_has_no_unit() -> None:
    with pytest.raises(BadInput, match="zero"):
        unit(np.zeros(4))


@given(arrays(np.float64, 5, elements=st.floats(-1e308, 1e308)).filter(lambda vector: bool(vector.any())))
def test_every_other_vector_has_a_unit_in_its_own_direction_whatever_its_length(vector: np.ndarray) -> None:
    made = unit(vector)
    assert np.linalg.norm(made.astype(np.float64)) == pytest.approx(1, abs=1e-6)
    largest = np.abs(vector).argmax()
    assert np.sign(made[largest]) == np.sign(vector[largest])
    assert np.abs(made).argmax() in np.flatnonzero(np.abs(vector) >= 0.999 * np.abs(vector[largest]))
