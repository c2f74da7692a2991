"""Judging and calibrating, with vectors whose right answers are plain to see."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from models.evaluation.evaluate import judge, read_vehicles
from models.people.crowd import Picture

CAMERAS = 3


def grey(shade: int) -> NDArray[np.uint8]:
    """A picture of one grey."""
    return np.full((8, 4, 3), shade, np.uint8)


def crowd(people: int) -> list[Picture]:
    """Pictures of a single colour, a grey per person, from each camera."""
    return [Picture(grey(10 * who), who, camera) for who in range(people) for camera in range(CAMERAS)]


def by_angle(images: list[NDArray[np.uint8]]) -> NDArray[np.float32]:
    """A vector whose direction is the grey: people next to each other are 10 degrees apart."""
    angles = np.radians([float(image[0, 0, 0]) for image in images])
    return np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)


def test_vectors_that_follow_the_person_get_full_marks() -> None:
    one_camera, all_cameras = judge(by_angle, crowd(6)), judge(by_angle, crowd(6), query_camera=None)
    assert (one_camera.queries, all_cameras.queries) == (6, 6 * CAMERAS)
    assert one_camera.mean_ap == all_cameras.rank(1) == 1


def test_an_absent_folder_has_no_vehicles(tmp_path: Path) -> None:
    assert read_vehicles(tmp_path) == []
