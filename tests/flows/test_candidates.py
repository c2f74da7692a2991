"""How far the search for k identities goes."""

from typing import TypeVar

import numpy as np

from service.domain import Change
from service.flows.candidates import Field, find_candidates
from service.flows.courses import Among, Course, Search
from service.index.gallery import Gallery
from service.index.segmented import SegmentedIndex

PEOPLE, CROPS = 4, 300
Result = TypeVar("Result")


def crowd() -> Gallery:
    """Four people with 300 crops each, one after another around a circle."""
    angles = np.linspace(0, np.pi / 2, PEOPLE * CROPS)
    vectors = np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)
    gallery = Gallery(SegmentedIndex(2))
    gallery.add([Change(row + 1, 1, row + 1, 1 + row // CROPS, vectors[row]) for row in range(PEOPLE * CROPS)])
    return gallery


def walk(course: Course[Result]) -> tuple[Result, int]:
    """What comes of a course that only searches, and how many searches it took."""
    came, steps = None, 0
    while True:
        try:
            step = course.send(came)
        except StopIteration as stop:
            return stop.value, steps
        steps += 1
        if isinstance(step, Among):
            came = [part[0] for part in step.index.among(step.vector[None], step.crops[None])]
        else:
            assert isinstance(step, Search)
            came = step.index.search(step.vectors, step.k, step.allow)


def search(field: Field, k: int, hits: int = 1) -> tuple[list[int], bool, int]:
    """Identities found from the beginning of the circle, whether that is all, and how many searches it took."""
    (groups, complete), searches = walk(find_candidates(field, np.array([1, 0], np.float32), k=k, hits=hits))
    return [one.identity for one in groups], complete, searches


def test_a_gallery_of_fewer_people_than_asked_for_is_complete_once_all_are_seen() -> None:
    people, complete, searches = search(Field(crowd()), k=100)
    assert (people, complete) == ([1, 2, 3, 4], True)
    assert searches <= 3


def test_an_allow_list_is_complete_once_all_its_people_are_seen() -> None:
    allow = np.arange(CROPS + 1, 3 * CROPS + 1)
    people, complete, searches = search(Field(crowd(), allow), k=100)
    assert (people, complete) == ([2, 3], True)
    assert searches <= 2


def test_who_must_not_answer_is_neither_found_nor_waited_for() -> None:
    assert search(Field(crowd(), without_identity=2), k=100)[:2] == ([1, 3, 4], True)


def test_one_left_out_among_the_allowed_hides_nobody_else() -> None:
    allow = np.arange(1, 2 * CROPS + 1)
    field = Field(crowd(), allow, without_identity=3)
    assert search(field, k=100)[:2] == ([1, 2], True)


def test_a_crop_that_is_all_of_its_person_is_left_out_and_not_waited_for() -> None:
    gallery = crowd()
    gallery.add([Change(10_000, 1, 10_000, 9, np.array([1, 0], np.float32))])
    people, complete, searches = search(Field(gallery, without_crop=10_000), k=5)
    assert (people, complete) == ([1, 2, 3, 4], True)
    assert searches <= 4


def test_hits_that_are_shown_as_one_are_in_the_order_of_their_crops() -> None:
    """Vectors of unit length have products with themselves a little above 1, which is shown as 1."""
    gallery = Gallery(SegmentedIndex(2))
    longer, shorter = np.array([1 + 3e-7, 0], np.float32), np.array([1 + 1e-7, 0], np.float32)
    gallery.add([Change(1, 1, 3, 1, shorter), Change(2, 1, 9, 1, longer)])
    (found, _), _ = walk(find_candidates(Field(gallery), np.array([1, 0], np.float32), k=1, hits=2))
    assert [(hit.crop, hit.similarity) for hit in found[0].hits] == [(3, 1.0), (9, 1.0)]
