"""The renderer: what is nearer hides what is farther, sheets wrap round limbs, light falls from where it comes."""

import numpy as np
import pytest

from models.people.colours import hsv
from models.people.dress import LAYERS
from models.people.fabric import SIZE, weave
from models.people.render import Rgba, View, render
from models.people.solids import Look, Point, Solids, tube
from models.people.style import EVERYDAY, HELD_OUT, STREET, Style
from models.people.wardrobe import Cloth

FLAT = Style("flat", folds=0, occlusion=0, fuzz=0)
FRONT = View(yaw=0.0, pitch=0.0, light=(0.0, 0.0, 1.0), ambient=1.0, distance_m=1000)
PLAIN = Cloth((0.0, 0.0, 0.0), (1.0, 1.0, 1.0))


def one(start: Point, end: Point, layer: int, wide: float = 0.15) -> Solids:
    return np.array([tube(start, end, (wide, wide), 0.02, Look(layer))], np.float32)


def sheets() -> np.ndarray:
    made = np.zeros((LAYERS, SIZE, SIZE, 3), np.uint8)
    made[0, ..., 0] = 255  # red
    made[1, ..., 1] = 255  # green
    made[2, :, : SIZE // 8] = made[2, :, -SIZE // 8 :] = 255  # white at the front only
    return made


def draw(solids: Solids, view: View = FRONT) -> Rgba:
    return render(solids, sheets(), view, 60, FLAT)


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_the_nearer_solid_hides_the_farther_one(order: tuple[int, int]) -> None:
    near, far = one((0, 0, 1), (0, 0.6, 1), 1), one((0, 0, 0), (0, 0.6, 0), 0)
    image = draw(np.concatenate([(near, far)[k] for k in order]))
    red, green, blue, alpha = image[image.shape[0] // 2, image.shape[1] // 2].tolist()
    assert alpha == 255
    assert (red, blue) == (0, 0)
    assert green > 150


@pytest.mark.parametrize(("yaw", "seen"), [(0.0, True), (np.pi, False)])
def test_what_is_drawn_at_the_front_of_a_sheet_is_seen_from_the_front_only(yaw: float, seen: bool) -> None:
    image = draw(one((0, 0, 0), (0, 0.6, 0), 2), View(yaw, 0.0, FRONT.light, 1.0, distance_m=1000))
    assert bool(image[image.shape[0] // 2, :, 0].max() > 150) is seen


def test_a_solid_is_as_wide_as_it_says() -> None:
    image = draw(one((0, 0, 0), (0, 0.6, 0), 0, wide=0.15))
    assert image.shape[1] / image.shape[0] == pytest.approx(0.3 / 0.64, rel=0.08)


def test_the_side_towards_the_light_is_brighter() -> None:
    image = draw(one((0, 0, 0), (0, 0.6, 0), 0), View(0.0, 0.0, (1.0, 0.0, 0.3), 0.3, distance_m=1000))
    row = image[image.shape[0] // 2, :, 0].astype(int)
    assert row[-4] > row[3] + 40


def test_what_is_nearer_is_larger() -> None:
    both = np.concatenate([one((-0.4, 0, 1), (-0.4, 0.5, 1), 0), one((0.4, 0, -1), (0.4, 0.5, -1), 1)])
    image = draw(both, View(0.0, 0.0, FRONT.light, 1.0, distance_m=5.0))
    shown = image[..., 3] > 127
    red, green = (shown & (image[..., k] > 50) for k in (0, 1))
    assert red.sum() > 1.3 * green.sum()


@pytest.mark.parametrize("pattern", sorted({*EVERYDAY, *HELD_OUT[-1].patterns} - {"melange"}))
def test_every_pattern_shows_both_colours(pattern: str) -> None:
    sheet = weave(Cloth((0.0, 0, 0), (1.0, 1, 1), pattern, 0.1, 0.35), 0.95, 0.6)  # type: ignore[arg-type]
    assert sheet.min() < 0.05
    assert sheet.max() > 0.5


def test_a_plain_cloth_has_one_colour() -> None:
    assert weave(PLAIN, 0.95, 0.6).max() == 0


def test_the_patterns_of_the_plaza_are_not_trained_on() -> None:
    plaza = next(style for style in HELD_OUT if style.name == "plaza")
    assert not set(plaza.patterns) & set(STREET.patterns)


def test_hsv_gives_the_textbook_colours() -> None:
    assert hsv(0, 1, 1) == (1, 0, 0)
    assert hsv(1 / 3, 1, 1) == pytest.approx((0, 1, 0))
    assert hsv(0.5, 0.5, 0.8) == pytest.approx((0.4, 0.8, 0.8))
