"""The generator: the same seed draws the same bytes, people stay who they are, boxes stay where they belong."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.people.camera import cut_box, draw_camera, shoot
from models.people.crowd import HEIGHT, cut_outs, draw_cut_outs, draw_pictures, person_of
from models.people.fabric import PATTERNS, Fabric, hsv, paint
from models.people.figure import build_figure
from models.people.person import draw_pose
from models.people.render import Solid, View, render
from models.people.scene import draw_scene
from models.people.style import STREET, TOY, Style

FRONT = View(yaw=0.0, pitch=0.0, light=(0.0, 1.0, 1.0), ambient=1.0)


@pytest.mark.parametrize("style", [STREET, TOY])
def test_the_same_seed_draws_the_same_bytes_and_another_draws_others(style: Style) -> None:
    first, again, other = (list(draw_pictures(seed, 2, 2, 1, style)) for seed in (7, 7, 8))
    assert [p.image.tobytes() for p in first] == [p.image.tobytes() for p in again]
    assert [p.image.tobytes() for p in first] != [p.image.tobytes() for p in other]
    assert [(p.identity, p.camera) for p in first] == [(0, 0), (0, 1), (1, 0), (1, 1)]


def test_worker_processes_draw_the_same_bytes() -> None:
    alone, shared = (draw_cut_outs(3, 4, 2, STREET, workers=workers) for workers in (1, 2))
    assert [[v.tobytes() for v in views] for views in alone] == [[v.tobytes() for v in views] for views in shared]


def test_a_person_wears_the_same_in_every_pose_and_no_two_people_are_equal() -> None:
    assert person_of(1, 5, STREET) == person_of(1, 5, STREET)
    assert len({person_of(1, k, STREET) for k in range(50)}) == 50
    person, rng = person_of(1, 5, STREET), np.random.default_rng(0)
    worn = [{solid.fabric for solid in build_figure(person, draw_pose(rng, STREET))} for _ in range(3)]
    assert worn[0] == worn[1] == worn[2]


def test_colours_of_one_person_are_closer_across_views_than_to_other_people() -> None:
    def mean_colours(seed: int) -> np.ndarray:  # (people, views, 6): upper and lower half
        views = [cut_outs(seed, k, STREET, 4) for k in range(8)]
        return np.array([[halves(cut_out) for cut_out in own] for own in views])

    def halves(cut_out: np.ndarray) -> np.ndarray:
        parts = np.array_split(cut_out, 2)
        colours = np.concatenate([part[part[..., 3] > 200][:, :3].mean(0) for part in parts])
        return np.asarray(colours / colours.sum())  # the light differs from view to view

    colours = mean_colours(2)
    own = np.linalg.norm(colours[:, :1] - colours[:, 1:], axis=-1).mean()
    others = np.linalg.norm(colours[:, None] - colours[None], axis=-1).mean()
    assert own < 0.6 * others


@pytest.mark.parametrize("style", [STREET, TOY])
def test_cut_outs_are_tight_and_standing(style: Style) -> None:
    for cut_out in cut_outs(4, 0, style, 6):
        height, width, channels = cut_out.shape
        assert channels == 4
        assert 0.7 * HEIGHT <= height <= HEIGHT
        assert width < height
        assert (cut_out[0, :, 3] > 127).any()
        assert (cut_out[..., 3] > 127).mean() > 0.2


def test_a_print_on_the_chest_is_seen_from_the_front_only() -> None:
    shirt = Fabric((1.0, 1.0, 1.0), (1.0, 0.0, 0.0), "print", 0.1, 0.0)
    chest = Solid(np.array([0.0, 0, 0]), np.array([0.0, 0.6, 0]), (0.15, 0.15, 0.15), shirt)
    back = View(yaw=np.pi, pitch=0.0, light=FRONT.light, ambient=1.0)
    images = [render([chest], view, 60) for view in (FRONT, back)]
    red = [((image[..., 1] < 50) & (image[..., 3] > 200)).mean() for image in images]
    assert red[0] > 0.05
    assert red[1] == 0


def test_the_nearer_solid_hides_the_farther_one() -> None:
    def ball(z: float, colour: tuple[float, float, float]) -> Solid:
        return Solid(np.array([0.0, 0, z]), np.array([0.0, 0.01, z]), (0.2, 0.2, 0.2), Fabric(colour), cap=0.2)

    for solids in ([ball(0, (1, 0, 0)), ball(1, (0, 1, 0))], [ball(1, (0, 1, 0)), ball(0, (1, 0, 0))]):
        image = render(solids, FRONT, 40)
        assert image[image.shape[0] // 2, image.shape[1] // 2].tolist() == [0, 255, 0, 255]


@pytest.mark.parametrize("pattern", PATTERNS)
def test_every_pattern_shows_both_colours(pattern: str) -> None:
    angle, along = (a.ravel().astype(np.float32) for a in np.meshgrid(np.linspace(-3, 3, 80), np.linspace(0, 0.6, 80)))
    colours = paint(Fabric((0.0, 0, 0), (1.0, 1, 1), pattern, 0.1, 0.3), angle, along, 0.6)  # type: ignore[arg-type]
    assert colours.shape == (6400, 3)
    assert colours.min() == 0
    assert colours.max() == 1


def test_hsv_gives_the_textbook_colours() -> None:
    assert hsv(0, 1, 1) == (1, 0, 0)
    assert hsv(1 / 3, 1, 1) == pytest.approx((0, 1, 0))
    assert hsv(0.5, 0.5, 0.8) == pytest.approx((0.4, 0.8, 0.8))


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 2**32), st.integers(40, 300), st.integers(16, 150), st.floats(0, 1))
def test_an_imprecise_box_keeps_most_of_the_person(seed: int, height: int, width: int, looseness: float) -> None:
    box = cut_box(np.random.default_rng(seed), height, width, looseness)
    rows = min(box.top + box.height, height) - max(box.top, 0)
    columns = min(box.left + box.width, width) - max(box.left, 0)
    assert rows * columns / (height * width) > 0.7
    assert box.height * box.width < 2.1 * height * width


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32), st.integers(20, 200), st.integers(5, 500))
def test_a_crop_of_any_size_is_delivered_as_the_camera_says(seed: int, height: int, width: int) -> None:
    rng = np.random.default_rng(seed)
    cut_out = rng.integers(0, 256, (height, width, 4), dtype=np.uint8)
    camera = draw_camera(rng)
    picture = shoot(cut_out, camera, draw_scene(rng, STREET), [cut_out], rng)
    assert picture.dtype == np.uint8
    assert picture.shape[0] == camera.height
    assert picture.shape[2] == 3


def test_a_perfect_camera_changes_no_colour_much() -> None:
    rng = np.random.default_rng(0)
    camera = draw_camera(rng, strength=0.0)
    red = np.full((120, 60, 4), (200, 40, 40, 255), np.uint8)
    picture = shoot(red, camera, draw_scene(rng, STREET), [], rng)
    middle = picture[40:80, 20:40].reshape(-1, 3).mean(0)
    assert middle == pytest.approx(np.array([200, 40, 40]) * camera.exposure, abs=8)
