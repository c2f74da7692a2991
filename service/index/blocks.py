"""The rows of an index in host memory: blocks that are allocated once, so that adding never copies what is there, and
searches run beside one writer without a lock held.

A removed row is overwritten with NaN: no comparison ever selects it, and its vector leaves memory at once, with its
sketch.
"""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any
from weakref import ref

import numpy as np
from numpy.typing import NDArray

from service.domain import CropIds, VectorArray
from service.index.sketch import Sketch

GONE = -1
COPIED_AT_ONCE = 4096  # rows: a few MB, so that no copy holds the interpreter for longer than a few ms
TABLE = 64  # one row in so many allowed: from here on a table is faster
TABLE_BYTES = 8  # of a table, at one for each id between the lowest and the highest, for a row at most

Rows = NDArray[np.floating[Any]]  # (n, dim) float32 or float16
Mask = NDArray[np.bool_]  # (n,)


@dataclass(slots=True, eq=False, weakref_slot=True)
class Block:
    """Rows up to `count` are readable; one writer fills the next."""

    vectors: Rows  # (size, dim)
    ids: CropIds  # (size,), GONE where removed
    sketch: Sketch
    count: int = 0
    live: int = 0
    serial: int = field(default_factory=itertools.count().__next__)
    changed: int = 0  # grows with every change
    closed: bool = False  # before it is full
    _order: tuple[int, NDArray[np.int32], CropIds] | None = field(default=None)
    _lists: "dict[int, tuple[ref[CropIds], int, View]]" = field(default_factory=dict)  # by the id of an allow-list

    @classmethod
    def of(cls, size: int, dim: int, dtype: type[np.floating[Any]]) -> "Block":
        """An empty block. Its memory is the system's to give when rows come."""
        return cls(np.empty((size, dim), dtype), np.empty(size, np.int64), Sketch.of(size, dim))

    @classmethod
    def around(cls, ids: CropIds, vectors: Rows) -> "Block":
        """A full block of rows whose memory it takes over, GONE where removed."""
        block = cls(vectors, ids, Sketch.of(*vectors.shape), count=len(ids), live=int((ids != GONE).sum()))
        block.sketch.put(0, vectors)
        return block

    @property
    def full(self) -> bool:
        """Whether it takes no more rows."""
        return self.closed or self.count == len(self.ids)

    @property
    def bytes(self) -> int:
        """Memory of the rows that are filled, their sketches and ids, the ids in order, and rows of allow-lists."""
        sorted_ids = 0 if self._order is None else self._order[1].nbytes + self._order[2].nbytes
        listed = sum(view.bytes for _, _, view in list(self._lists.values()))
        return self.count * (int(self.vectors.strides[0]) + self.sketch.row_bytes + 8) + sorted_ids + listed

    def append(self, ids: CropIds, vectors: Rows) -> int:
        """Take as many of the rows as there is room for; returns how many."""
        taken = min(len(ids), len(self.ids) - self.count)
        rows = slice(self.count, self.count + taken)
        self.vectors[rows], self.ids[rows] = vectors[:taken], ids[:taken]
        self.sketch.put(self.count, self.vectors[rows])
        self.live += int((ids[:taken] != GONE).sum())
        self.changed += 1
        self.count += taken  # from here on searches see the rows
        self._lists.clear()
        return taken

    def remove(self, rows: CropIds) -> None:
        """Overwrite rows, also such as were marked as gone before their vectors were."""
        self.live -= int((self.ids[rows] != GONE).sum())
        self.ids[rows] = GONE
        self.vectors[rows] = np.nan
        self.sketch.drop(rows)
        self.changed += len(rows)
        self._lists.clear()  # with what they say of the rows

    def find(self, ids: CropIds) -> CropIds:
        """The rows of those of the ids (in order, each once) that are in this block."""
        return self.locate(ids)[1]

    def locate(self, ids: CropIds) -> tuple[NDArray[np.int64], CropIds]:
        """Which of the ids (in order, each once) are in this block, as places among them, and their rows."""
        count, order, ordered = self._sorted()
        if count == 0:
            return np.empty(0, np.int64), np.empty(0, np.int64)
        first, last = np.searchsorted(ids, (ordered[0], ordered[-1] + 1))
        places = np.searchsorted(ordered, ids[first:last]).clip(max=count - 1)
        known = np.flatnonzero(ordered[places] == ids[first:last])
        rows = order[places[known]].astype(np.int64)
        there = self.ids[rows] != GONE
        return known[there] + first, rows[there]

    @property
    def whole(self) -> "View":
        """All rows that are filled now."""
        return View(self.vectors[: self.count], self.ids[: self.count], self.sketch)

    def recall(self, allow: CropIds) -> "View | None":
        """What was remembered of this very list, where nothing has changed since."""
        found = self._lists.get(id(allow))
        return found[2] if found and found[1] == self.changed and len(found[2].ids) == self.count else None

    def remember(self, allow: CropIds, changed: int, view: "View") -> None:
        """Keep what a list allows, as of so many changes, while the list is there and nothing changes. The list must
        never change."""
        key, block = id(allow), ref(self)  # not the block itself: it would keep itself in memory

        def forget(_: "ref[CropIds]") -> None:  # before another list can have this id
            there = block()
            if there is not None:
                there._lists.pop(key, None)

        self._lists[key] = ref(allow, forget), changed, view

    def _sorted(self) -> tuple[int, NDArray[np.int32], CropIds]:
        """Rows by id. Removals since leave stale places, which `find` drops; only additions sort again."""
        count, cached = self.count, self._order
        if cached is None or cached[0] != count:
            ids = self.ids[:count].copy()
            order = np.argsort(ids, kind="stable")
            cached = self._order = (count, order.astype(np.int32), ids[order])
        return cached


