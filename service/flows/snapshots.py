"""Keep snapshots of the index, so that the next start need not read every vector from SQL. They may be missing, late or
gone at any time; all that depends on them is how long a start takes, and by when a removed vector is off the disk."""

import asyncio
import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from sqlalchemy import Connection

from service.db.copying import Meta, read_meta
from service.db.database import Database
from service.db.loading import removes_after
from service.domain import Piece
from service.errors import DatabaseDown, FileRefused, NotReady, ReappearError
from service.flows.writer import Writer
from service.index.gallery import Galleries
from service.store.snapshots import Abandoned, PieceFile, Snapshot, SnapshotFolder, SnapshotRefused, Stamp

log = logging.getLogger(__name__)

KEPT = 2
FIRST_LOOK_S = 1  # whether it is ready: where it read everything from SQL, the next start need not do so again
LOOK_S = 60  # how often to look whether it is time, at least
NEVER = float("-inf")


@dataclass(frozen=True, slots=True)
class Kind:
    """What vectors must be to be taken into this index: of a model version, that long, from the same kind of index."""

    model: str
    dim: int
    index: str


@dataclass(frozen=True, slots=True)
class _Cut:
    """All vectors at one moment (monotonic), sharing the memory of the index."""

    at: float
    stamp: Stamp
    pieces: dict[int, list[Piece]]


@dataclass(frozen=True, slots=True)
class _Kept:
    """A snapshot on disk, and the moment (monotonic) of its cut, long ago for one of an earlier process."""

    snapshot: Snapshot
    cut_at: float


class Busy(Exception):
    """A snapshot is being written, or memory still holds a removed vector."""


