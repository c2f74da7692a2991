"""Many people at once: cut-outs to train on, finished pictures from fixed cameras to judge by, all from seeds."""

from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from multiprocessing import get_context

import numpy as np
from tqdm import tqdm

from models.people.camera import Camera, Rgb, draw_camera, shoot
from models.people.dress import Sheets, dress
from models.people.figure import build_figure
from models.people.person import Person, draw_person
from models.people.pose import draw_pose
from models.people.render import Rgba, View, render
from models.people.scene import Scene, draw_scene
from models.people.style import Style

HEIGHT = 160  # pixels of a cut-out; crops from common cameras are seldom taller


@dataclass(frozen=True, slots=True)
class Picture:
    """A finished crop and what is known about it."""

    image: Rgb
    identity: int
    camera: int


@dataclass(frozen=True, slots=True)
class Place:
    """A fixed camera: its optics, its backgrounds and how it sees."""

    camera: Camera
    scenes: list[Scene]
    view: View  # its yaw is the way most people walk


def draw_view(rng: np.random.Generator, style: Style) -> View:
    """Any direction, any light."""
    light = (rng.normal(), rng.uniform(0.1, 1.5), rng.uniform(-0.1, 1.2))
    return View(
        yaw=rng.uniform(0, 2 * np.pi),
        pitch=rng.uniform(*style.pitch),
        light=light,
        ambient=rng.uniform(*style.ambient),
        roll=rng.normal(0, 0.03),
        distance_m=rng.uniform(*style.distance_m),
        warmth=rng.normal(0, 0.06),
    )


def draw_place(rng: np.random.Generator, style: Style) -> Place:
    """A fixed camera at random."""
    view = draw_view(rng, style)
    scenes = [draw_scene(rng, style) for _ in range(3)]
    return Place(draw_camera(rng, 1.0, style.optics), scenes, view)


def person_of(seed: int, identity: int, style: Style, stream: int | None = None) -> Person:
    """The person who has this number in the crowd of this seed; another `stream` of the seed has other people."""
    return draw_person(np.random.default_rng((seed, identity, 0, *(() if stream is None else (stream,)))), style)


def pose_and_render(person: Person, sheets: Sheets, view: View, style: Style, rng: np.random.Generator) -> Rgba:
    """The person's cut-out in a pose at random."""
    pose = draw_pose(rng, style, person.rides, person.umbrella)
    return render(build_figure(person, pose), sheets, view, HEIGHT, style, pose.shift)


def cut_outs(seed: int, identity: int, style: Style, views: int, stream: int | None = None) -> list[Rgba]:
    """One person from many directions, RGBA, in different poses."""
    person = person_of(seed, identity, style, stream)
    sheets = dress(person)
    rng = np.random.default_rng((seed, identity, 1))
    return [pose_and_render(person, sheets, draw_view(rng, style), style, rng) for _ in range(views)]


def draw_cut_outs(seed: int, identities: int, views: int, style: Style, workers: int) -> list[list[Rgba]]:
    """Cut-outs of a whole crowd, indexed [identity][view]; about 1,000 × 16 take half a minute on one core."""
    jobs = ([seed] * identities, range(identities), [style] * identities, [views] * identities)
    title = f"drawing {identities} people, {style.name}"
    if workers <= 1:
        return list(tqdm(map(cut_outs, *jobs), total=identities, desc=title, disable=None))
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        return list(tqdm(pool.map(cut_outs, *jobs, chunksize=8), total=identities, desc=title, disable=None))


def draw_scenes(seed: int, count: int, style: Style) -> list[Scene]:
    """Backgrounds to train on."""
    bar = tqdm(range(count), desc=f"drawing {count} backgrounds, {style.name}", disable=None)
    return [draw_scene(np.random.default_rng((seed, k)), style) for k in bar]


def heading(place: Place, rng: np.random.Generator) -> float:
    """Which way somebody walks, radians: the place's way or back; one in five goes anywhere."""
    usual = rng.random() < 0.8
    if usual:
        return float(place.view.yaw + rng.normal(0, 0.35) + np.pi * (rng.random() < 0.5))
    return rng.uniform(0, 2 * np.pi)


def walk_past(
    place: Place, person: Person, style: Style, others: list[Rgba], rng: np.random.Generator, yaw: float | None = None
) -> Rgb:
    """One finished crop of a person at a fixed camera, walking the way `yaw` or any that is usual there."""
    view = replace(place.view, yaw=heading(place, rng) if yaw is None else yaw)
    cutout = pose_and_render(person, dress(person), view, style, rng)
    return shoot(cutout, place.camera, place.scenes[rng.integers(len(place.scenes))], others, rng)


def draw_pictures(seed: int, identities: int, cameras: int, shots: int, style: Style) -> Iterator[Picture]:
    """Finished crops of a crowd of its own: each person `shots` times at each of `cameras` fixed cameras."""
    places = [draw_place(np.random.default_rng((seed, k, 2)), style) for k in range(cameras)]
    passers = [view for k in range(8) for view in cut_outs(seed + 1, k, style, 2)]
    for identity in range(identities):
        person = person_of(seed, identity, style)
        for k, place in enumerate(places):
            for shot in range(shots):
                rng = np.random.default_rng((seed, identity, 3 + k, shot))
                yield Picture(walk_past(place, person, style, passers, rng), identity, k)