@dataclass(frozen=True, slots=True)
class View:
    """The rows of a block that a search may see: those filled when it began, and of them those allowed."""

    vectors: Rows
    ids: CropIds
    sketch: Sketch
    rows: NDArray[np.int64] | None = None  # the allowed ones; None for all
    masked: VectorArray | None = None  # the steps, made beforehand

    @property
    def count(self) -> int:
        """How many rows may be found, removed ones among them."""
        return len(self.ids) if self.rows is None else len(self.rows)

    @property
    def bytes(self) -> int:
        """Memory of its own."""
        return sum(own.nbytes for own in (self.rows, self.masked) if own is not None)

    @property
    def steps(self) -> VectorArray:
        """The steps of all sketches, NaN where a row must not be found."""
        if self.masked is not None:
            return self.masked
        steps = self.sketch.steps[: len(self.ids)]
        if self.rows is None:
            return steps
        allowed = np.full(len(self.ids), np.nan, np.float32)
        allowed[self.rows] = steps[self.rows]
        return allowed


def views(blocks: Sequence[Block], allow: CropIds | None) -> list[View]:
    """What a search may see of the blocks: all that is filled now, or only `allow` of it. What is allowed is remembered
    for each list that cannot be written to."""
    if allow is None:
        return [block.whole for block in blocks]
    known = [block.recall(allow) for block in blocks]
    fresh = [block for block, view in zip(blocks, known, strict=True) if view is None]
    looked_up = iter(_looked_up(fresh, allow) if fresh else ())
    return [next(looked_up) if view is None else view for view in known]


def _looked_up(blocks: Sequence[Block], allow: CropIds) -> list[View]:
    changed, whole = [block.changed for block in blocks], [block.whole for block in blocks]
    table = _table(allow, sum(view.count for view in whole))
    if table is not None:
        found = [replace(view, rows=_by_table(view.ids, *table)) for view in whole]
    else:
        ordered = np.unique(allow)
        found = [
            replace(view, rows=_within(block.find(ordered), len(view.ids)))
            for view, block in zip(whole, blocks, strict=True)
        ]
    if allow.flags.writeable:
        return found
    found = [view if view.rows is None else replace(view, masked=view.steps) for view in found]
    for block, as_of, view in zip(blocks, changed, found, strict=True):
        block.remember(allow, as_of, view)
    return found


def _within(rows: CropIds, count: int) -> CropIds:
    """Those of the rows that were there when the search began: more may have come since."""
    return rows[rows < count]


def _table(allow: CropIds, rows: int) -> tuple[int, Mask] | None:
    """Whether each id from one below the lowest to one above the highest is allowed, and which the first is: where many
    are, looking each row up in a table is faster than looking each id up among the rows. None where few are, or where
    the table would be large."""
    if len(allow) * TABLE < rows or not len(allow):
        return None
    first = int(allow.min()) - 1
    size = int(allow.max()) - first + 2
    if size > TABLE_BYTES * rows:
        return None
    table = np.zeros(size, np.bool_)
    table[allow - first] = True
    if first < GONE < first + size:
        table[GONE - first] = False
    return first, table


def _by_table(ids: CropIds, first: int, table: Mask) -> NDArray[np.int64] | None:
    """The allowed rows; None where all are that are there."""
    places = ids - first  # asked once: rows may be removed meanwhile
    allowed = np.flatnonzero(table.take(places, mode="clip"))  # what is outside is at one of the ends
    return None if len(allowed) == np.count_nonzero(places != GONE - first) else allowed
