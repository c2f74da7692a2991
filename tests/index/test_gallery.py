"""The change log applied to galleries in memory: however it is cut, repeated or caught up with, they end the same."""

from dataclasses import dataclass, field, replace

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from service.domain import Change, CropIds, VectorArray
from service.index.gallery import Galleries, Gallery
from service.index.owners import Owners
from service.index.segmented import SegmentedIndex
from tests.index.brute_force import unit_vectors
from tests.index.contract import DIM

COLLECTIONS = (1, 2, 3)
VECTORS = unit_vectors(400, DIM, seed=0)


def _galleries() -> Galleries:
    return Galleries(lambda: SegmentedIndex(DIM, block_rows=8))


def _vector(crop: int) -> VectorArray:
    return VECTORS[crop % len(VECTORS)]


@dataclass
class _History:
    """A change log, and what it leaves: the owner of each crop by collection."""

    changes: list[Change] = field(default_factory=list)
    owners: dict[int, dict[int, int]] = field(default_factory=lambda: {number: {} for number in COLLECTIONS})

    def append(self, collection: int, crop: int, identity: int, vector: VectorArray | None) -> None:
        self.changes.append(Change(len(self.changes) + 1, collection, crop, identity, vector))


@st.composite
def _histories(draw: st.DrawFn) -> _History:
    """Additions of new crops, removals of some that are there: as the writer logs them."""
    history, crop = _History(), 0
    for _ in range(draw(st.integers(1, 25))):
        collection = draw(st.sampled_from(COLLECTIONS))
        owners = history.owners[collection]
        if owners and draw(st.booleans()):
            for gone in draw(st.lists(st.sampled_from(sorted(owners)), min_size=1, max_size=12, unique=True)):
                history.append(collection, gone, 0, None)
                del owners[gone]
            continue
        for _ in range(draw(st.integers(1, 12))):
            crop += draw(st.integers(1, 3))
            identity = collection * 100 + draw(st.integers(0, 3))
            history.append(collection, crop, identity, _vector(crop))
            owners[crop] = identity
    return history


def _check(galleries: Galleries, history: _History) -> None:
    assert galleries.generation == len(history.changes)
    assert len(galleries) == sum(len(owners) for owners in history.owners.values())
    ever = {change.crop for change in history.changes}
    for collection, owners in history.owners.items():
        gallery = galleries.of(collection)
        assert {crop: gallery.owner(crop) for crop in ever} == {crop: owners.get(crop) for crop in ever}
        for identity in {change.identity for change in history.changes}:
            expected = tuple(sorted(crop for crop, owner in owners.items() if owner == identity))
            assert gallery.crops(identity) == expected
        similarities, ids = gallery.vectors.search(VECTORS[:1], len(ever) + 1)
        found = {crop: value for crop, value in zip(ids[0].tolist(), similarities[0].tolist(), strict=True) if crop > 0}
        assert found.keys() == owners.keys()
        for crop, similarity in found.items():
            assert abs(similarity - float(_vector(crop) @ VECTORS[0])) < 1e-6


@settings(max_examples=60, deadline=None)
@given(history=_histories(), data=st.data())
def test_a_log_applied_in_parts_that_overlap_ends_like_the_whole(history: _History, data: st.DataObject) -> None:
    galleries, applied = _galleries(), 0
    for _ in range(data.draw(st.integers(0, 4), label="parts")):
        first = data.draw(st.integers(0, applied), label="from")
        last = data.draw(st.integers(first, len(history.changes)), label="to")
        galleries.apply(history.changes[first:last])
        applied = max(applied, last)
        assert galleries.generation == applied
    galleries.apply(history.changes[applied:])
    _check(galleries, history)


