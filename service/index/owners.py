"""Who owns each crop, in memory: eight bytes a crop where a dict takes a hundred."""

from array import array
from collections.abc import Iterator, Sequence

import numpy as np

from service.domain import CropIds

BITS = 6  # a page has places for 64 ids in a row; smaller ones waste less where many collections share the ids
NOBODY = -1


class Owners:
    """Identities by crop id. One writer; readers see each crop before or after a change."""

    def __init__(self) -> None:
        self._pages: dict[int, array[int]] = {}

    def __contains__(self, crop: int) -> bool:
        return self.get(crop) is not None

    def get(self, crop: int) -> int | None:
        """The identity that owns a crop, or None."""
        page = self._pages.get(crop >> BITS)
        owner = NOBODY if page is None else page[crop & _MASK]
        return None if owner == NOBODY else owner

    def get_each(self, crops: Sequence[int]) -> list[int | None]:
        """`get` of each, in one go: a query asks for forty and more."""
        pages = self._pages
        owners = (NOBODY if (page := pages.get(crop >> BITS)) is None else page[crop & _MASK] for crop in crops)
        return [None if owner == NOBODY else owner for owner in owners]

    def put(self, crop: int, identity: int) -> None:
        """Note whose crop it is."""
        page = self._pages.get(crop >> BITS)
        if page is None:
            page = self._pages[crop >> BITS] = array("q", _EMPTY)
        page[crop & _MASK] = identity

    def pop(self, crop: int) -> int | None:
        """Forget a crop; returns who owned it."""
        owner = self.get(crop)
        if owner is not None:
            page = self._pages[crop >> BITS]
            page[crop & _MASK] = NOBODY
            if page == _EMPTY:
                del self._pages[crop >> BITS]
        return owner

    def put_all(self, crops: CropIds, identities: CropIds) -> None:
        """Note the owners of many crops that are in order: (n,), (n,)."""
        for number, start, end in runs(crops >> BITS):
            page = np.frombuffer(self._pages.setdefault(number, array("q", _EMPTY)), np.int64)
            page[crops[start:end] & _MASK] = identities[start:end]


def runs(numbers: CropIds) -> Iterator[tuple[int, int, int]]:
    """Each number of a sorted array with where it starts and ends."""
    starts = np.flatnonzero(np.diff(numbers, prepend=numbers[:1] - 1))
    ends = np.append(starts, len(numbers))[1:]
    yield from zip(numbers[starts].tolist(), starts.tolist(), ends.tolist(), strict=True)


_MASK = (1 << BITS) - 1
_EMPTY = array("q", [NOBODY] * (1 << BITS))
