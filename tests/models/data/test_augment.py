"""Random changes to pictures: from the generator alone, within their ranges."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.data.augment import FULL, LIGHT, NONE, PRESETS, Augmentation, augment, jitter_colours, pad_and_crop
from tests.pictures import person

IMAGE = person(3, height=64, width=32)
ALONE = {
    "flip": Augmentation(flip=1),
    "crop": Augmentation(crop=1),
    "jitter": Augmentation(jitter=1),
    "cast": Augmentation(cast=1),
    "blur": Augmentation(blur=1, radius=0.05),
    "jpeg": Augmentation(jpeg=1),
}


def change(how: Augmentation, seed: int = 1) -> np.ndarray:
    return augment(IMAGE, how, np.random.default_rng(seed))


@pytest.mark.parametrize("how", [*PRESETS.values(), *ALONE.values()])
@pytest.mark.parametrize("strength", [0.0, 0.5, 1.0, 2.0])
def test_a_picture_keeps_its_size_and_type_and_the_original_its_pixels(how: Augmentation, strength: float) -> None:
    before = IMAGE.copy()
    for seed in range(10):
        changed = augment(IMAGE, Augmentation(**{**vars_of(how), "strength": strength}), np.random.default_rng(seed))
        assert changed.shape == IMAGE.shape
        assert changed.dtype == np.uint8
    assert np.array_equal(IMAGE, before)


def vars_of(how: Augmentation) -> dict[str, float]:
    return {name: getattr(how, name) for name in how.__slots__}


@pytest.mark.parametrize("how", [FULL, LIGHT, *ALONE.values()])
def test_the_same_seed_changes_in_the_same_way(how: Augmentation) -> None:
    assert np.array_equal(change(how, 5), change(how, 5))


@pytest.mark.parametrize("name", ALONE)
def test_each_change_changes_something(name: str) -> None:
    assert not np.array_equal(change(ALONE[name]), IMAGE)


def test_no_augmentation_gives_the_very_same_pixels() -> None:
    assert all(np.array_equal(change(NONE, seed), IMAGE) for seed in range(20))


@pytest.mark.parametrize("name", ["crop", "jitter", "cast", "blur"])
def test_without_strength_nothing_changes_by_more_than_rounding(name: str) -> None:
    changed = change(Augmentation(**{**vars_of(ALONE[name]), "strength": 0.0}))
    assert np.abs(changed.astype(int) - IMAGE).max() <= 1


def test_strength_grows_the_change() -> None:
    for name in ("jitter", "cast", "blur", "jpeg"):
        weak, strong = (
            np.mean([
                np.abs(change(Augmentation(**{**vars_of(ALONE[name]), "strength": s}), seed).astype(int) - IMAGE).mean()
                for seed in range(20)
            ])
            for s in (0.2, 1.0)
        )  # fmt: skip
        assert weak < strong


def test_a_mirror_image_comes_as_often_as_asked_for() -> None:
    mirrored = [np.array_equal(change(Augmentation(flip=0.3), seed), IMAGE[:, ::-1]) for seed in range(1000)]
    assert 0.25 < np.mean(mirrored) < 0.35


@settings(deadline=None)
@given(st.integers(0, 9), st.integers(0, 99))
def test_pad_and_crop_moves_the_picture_and_repeats_its_edge(pad: int, seed: int) -> None:
    image = np.arange(20 * 10 * 3, dtype=np.uint16).reshape(20, 10, 3).astype(np.uint8)
    moved = pad_and_crop(image, pad, np.random.default_rng(seed))
    rows, columns = np.arange(20), np.arange(10)
    shifts = range(-pad, pad + 1)
    assert any(
        np.array_equal(moved, image[np.clip(rows + down, 0, 19)][:, np.clip(columns + right, 0, 9)])
        for down in shifts
        for right in shifts
    )


@settings(deadline=None)
@given(st.integers(0, 255), st.integers(0, 99))
def test_hue_and_saturation_leave_grey_as_it_is(shade: int, seed: int) -> None:
    how = Augmentation(brightness=0, contrast=0, saturation=0.9, hue=0.5)
    grey = np.full((4, 2, 3), shade, np.uint8)
    changed = jitter_colours(grey, how, np.random.default_rng(seed))
    assert np.abs(changed.astype(int) - shade).max() <= 1


def test_a_hue_turned_half_way_round_gives_the_other_side_of_the_circle() -> None:
    how = Augmentation(brightness=0, contrast=0, saturation=0, hue=0.5)
    reddish = np.full((1, 1, 3), (140, 120, 120), np.uint8)
    turned = [jitter_colours(reddish, how, np.random.default_rng(seed))[0, 0].astype(int) for seed in range(200)]
    assert any(pixel[0] < min(pixel[1], pixel[2]) for pixel in turned)
    assert all(abs(pixel @ (0.299, 0.587, 0.114) - 126) < 1.5 for pixel in turned)


def test_a_cast_shifts_the_channels_apart() -> None:
    grey = np.full((8, 4, 3), 128, np.uint8)
    spread = [np.ptp(augment(grey, ALONE["cast"], np.random.default_rng(seed))[0, 0]) for seed in range(50)]
    assert np.median(spread) > 15
