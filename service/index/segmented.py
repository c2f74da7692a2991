"""Nearest neighbours by inner product: rows in host memory, which say what is there and how similar it is, and
accelerators over those that no longer change, which say where to look.

Rows that came last are compared one by one. In the background full blocks are sealed under an accelerator, small and
much-removed ones are packed, and the result is put in their place between two changes.
"""

import logging
import threading
import traceback
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

import faiss
import numpy as np

from service.domain import CropIds, Piece, VectorArray
from service.errors import IndexRefused
from service.index.blocks import GONE, Block, views
from service.index.kinds import EXACT, Kind
from service.index.scoring import rescored
from service.index.segments import Packing, Segment, Stopped, build_segment, pack, put
from service.index.state import State, candidates

log = logging.getLogger(__name__)

BLOCK_ROWS = 65_536
WASTED, FEWEST_WASTED = 4, 64  # one row in so many: of the block that takes rows, and of what it holds when full
SEGMENT_ROWS = 16 * BLOCK_ROWS  # most under one accelerator: what is copied to build it anew fits a few GB


def give_way() -> None:
    """Let this thread, which works in the background, use one core. It is not made nicer: what it holds when it is kept
    waiting, searches wait for."""
    faiss.omp_set_num_threads(1)


class NotBuilt(Exception):
    """An accelerator cannot be built of some vectors."""