class Snapshots:
    """Writes snapshots in the background, and knows which there are."""

    def __init__(self, folder: SnapshotFolder, galleries: Galleries, kind: Kind, *, every_s: float) -> None:
        """While the index changes there is a new snapshot `every_s`."""
        self.folder = folder
        self._galleries = galleries
        self._kind = kind
        self._every_s = every_s
        self._kept: list[_Kept] = []  # newest first
        self._known: dict[tuple[int, str], PieceFile] = {}
        self._is_loaded = False
        self._missed = False
        self._due_at = NEVER
        self._purged_at = NEVER  # when memory was last rid of what had been removed until then
        self._abandoned = threading.Event()
        self._stopped = threading.Event()
        self._busy = threading.Lock()  # whoever changes the folder

    @property
    def age_s(self) -> float:
        """How old the newest snapshot is, in seconds; NaN where there is none."""
        kept = self._kept[:1]
        return (datetime.now(UTC) - kept[0].snapshot.taken_at).total_seconds() if kept else float("nan")

    def check(self, stamp: Stamp, meta: Meta) -> None:
        """Raises SnapshotRefused where a snapshot is of something else, or of what the database has not seen."""
        mine = {
            "database": meta.uuid, "epoch": meta.epoch, "model": self._kind.model, "dim": self._kind.dim,
            "kind": self._kind.index,
        }  # fmt: skip
        for what, needed in mine.items():
            found = getattr(stamp, what)
            if found != needed:
                raise SnapshotRefused(f"its {what} is {found}, here it is {needed}")
        if stamp.generation > meta.generation:
            raise SnapshotRefused(f"it is of generation {stamp.generation}, the database is at {meta.generation}")

    def loaded(
        self, used: Snapshot | None, known: dict[tuple[int, str], PieceFile], *, missed: bool = False
    ) -> None:  # fmt: skip
        """The index is about to be ready, from this snapshot or from none, which then may have been `missed`, and these
        files are of pieces that it has. Snapshots that were refused go, an older one that nobody looked at stays."""
        with self._busy:
            keep = [_Kept(used, NEVER)] if used else []
            for number in self.folder.numbers():
                if used and number < used.number and len(keep) < KEPT:
                    try:
                        keep.append(_Kept(self.folder.read(number), NEVER))
                    except SnapshotRefused as error:
                        log.warning("a snapshot of the index is not kept: %s", error, extra={"snapshot": number})
            self._kept, self._known = keep, known
            self._due_at = time.monotonic() + self._every_s if used else NEVER
            self._missed = missed
            self._is_loaded = True
            try:
                self._keep_only(keep)
            except OSError as error:
                log.error("old snapshots of the index cannot be removed yet: %s", error)

    async def keep(self, writer: Writer, ready: Callable[[], None]) -> None:
        """Write snapshots when it is time, until cancelled, which waits for the one that is being written."""
        first = True
        while True:
            await asyncio.sleep(min(self._every_s, FIRST_LOOK_S if first else LOOK_S))
            try:
                ready()
            except NotReady:
                continue
            if (self._missed or not first) and time.monotonic() >= self._due_at and self._has_changed():
                try:
                    await self.write(writer)
                except Exception:
                    log.exception("no snapshot of the index, until the next is due")
            first = False

    async def write(self, writer: Writer) -> None:
        """Write a snapshot of now. What fails is logged, and tried again when the next is due."""

        def cut(connection: Connection, changes: object) -> _Cut:
            meta = read_meta(connection)
            assert meta is not None
            return self._cut(meta)

        try:
            taken = (await writer.write(cut, aside=True)).value
        except ReappearError as error:
            log.warning("no snapshot of the index while nothing can be written: %s", error.detail)
            return
        writing = asyncio.ensure_future(asyncio.to_thread(self._write, taken, self._goes_on))
        del taken  # with it goes the memory of what the index drops meanwhile
        try:
            await asyncio.shield(writing)
        except asyncio.CancelledError:
            await writing  # which `stop` cuts short
            raise

    async def refresh(self, database: Database, writer: Writer) -> None:
        """Take removed vectors out of memory, and write a snapshot where the newest has a removed crop in it, so that
        `forget` finds nothing in its way and leaves one behind."""
        began = time.monotonic()
        await asyncio.to_thread(self._galleries.purge)
        self._purged_at = began
        holding = await asyncio.to_thread(database.read_now, self._holding)
        if holding and self._kept[:1] == holding[:1]:  # none of which need be kept any more
            await self.write(writer)

    def stop(self) -> None:
        """Abandon what is being written, and whatever would be, but for the last one."""
        self._stopped.set()

    def write_last(self, database: Database, within_s: float) -> None:
        """At a clean stop, once nothing else writes: a last snapshot, if it can be had in that time."""
        until = time.monotonic() + within_s
        whole = self._is_loaded and self._galleries.generation > 0  # which is set when all is there
        if not whole or self._galleries.ahead or not self._has_changed():
            return
        try:
            meta = database.read_now(read_meta)
        except DatabaseDown:
            return
        assert meta is not None
        self._write(self._cut(meta), lambda: time.monotonic() < until)

    def forget(self, database: Database, gather_s: float, since: float) -> float | None:
        """Remove snapshots that have removed crops in them, but the newest while it is younger than `gather_s`: what
        it has of them was removed since. Returns the moment (monotonic) since which something waits, None where nothing
        does. Raises Busy while a snapshot is being written, or where memory holds a removed vector and was not purged
        `since` the first of them was removed, OSError, DatabaseDown."""
        waits = [self._purged_at] if self._galleries.holds_removed else []
        if waits and self._purged_at < since:
            raise Busy
        if not self._busy.acquire(blocking=False):
            if gather_s == 0:
                self._abandoned.set()  # it may hold what is to go now
            raise Busy
        try:
            if not self._is_loaded:
                raise Busy
            holding = database.read_now(self._holding)
            young = [one for one in holding if one is self._kept[0] and time.monotonic() - one.cut_at < gather_s]
            self._keep_only([one for one in self._kept if one not in holding or one in young])
            if not self._kept:
                self._due_at = NEVER
            return min([*waits, *(one.cut_at for one in young)], default=None)
        finally:
            self._busy.release()

    def _write(self, cut: _Cut, go_on: Callable[[], bool]) -> None:
        """Never raises: nothing waits for a snapshot."""
        with self._busy:
            began = time.monotonic()
            self._due_at = began + self._every_s
            try:
                snapshot, self._known = self.folder.write(cut.stamp, cut.pieces, self._known, go_on=go_on)
                self._kept = [_Kept(snapshot, cut.at), *self._kept]
                self._keep_only(self._kept[:KEPT])
            except Abandoned:
                self._due_at = NEVER
                log.info("a snapshot of the index was abandoned")
            except (OSError, FileRefused) as error:
                log.error("no snapshot of the index can be written, so a start takes longer: %s", error)
            except Exception:
                log.exception("no snapshot of the index can be written")
            else:
                took_s = round(time.monotonic() - began, 3)
                log.info("wrote a snapshot", extra={"generation": snapshot.stamp.generation, "seconds": took_s})
            finally:
                self._abandoned.clear()

    def _goes_on(self) -> bool:
        return not self._abandoned.is_set() and not self._stopped.is_set()

    def _cut(self, meta: Meta) -> _Cut:
        generation = self._galleries.generation
        stamp = Stamp(meta.uuid, meta.epoch, generation, self._kind.model, self._kind.dim, self._kind.index)
        return _Cut(time.monotonic(), stamp, self._galleries.cut())

    def _has_changed(self) -> bool:
        kept = self._kept[:1]  # of which another thread may make an end
        return kept[0].snapshot.stamp.generation != self._galleries.generation if kept else len(self._galleries) > 0

    def _holding(self, connection: Connection) -> list[_Kept]:
        """Those that have a removed crop in them: one of generation g has none that was removed up to g."""
        return [one for one in self._kept if removes_after(connection, one.snapshot.stamp.generation)]

    def _keep_only(self, keep: list[_Kept]) -> None:
        """Raises OSError; then it knows of all that were there."""
        self.folder.sweep([one.snapshot for one in keep])
        self._kept = keep
        names = set().union(*(one.snapshot.names for one in keep))
        self._known = {key: file for key, file in self._known.items() if file.name in names}
