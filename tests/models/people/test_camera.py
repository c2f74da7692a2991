"""Cameras and detectors: boxes stay where they belong, a perfect camera changes nothing, faults show."""

from dataclasses import replace

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from models.people.camera import compress, cut_box, draw_camera, expose, shoot
from models.people.scene import draw_scene
from models.people.style import HELD_OUT, STREET

SCENE = draw_scene(np.random.default_rng(0), STREET)


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 2**32), st.integers(40, 300), st.integers(16, 150), st.floats(0, 1), st.floats(0, 0.5))
def test_an_imprecise_box_keeps_most_of_the_person(
    seed: int, height: int, width: int, loose: float, square: float
) -> None:
    box = cut_box(np.random.default_rng(seed), height, width, loose, square)
    rows = min(box.top + box.height, height) - max(box.top, 0)
    columns = min(box.left + box.width, width) - max(box.left, 0)
    assert rows * columns / (height * width) > 0.55
    assert box.width >= int(square * box.height)
    assert box.height <= 1.3 * height


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32), st.integers(20, 200), st.integers(5, 500))
def test_a_crop_of_any_size_is_delivered_as_the_camera_says(seed: int, height: int, width: int) -> None:
    rng = np.random.default_rng(seed)
    cut_out = rng.integers(0, 256, (height, width, 4), dtype=np.uint8)
    camera = draw_camera(rng)
    picture = shoot(cut_out, camera, SCENE, [cut_out], rng)
    assert picture.dtype == np.uint8
    assert picture.shape[0] == (camera.stored[0] or camera.rows)
    assert picture.shape[2] == 3


def test_a_perfect_camera_changes_no_colour_much() -> None:
    rng = np.random.default_rng(0)
    red = np.full((120, 60, 4), (200, 40, 40, 255), np.uint8)
    picture = shoot(red, draw_camera(rng, strength=0.0), SCENE, [], rng)
    middle = picture[60:100, 30:40].reshape(-1, 3).mean(0)
    assert np.abs(middle - (200, 40, 40)).max() < 8


def test_casts_are_stronger_in_the_mall_than_on_the_plaza() -> None:
    mall, plaza = (next(style for style in HELD_OUT if style.name == name) for name in ("mall", "plaza"))

    def spread(strength: float, optics: object) -> float:
        rng = np.random.default_rng(3)
        casts = [draw_camera(rng, strength, optics).cast for _ in range(100)]  # type: ignore[arg-type]
        return float(np.log(casts).std())

    assert spread(1.0, mall.optics) > 2 * spread(1.0, plaza.optics)
    assert spread(0.0, mall.optics) == 0


def test_each_fault_shows_in_the_picture() -> None:
    rng = np.random.default_rng(0)
    perfect = draw_camera(rng, strength=0.0)
    grey = np.full((64, 32, 3), 100, np.uint8)
    assert np.abs(expose(grey, perfect, rng).astype(int) - 100).max() <= 1
    assert expose(grey, replace(perfect, cast=(1.5, 1.0, 0.5)), rng).mean((0, 1)).round().tolist() == [150, 100, 50]
    assert expose(grey, replace(perfect, noise=10.0), rng).std() > 8
    assert expose(grey, replace(perfect, haze=0.5, veil=(1.0, 1.0, 1.0)), rng).mean() > 170
    assert expose(grey, replace(perfect, slope=(0.5, 0.0)), rng)[-1].mean() > 115
    colourful = np.tile(np.array([200, 50, 50], np.uint8), (64, 32, 1))
    assert np.ptp(expose(colourful, replace(perfect, saturation=0.0), rng)[5, 5].astype(int)) <= 2


def test_compression_loses_more_at_lower_quality() -> None:
    image = np.random.default_rng(0).integers(0, 256, (64, 32, 3), dtype=np.uint8)
    losses = [np.abs(compress(image, quality).astype(int) - image).mean() for quality in (20, 60, 95)]
    assert losses == sorted(losses, reverse=True)
