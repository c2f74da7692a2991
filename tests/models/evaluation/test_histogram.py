"""The baseline."""

import numpy as np
import pytest

from models.evaluation.histogram import describe_colours


def test_vectors_are_of_unit_length_and_see_where_a_colour_is() -> None:
    red, blue = (np.full((100, 40, 3), colour, np.uint8) for colour in ((200, 0, 0), (0, 0, 200)))
    above, below = np.concatenate([red[:50], blue[:50]]), np.concatenate([blue[:50], red[:50]])
    vectors = describe_colours([red, blue, above, below])
    similarity = vectors @ vectors.T
    assert np.diag(similarity) == pytest.approx(1, abs=1e-5)
    assert similarity[0, 1] == 0
    assert similarity[0, 2] == pytest.approx(0.5, abs=0.05)
    assert similarity[2, 3] < 0.1