class SegmentedIndex:
    """A VectorIndex of any kind."""

    def __init__(
        self, dim: int, kind: Kind = EXACT, *, threads: int = 1, block_rows: int = BLOCK_ROWS,
        segment_rows: int = SEGMENT_ROWS,
        background: Callable[[Callable[[], None]], object] = lambda work: work(),
        fail_point: Callable[[str], None] = lambda name: None,
    ) -> None:  # fmt: skip
        """`background` takes work that a search must not wait for. `fail_point` is called with the name of each place
        where a crash must not lose anything."""
        self.dim = dim
        self._kind = kind
        self._threads = threads
        self._block_rows = block_rows
        self._segment_blocks = max(1, segment_rows // block_rows)
        self._background = background
        self._fail_point = fail_point
        self._state = State()
        self._writing = threading.Lock()  # guards the state and every block that it holds
        self._mending = threading.Lock()  # one mends at a time
        self._asked = False
        self._closed = False
        self.failure = ""  # why there are no accelerators any more

    def __len__(self) -> int:
        """How many vectors there are."""
        return sum(block.live for block in self._state.blocks)

    @property
    def bytes(self) -> int:
        """Memory that vectors, ids and accelerators take, but for what is on a card."""
        state = self._state
        return sum(block.bytes for block in state.blocks) + sum(segment.bytes for segment in state.segments)

    @property
    def accelerated(self) -> int:
        """How many vectors accelerators were built from."""
        return sum(len(segment.places) for segment in self._state.segments)

    def add(self, ids: CropIds, vectors: VectorArray) -> None:
        """Add (n, dim) vectors under n ids that are not in the index."""
        with self._writing:
            loose = list(self._state.loose)
            put(loose, ids, vectors, self._block_rows, self.dim, self._kind.dtype)
            self._state = replace(self._state, loose=tuple(loose))
        self._ask()

    def remove(self, ids: CropIds) -> int:
        """Remove ids, unknown ones ignored; returns how many were there. Their vectors are overwritten at once, and
        leave accelerators with the next `purge`."""
        removed, ids = 0, np.unique(ids)  # named twice, an id would be counted as two
        with self._writing:
            for block in self._state.blocks:
                rows = block.find(ids)
                if len(rows):
                    block.remove(rows)
                    removed += len(rows)
            self._state = State(
                tuple(block for block in self._state.loose if block.live),
                tuple(segment for segment in self._state.segments if segment.live),
            )
        self._ask()
        return removed

    def search(self, queries: VectorArray, k: int, allow: CropIds | None = None) -> tuple[VectorArray, CropIds]:
        """The k most similar of all, or of `allow`, for each of (n, dim) queries.

        Returns similarities and ids, both (n, k), best first, ties by lower id; short rows end in -inf and -1. An
        allow-list is answered exactly by every kind, also where all are allowed.
        """
        queries = np.ascontiguousarray(queries, np.float32)
        state = self._state
        seen = views(state.blocks, allow)
        if allow is not None:
            state = State(state.blocks)
        total = sum(view.count for view in seen)
        similarities = np.full((len(queries), k), -np.inf, np.float32)
        ids = np.full((len(queries), k), GONE, np.int64)
        pending, wanted = np.arange(len(queries)), min(k * self._kind.widening + self._kind.spare, total)
        while len(pending) and wanted:
            places = candidates(queries[pending], state, seen, wanted, self._threads)
            best, best_ids, least = rescored(queries[pending], seen, places)
            width = min(k, best.shape[1])
            similarities[pending, :width], ids[pending, :width] = best[:, :width], best_ids[:, :width]
            settled = (similarities[pending, -1] > least + self._kind.slack) | (wanted >= total)
            pending, wanted = pending[~settled], min(wanted * 4, total)
        return similarities, ids

    def among(self, queries: VectorArray, ids: CropIds) -> tuple[VectorArray, CropIds]:
        """The few ids of each query's own row, (n, w) with -1 for none, as `search` would give them: (n, w) each."""
        blocks = self._state.blocks
        named, back = np.unique(ids, return_inverse=True)
        places = np.full(len(named), GONE, np.int64)
        for number, block in enumerate(blocks):
            which, rows = block.locate(named)
            places[which] = rows + (number << 32)
        return rescored(queries, views(blocks, None), places[back].reshape(ids.shape))[:2]

    def cut(self) -> list[Piece]:
        """Everything in it, as pieces that share its memory. Cheap; by the one writer, between two changes."""
        return [
            Piece(f"{block.serial}-{block.changed}", block.ids[: block.count].copy(), block.vectors[: block.count])
            for block in self._state.blocks
        ]

    def restore(self, pieces: Iterable[Piece]) -> None:
        """Take the pieces of an index like this one, and their memory, instead of adding row by row. Into an empty
        index."""
        for piece in pieces:
            fresh: list[Block] = []
            if len(piece.ids) == self._block_rows and piece.vectors.dtype == self._kind.dtype:
                fresh.append(Block.around(piece.ids, piece.vectors))
            else:
                put(fresh, piece.ids, piece.vectors, self._block_rows, self.dim, self._kind.dtype)
            with self._writing:
                self._state = replace(self._state, loose=(*self._state.loose, *fresh))
        self._ask()

    @property
    def holds_removed(self) -> bool:
        """Whether an accelerator still has a removed vector."""
        return any(segment.removed for segment in self._state.segments)

    def purge(self) -> None:
        """Build every accelerator anew that still holds a removed vector, or do without it where that cannot be.
        Returns when none does."""
        give_way()
        with self._mending:
            self._rebuild_worn()  # and lets go of what was there before
        self._kind.sweep()
        self._ask()

    def close(self) -> None:
        """Let what is under way in the background end soon."""
        self._closed = True

    def _ask(self) -> None:
        """Have the background look after what is to be done, if anything is."""
        if self._asked or self._closed or self._next_work() is None:
            return
        self._asked = True
        self._background(self._mend)

    def _mend(self) -> None:
        with self._mending:
            self._asked = False
            while not self._closed and (work := self._next_work()) is not None:
                try:
                    work()
                except Stopped:
                    return
                except NotBuilt as error:
                    log.error("the next vectors are compared one by one, until a restart: %s", _reason(error))
                    self._kind, self.failure = replace(self._kind, build=None), _reason(error)
                except Exception as error:
                    log.error("the index is packed after the next write: %s", _reason(error))
                    return

    def _next_work(self) -> Callable[[], None] | None:
        state = self._state
        small = [block for block in state.closed if block.live * 2 < self._block_rows]
        hollow = any(block.live * 2 < block.count for block in small)
        if state.loose and not state.loose[-1].full and self._is_wasteful(state.loose[-1]):
            small, hollow = [*small, state.loose[-1]], True
        if len(small) > 1 or hollow:
            return lambda: self._compact(small)
        if self._kind.build is None:
            return None
        chosen = state.closed[: self._segment_blocks]
        if chosen:
            absorbed = self._absorbed(state.segments, len(chosen))
            live = sum(block.live for block in chosen) + sum(segment.live for segment in absorbed)
            if live >= self._kind.least:
                return lambda: self._seal(chosen, absorbed)
        worn = next((segment for segment in state.segments if segment.removed * 4 > len(segment.places)), None)
        return None if worn is None else lambda: self._seal((), (worn,))

    def _is_wasteful(self, block: Block) -> bool:
        """Whether so much of the block that takes rows was removed again that it is not left to become full: where
        people come and go, its memory would grow all the while."""
        removed = block.count - block.live
        return removed * WASTED > block.count and removed * FEWEST_WASTED > self._block_rows

    def _absorbed(self, segments: Sequence[Segment], size: int) -> tuple[Segment, ...]:
        """Segments no larger than what joins them: so a row is built into few accelerators, and those stay few."""
        taken = []
        for segment in sorted(segments, key=lambda segment: len(segment.blocks)):
            if len(segment.blocks) > size or len(segment.blocks) + size > self._segment_blocks:
                break
            taken.append(segment)
            size += len(segment.blocks)
        return tuple(taken)

    def _compact(self, blocks: Sequence[Block]) -> None:
        self._close_blocks(blocks)
        packing = self._packed(blocks)
        with self._writing:
            packing.settle()
            state = self._state
            loose = tuple(block for block in state.loose if block not in packing.old)
            self._state = replace(state, loose=(*packing.fresh, *loose))

    def _close_blocks(self, blocks: Sequence[Block]) -> None:
        """The next row goes into another: also when one of these, not full, becomes the last, as those behind it are
        emptied."""
        with self._writing:
            for block in blocks:
                block.closed = True

    def _packed(self, blocks: Sequence[Block]) -> Packing:
        packing = pack(blocks, self._block_rows)
        if blocks:
            self._fail_point("while-compacting")
        return packing

    def _rebuild_worn(self) -> None:
        for segment in self._state.segments:
            try:
                if segment.removed and self._kind.build is not None:
                    self._seal((), (segment,))
            except Stopped:
                return
            except Exception as error:  # there may be no room for the old one and the new
                log.error("some vectors are compared one by one, until they are sealed again: %s", _reason(error))
            self._loosen_worn(segment)

    def _loosen_worn(self, segment: Segment) -> None:
        with self._writing:
            state = self._state
            if segment.removed and segment in state.segments:
                others = tuple(one for one in state.segments if one is not segment)
                self._state = State((*segment.blocks, *state.loose), others)

    def _seal(self, loose: Sequence[Block], absorbed: Sequence[Segment]) -> None:
        """Put loose blocks and those of segments under one new accelerator; under none where too few rows are left.
        Blocks that are mostly removed are packed first."""
        self._close_blocks(loose)
        blocks = [*loose, *(block for segment in absorbed for block in segment.blocks)]
        hollow = [block for block in blocks if block.live * 2 < block.count]
        packing = self._packed(hollow)
        kept = [*(block for block in blocks if block not in packing.old), *packing.fresh]
        enough = kept and sum(block.live for block in kept) >= self._kind.least
        fresh = [self._built(kept)] if enough else []
        self._fail_point("while-sealing")
        with self._writing:
            packing.settle()
            state = self._state
            self._state = State(
                (*(() if fresh else kept), *(block for block in state.loose if block not in blocks)),
                (*(segment for segment in state.segments if segment not in absorbed), *fresh),
            )

    def _built(self, blocks: Sequence[Block]) -> Segment:
        assert self._kind.build is not None
        try:
            return build_segment(blocks, self._kind.build, lambda: self._closed)
        except Stopped:
            raise
        except Exception as error:
            raise NotBuilt(_reason(error)) from None


def _reason(error: Exception) -> str:
    """As text: a log that keeps the error would keep what could not be built in memory."""
    return str(error) if isinstance(error, IndexRefused | NotBuilt) else "".join(traceback.format_exception(error))
