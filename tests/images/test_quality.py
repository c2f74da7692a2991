"""What is measured of a crop, and what the gate makes of it."""

import numpy as np
import pytest
from PIL import Image, ImageFilter

from service.domain import Quality
from service.images.quality import QualityGate, judge
from tests.pictures import person

GATE = QualityGate(min_width=24, min_height=48, min_sharpness=0.02)


def test_size_is_measured_as_sent_and_sharpness_falls_with_blur() -> None:
    sharp = Image.fromarray(person(1, height=200, width=100))
    found = [judge(np.asarray(sharp.filter(ImageFilter.GaussianBlur(radius)))) for radius in (0, 1, 2, 4)]
    assert {(one.width, one.height) for one in found} == {(100, 200)}
    sharpness = [one.sharpness for one in found]
    assert sharpness == sorted(sharpness, reverse=True)
    assert sharpness[0] > 0.5
    assert sharpness[-1] < sharpness[0] / 10


def test_a_plain_picture_has_no_sharpness_and_one_too_small_to_tell_neither() -> None:
    assert judge(np.full((128, 64, 3), 77, np.uint8)).sharpness == 0
    for height, width in ((1, 1), (2, 50), (50, 2), (1, 4000)):
        assert judge(np.zeros((height, width, 3), np.uint8)) == Quality(width, height, 0.0)


@pytest.mark.parametrize(("height", "width"), [(4000, 3), (3, 4000), (4000, 1), (129, 65)])
def test_pictures_of_any_shape_can_be_judged(height: int, width: int) -> None:
    noise = np.random.default_rng(1).integers(0, 256, (height, width, 3), dtype=np.uint8)
    found = judge(noise)
    assert (found.width, found.height) == (width, height)
    assert 0 <= found.sharpness <= 1


@pytest.mark.parametrize(
    ("quality", "codes"),
    [
        (Quality(24, 48, 0.02), []),
        (Quality(23, 48, 0.5), ["TOO_SMALL"]),
        (Quality(24, 47, 0.5), ["TOO_SMALL"]),
        (Quality(48, 24, 0.5), ["TOO_SMALL"]),
        (Quality(24, 48, 0.019), ["TOO_BLURRY"]),
        (Quality(1, 1, 0.0), ["TOO_SMALL", "TOO_BLURRY"]),
    ],
)
def test_the_gate_gives_every_reason_and_says_what_is_needed(quality: Quality, codes: list[str]) -> None:
    reasons = GATE.reasons(quality)
    assert [code for code, _ in reasons] == codes
    for code, detail in reasons:
        assert ("24×48" if code == "TOO_SMALL" else "0.02") in detail
