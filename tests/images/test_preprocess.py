"""The one resize that training and serving share."""

import numpy as np
import pytest

from service.images.preprocess import resize
from tests.pictures import person


@pytest.mark.parametrize(("height", "width"), [(64, 32), (300, 100), (1, 1), (5000, 2)])
def test_any_picture_gets_the_size_the_network_takes(height: int, width: int) -> None:
    resized = resize(person(1, height=height, width=width) if height > 20 else np.zeros((1, 1, 3), np.uint8), 128, 64)
    assert resized.shape == (128, 64, 3)
    assert resized.dtype == np.uint8


def test_a_picture_of_the_right_size_is_left_as_it_is() -> None:
    image = person(1, height=128, width=64)
    assert (resize(image, 128, 64) == image).all()


def test_making_a_picture_smaller_averages_instead_of_skipping_pixels() -> None:
    stripes = np.zeros((256, 128, 3), np.uint8)
    stripes[::2] = 255
    small = resize(stripes, 64, 32)
    assert np.abs(small[2:-2].astype(int) - 128).max() <= 8


def test_colours_keep_their_channels() -> None:
    red = np.zeros((90, 40, 3), np.uint8)
    red[..., 0] = 200
    assert (resize(red, 128, 64) == (200, 0, 0)).all()
