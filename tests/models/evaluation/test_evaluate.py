"""Judging and calibrating, with vectors whose right answers are plain to see."""

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from models.evaluation.evaluate import Trial, calibrate, judge, read_vehicles, tabulate
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


def test_thresholds_let_through_the_share_of_strangers_they_are_asked_for() -> None:
    pictures = crowd(12)
    thresholds = calibrate(by_angle, pictures, fpir_match=0.01, fpir_possible=0.5)
    assert thresholds.match == pytest.approx(np.cos(np.radians(10)), abs=1e-3)  # the best stranger is a neighbour
    assert thresholds.possible <= thresholds.match
    assert thresholds.tpir_match == 1


def test_people_of_another_group_are_no_strangers_to_a_gallery() -> None:
    near = [Picture(grey(10), 0, 0), Picture(grey(10), 0, 1), Picture(grey(80), 1, 0), Picture(grey(80), 1, 1)]
    far = [Picture(grey(11), 2, 10), Picture(grey(11), 2, 11), Picture(grey(81), 3, 10), Picture(grey(81), 3, 11)]
    thresholds = calibrate(by_angle, near + far, fpir_match=0.01, fpir_possible=0.5)
    assert thresholds.match == pytest.approx(np.cos(np.radians(70)), abs=1e-3)


def test_the_table_has_a_row_for_network_and_histogram_of_each_set() -> None:
    lines = tabulate(by_angle, [Trial("greys", crowd(3), 0)])
    assert lines[2] == "| greys: network | 1.000 | 1.000 | 1.000 | 1.000 | 3 |"
    assert lines[3].startswith("| greys: histogram |")


def test_an_absent_folder_has_no_vehicles(tmp_path: Path) -> None:
    assert read_vehicles(tmp_path) == []