@settings(max_examples=60, deadline=None)
@given(history=_histories(), data=st.data())
def test_catching_up_with_crops_that_are_gone_already_ends_like_the_whole(
    history: _History, data: st.DataObject
) -> None:
    """The vector of a crop that was added and removed since is no longer in SQL; both its lines count as removals."""
    galleries, seen = _galleries(), data.draw(st.integers(0, len(history.changes)), label="seen")
    galleries.apply(history.changes[:seen])
    there = {crop for owners in history.owners.values() for crop in owners}
    galleries.apply(
        [
            change if change.vector is None or change.crop in there else replace(change, vector=None, identity=0)
            for change in history.changes[seen:]
        ]
    )
    _check(galleries, history)


@settings(max_examples=30, deadline=None)
@given(history=_histories())
def test_loading_what_is_left_is_like_applying_the_whole_log(history: _History) -> None:
    galleries = _galleries()
    for collection, owners in history.owners.items():
        crops = np.array(sorted(owners), np.int64)
        galleries.of(collection).own(crops, np.array([owners[crop] for crop in crops.tolist()], np.int64))
        for part in np.array_split(crops, 3):
            if len(part):
                galleries.of(collection).vectors.add(part, np.stack([_vector(crop) for crop in part.tolist()]))
    galleries.generation = len(history.changes)
    _check(galleries, history)


def test_what_was_applied_before_is_skipped_and_what_a_list_of_changes_holds_twice_counts_once() -> None:
    galleries = _galleries()
    changes = [Change(number, 1, number, 7, _vector(number)) for number in (1, 2, 3)]
    galleries.apply(changes)
    galleries.apply(changes)
    galleries.apply([])
    assert (len(galleries), galleries.generation, galleries.of(1).crops(7)) == (3, 3, (1, 2, 3))
    galleries.apply([Change(4, 1, 2), Change(5, 1, 2), Change(6, 1, 99)])
    assert (len(galleries), galleries.generation, galleries.of(1).crops(7)) == (2, 6, (1, 3))


def test_a_crop_has_an_owner_as_long_as_a_search_may_find_it() -> None:
    class Watched(SegmentedIndex):
        """Tells who owns crops at the moment when searches begin to find them, and when they have just ceased to."""

        def add(self, ids: CropIds, vectors: VectorArray) -> None:
            super().add(ids, vectors)
            seen.append([gallery.owner(crop) for crop in ids.tolist()])

        def remove(self, ids: CropIds) -> int:
            seen.append([gallery.owner(crop) for crop in ids.tolist()])
            return super().remove(ids)

    seen: list[list[int | None]] = []
    gallery = Gallery(Watched(DIM))
    gallery.add([Change(1, 1, 5, 50, _vector(5)), Change(2, 1, 6, 60, _vector(6))])
    gallery.remove([6, 5])
    assert seen == [[50, 60], [60, 50]]
    assert gallery.owner(5) is None


def test_owners_are_what_a_dict_of_them_would_say() -> None:
    """Put, forgotten and put again, one by one and many at once, over ids that lie close and far apart."""
    rng, owners, known = np.random.default_rng(9), Owners(), dict[int, int]()
    for _ in range(300):
        crops = np.unique(rng.integers(0, rng.choice([200, 10**12]), size=int(rng.integers(1, 20))))
        if rng.random() < 0.5:
            identities = rng.integers(1, 9, size=len(crops))
            owners.put_all(crops, identities)
            known.update(zip(crops.tolist(), identities.tolist(), strict=True))
        elif rng.random() < 0.5:
            owners.put(int(crops[0]), 7)
            known[int(crops[0])] = 7
        else:
            for crop in [*crops.tolist(), *list(known)[::3]]:
                assert owners.pop(crop) == known.pop(crop, None)
        for crop in [*crops.tolist(), *list(known)[:50]]:
            assert owners.get(crop) == known.get(crop)
            assert (crop in owners) == (crop in known)
        asked = [*crops.tolist(), *list(known)[:50]]
        assert owners.get_each(asked) == [known.get(crop) for crop in asked]
    for crop in list(known):
        owners.pop(crop)
    assert owners._pages == {}
