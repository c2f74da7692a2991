"""Sealed parts of an index: blocks that take no more rows, and an accelerator over those that were there when it was
built."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from service.domain import CropIds, VectorArray
from service.index.accelerators import Accelerator, Source
from service.index.blocks import COPIED_AT_ONCE, GONE, Block
from service.index.scan import Found


class Stopped(Exception):
    """What was being built is not needed any more."""


@dataclass(frozen=True, slots=True, eq=False)
class Segment:
    """Some blocks, and an accelerator over their rows."""

    blocks: tuple[Block, ...]
    places: NDArray[np.int64]  # (rows,): of each row of the accelerator the block in this segment, and the row there
    accelerator: Accelerator

    @property
    def live(self) -> int:
        """How many rows there are."""
        return sum(block.live for block in self.blocks)

    @property
    def removed(self) -> int:
        """How many rows of the accelerator were removed since it was built."""
        return len(self.places) - self.live

    @property
    def bytes(self) -> int:
        """Memory beside the blocks."""
        return self.places.nbytes + self.accelerator.bytes

    def best(self, queries: VectorArray, wanted: int, first: int) -> Found | None:
        """Candidates as places, where this segment's blocks are numbered from `first` on; None where it cannot give as
        many."""
        wanted = min(wanted, len(self.places))
        if wanted > self.accelerator.limit:
            return None
        scores, rows = self.accelerator.search(queries, wanted)
        if (rows < 0).any():
            return None
        return scores, self.places[rows] + (first << 32)


def build_segment(
    blocks: Sequence[Block], build: Callable[[Source], Accelerator], stopping: Callable[[], bool]
) -> Segment:
    """An accelerator over what there is of the blocks, which must be full or never filled again. Raises Stopped, and
    what `build` raises."""
    live = [np.flatnonzero(block.ids[: block.count] != GONE) for block in blocks]
    places = np.concatenate([rows + (number << 32) for number, rows in enumerate(live)])

    def parts() -> Iterator[VectorArray]:
        for block, rows in zip(blocks, live, strict=True):
            for start in range(0, len(rows), COPIED_AT_ONCE):
                if stopping():
                    raise Stopped
                part = block.vectors[rows[start : start + COPIED_AT_ONCE]].astype(np.float32, copy=False)
                yield np.nan_to_num(part, copy=False)  # what is removed meanwhile

    source = Source(len(places), blocks[0].vectors.shape[1], parts)
    return Segment(tuple(blocks), places, build(source))


@dataclass(frozen=True, slots=True)
class Packing:
    """The rows that are left of some blocks, copied into fresh ones, and where each came from."""

    old: tuple[Block, ...]
    fresh: tuple[Block, ...]
    rows: tuple[NDArray[np.int64], ...]  # of each old block

    def settle(self) -> None:
        """Remove from the fresh blocks what was removed from the old ones meanwhile. Of a row that was being removed
        when it was copied, the mark may have been copied and not yet what overwrote its vector: it is overwritten too.
        """
        if not self.fresh:
            return
        gone = np.concatenate([block.ids[rows] == GONE for block, rows in zip(self.old, self.rows, strict=True)])
        start = 0
        for block in self.fresh:
            block.remove(np.flatnonzero(gone[start : start + block.count]))
            start += block.count


def pack(blocks: Sequence[Block], size: int) -> Packing:
    """Copy what is left of blocks into as few as hold it, a few MB at a time."""
    fresh: list[Block] = []
    kept: list[CropIds] = []
    for block in blocks:
        rows = np.flatnonzero(block.ids[: block.count] != GONE)
        kept.append(rows)
        for start in range(0, len(rows), COPIED_AT_ONCE):
            part = rows[start : start + COPIED_AT_ONCE]
            put(fresh, block.ids[part], block.vectors[part], size, block.vectors.shape[1], block.vectors.dtype.type)
    return Packing(tuple(blocks), tuple(fresh), tuple(kept))


def put(
    blocks: list[Block], ids: CropIds, vectors: NDArray[Any], size: int, dim: int, dtype: type[np.floating[Any]]
) -> None:
    """Append rows to the last of some blocks, and to new ones."""
    while len(ids):
        if not blocks or blocks[-1].full:
            blocks.append(Block.of(size, dim, dtype))
        taken = blocks[-1].append(ids, vectors)
        ids, vectors = ids[taken:], vectors[taken:]
