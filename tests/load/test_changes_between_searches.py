"""A query searches twice: for the best crops of all, then for further crops of the winners. What changes in between
must not show as candidates out of order."""

from collections.abc import Callable

import numpy as np

from service.domain import Change, CropIds, VectorArray
from service.flows.candidates import FIRST_FETCH, Field, find_candidates
from service.index.gallery import Gallery
from service.index.segmented import SegmentedIndex
from service.matching.grouping import Group
from tests.flows.test_candidates import walk

QUERY = np.array([1, 0], np.float32)


class _Meddled(SegmentedIndex):
    """Lets something happen right before the second search."""

    def __init__(self) -> None:
        super().__init__(2)
        self.searches = 0
        self.meddle: Callable[[], None] = lambda: None

    def search(self, queries: VectorArray, k: int, allow: CropIds | None = None) -> tuple[VectorArray, CropIds]:
        self._count()
        return super().search(queries, k, allow)

    def among(self, queries: VectorArray, ids: CropIds) -> tuple[VectorArray, CropIds]:
        self._count()
        return super().among(queries, ids)

    def _count(self) -> None:
        self.searches += 1
        if self.searches == 2:
            self.meddle()


def _added(crop: int, identity: int, similarity: float) -> Change:
    vector = np.array([similarity, np.sqrt(1 - similarity**2)], np.float32)
    return Change(crop, 1, crop, identity, vector)


def _gallery() -> tuple[Gallery, _Meddled]:
    """Identity 1 at 0.9, identity 2 at 0.8, and so many crops of both that the first search cannot have them all."""
    index = _Meddled()
    gallery = Gallery(index)
    gallery.add([_added(1, 1, 0.9), _added(2, 2, 0.8), _added(3, 2, 0.1)])
    gallery.add([_added(10 + number, 1, 0.5 - number / 1000) for number in range(FIRST_FETCH)])
    return gallery, index


def _find(gallery: Gallery) -> list[Group]:
    (found, _), _ = walk(find_candidates(Field(gallery), QUERY, k=2, hits=3))
    return found


def test_the_further_hits_of_a_winner_are_found() -> None:
    gallery, index = _gallery()
    assert [[hit.crop for hit in one.hits] for one in _find(gallery)] == [[1, 10, 11], [2, 3]]
    assert index.searches == 2


def test_a_better_crop_that_comes_in_between_does_not_put_candidates_out_of_order() -> None:
    gallery, index = _gallery()
    index.meddle = lambda: gallery.add([_added(900, 2, 0.99)])
    similarities = [one.similarity for one in _find(gallery)]
    assert similarities == sorted(similarities, reverse=True)
    assert [one.hits[0].crop for one in _find(gallery)] == [900, 1]


def test_a_best_crop_that_goes_in_between_is_still_named_so_that_the_join_notices() -> None:
    gallery, index = _gallery()
    gallery.add([_added(4, 3, 0.7)])
    index.meddle = lambda: gallery.remove([2])
    assert [(one.identity, one.hits[0].crop) for one in _find(gallery)] == [(1, 1), (2, 2)]
    assert [(one.identity, one.hits[0].crop) for one in _find(gallery)] == [(1, 1), (3, 4)]
