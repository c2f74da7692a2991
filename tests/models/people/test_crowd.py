"""The generator as a whole: the same seed draws the same bytes, people stay who they are."""

import numpy as np
import pytest

from models.people.crowd import HEIGHT, cut_outs, draw_cut_outs, draw_pictures, draw_scenes, person_of
from models.people.dress import dress
from models.people.style import HELD_OUT, STREET, Style


@pytest.mark.parametrize("style", [STREET, *HELD_OUT], ids=lambda style: style.name)
def test_the_same_seed_draws_the_same_bytes_and_another_draws_others(style: Style) -> None:
    first, again, other = (list(draw_pictures(seed, 2, 2, 1, style)) for seed in (7, 7, 8))
    assert [p.image.tobytes() for p in first] == [p.image.tobytes() for p in again]
    assert [p.image.tobytes() for p in first] != [p.image.tobytes() for p in other]
    assert [(p.identity, p.camera) for p in first] == [(0, 0), (0, 1), (1, 0), (1, 1)]


def test_worker_processes_draw_the_same_bytes() -> None:
    alone, shared = (draw_cut_outs(3, 4, 2, STREET, workers=workers) for workers in (1, 2))
    assert [[v.tobytes() for v in views] for views in alone] == [[v.tobytes() for v in views] for views in shared]


def test_a_person_is_the_same_in_every_call_and_no_two_people_are_equal() -> None:
    assert person_of(1, 5, STREET) == person_of(1, 5, STREET)
    assert len({person_of(1, k, STREET) for k in range(50)}) == 50
    assert np.array_equal(dress(person_of(1, 5, STREET)), dress(person_of(1, 5, STREET)))


def test_colours_of_one_person_are_closer_across_views_than_to_other_people() -> None:
    def halves(cut_out: np.ndarray) -> np.ndarray:
        parts = np.array_split(cut_out, 2)
        colours = np.concatenate([part[part[..., 3] > 200][:, :3].mean(0) for part in parts])
        return np.asarray(colours / colours.sum())  # the light differs from view to view

    colours = np.array([[halves(cut_out) for cut_out in cut_outs(2, k, STREET, 4)] for k in range(20)])
    own = np.linalg.norm(colours[:, :1] - colours[:, 1:], axis=-1).mean()
    others = np.linalg.norm(colours[:, None] - colours[None], axis=-1).mean()
    assert own < 0.6 * others


@pytest.mark.parametrize("style", [STREET, *HELD_OUT], ids=lambda style: style.name)
def test_cut_outs_are_tight_and_upright(style: Style) -> None:
    for cut_out in (view for k in range(5) for view in cut_outs(4, k, style, 4)):
        height, width, channels = cut_out.shape
        assert channels == 4
        assert 0.5 * HEIGHT <= height <= HEIGHT
        assert width < 1.2 * height  # a long stride, a bicycle
        for edge in (cut_out[0], cut_out[:, 0], cut_out[:, -1]):
            assert (edge[..., 3] > 127).any()
        assert 0.15 < (cut_out[..., 3] > 127).mean() < 0.95


def test_no_training_draws_from_a_held_out_style() -> None:
    names = [style.name for style in (STREET, *HELD_OUT)]
    assert len(set(names)) == len(names) >= 4
    for style in HELD_OUT:
        assert not set(style.settings) & set(STREET.settings)
        assert style.optics != STREET.optics
        assert style.build != STREET.build


def test_scenes_are_structured_and_differ() -> None:
    scenes = draw_scenes(1, 6, STREET)
    assert len({scene.picture.tobytes() for scene in scenes}) == 6
    for scene in scenes:
        assert scene.picture.std() > 10
        assert 0 < scene.ground < scene.picture.shape[0]
