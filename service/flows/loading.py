"""Load the index at start: from the newest snapshot that can be trusted, or from SQL, and in either case with exactly
the crops that SQL has.

Which crops there are, and whose, comes from SQL. A snapshot only saves reading the vectors of those it has: a crop id
is never given twice, and the vector of a crop never changes. What a snapshot has and SQL has not was removed since and
is left out; what SQL has and the snapshot has not was added since and is read from SQL.
"""

import logging
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection

from service.db.copying import Meta, hold_still, read_meta
from service.db.database import Database
from service.db.loading import Owners, read_all_vectors, read_owners, read_vectors
from service.domain import CropIds, Piece
from service.errors import DatabaseDown, Stopping
from service.flows.snapshots import Snapshots
from service.index.gallery import Galleries
from service.store.snapshots import PieceFile, Snapshot, SnapshotRefused

log = logging.getLogger(__name__)

ByCollection = dict[int, tuple[CropIds, CropIds]]
NONE: CropIds = np.empty(0, np.int64)
NEWEST, ANY = 16, 16  # vectors of each piece that are compared with SQL
ROUNDING = 1e-3  # of a number stored in two bytes


@dataclass(slots=True)
class _Taken:
    """What was taken from a snapshot: ids by collection, files by their ids, and vectors to compare with SQL."""

    ids: dict[int, list[CropIds]] = field(default_factory=dict)
    files: dict[int, list[tuple[PieceFile, CropIds]]] = field(default_factory=dict)
    sampled: dict[int, NDArray[np.floating[Any]]] = field(default_factory=dict)


def load_galleries(
    database: Database, galleries: Galleries, model: int, snapshots: Snapshots,
    fail_point: Callable[[str], None] = lambda name: None, go_on: Callable[[], None] = lambda: None,
) -> None:  # fmt: skip
    """Fill empty galleries with every vector of a model version. `go_on` is called again and again, and raises Stopping
    where nobody waits any more. Raises DatabaseDown."""
    galleries.clear()  # of a load that failed half way
    meta, owners = database.read_now(_read)
    by_collection = owners.by_collection()
    held = _restore(database, galleries, model, snapshots, meta, by_collection, fail_point, go_on)
    missing = np.setdiff1d(owners.crops, held, assume_unique=True)
    database.read_now(_add_missing, galleries, model, owners, missing, go_on)
    for home, (crops, identities) in by_collection.items():
        galleries.of(home).own(crops, identities)
    galleries.generation = meta.generation
    log.info("loaded the index", extra={"from_snapshot": len(held), "from_database": len(missing)})


def _read(connection: Connection) -> tuple[Meta, Owners]:
    hold_still(connection)  # one moment for generation and owners
    meta = read_meta(connection)
    assert meta is not None
    return meta, read_owners(connection)


def _restore(
    database: Database, galleries: Galleries, model: int, snapshots: Snapshots, meta: Meta, crops: ByCollection,
    fail_point: Callable[[str], None], go_on: Callable[[], None],
) -> CropIds:  # fmt: skip
    """Take the newest snapshot that can be trusted; returns the crops it had."""
    for number in snapshots.folder.numbers():
        try:
            snapshot = snapshots.folder.read(number)
            snapshots.check(snapshot.stamp, meta)
            taken = _take(galleries, snapshots, snapshot, crops, fail_point, go_on)
            database.read_now(_compare, taken, model)
        except (DatabaseDown, Stopping):
            raise
        except Exception as error:  # whatever is wrong with it, SQL has all of it too
            expected = isinstance(error, SnapshotRefused)
            reason = str(error) if expected else repr(error)  # the error itself would keep what was loaded in memory
            log.warning(
                "a snapshot of the index is not used: %s", reason, extra={"snapshot": number}, exc_info=not expected
            )
            galleries.clear()
            continue
        snapshots.loaded(snapshot, _known(galleries, taken))
        return np.concatenate([NONE, *(ids for several in taken.ids.values() for ids in several)])
    snapshots.loaded(None, {}, missed=bool(crops))
    return NONE


def _take(
    galleries: Galleries, snapshots: Snapshots, snapshot: Snapshot, crops: ByCollection,
    fail_point: Callable[[str], None], go_on: Callable[[], None],
) -> _Taken:  # fmt: skip
    """Put what is still there of a snapshot into empty galleries. Raises SnapshotRefused."""
    taken = _Taken()

    def pieces_of(home: int, there: CropIds) -> Iterator[Piece]:
        for file, piece in snapshots.folder.pieces(snapshot, home):
            fail_point("while-reading-a-snapshot")
            go_on()
            rows = np.flatnonzero(_among(piece.ids, there))
            gone = np.delete(np.arange(len(piece.ids)), rows)
            taken.files.setdefault(home, []).append((file, piece.ids.copy()))
            piece.ids[gone], piece.vectors[gone] = -1, np.nan
            if not len(rows):
                continue
            if np.isnan(piece.vectors[rows, 0]).any():
                raise SnapshotRefused(f"{file.name} lacks the vector of a crop")
            taken.ids.setdefault(home, []).append(piece.ids[rows])
            chosen = np.append(rows[np.argsort(piece.ids[rows])[-NEWEST:]], rows[:: -(-len(rows) // ANY)])
            taken.sampled.update(zip(piece.ids[chosen].tolist(), piece.vectors[chosen], strict=True))
            yield piece

    for home in snapshot.files:
        if home in crops:
            galleries.of(home).vectors.restore(pieces_of(home, crops[home][0]))
            ids = np.concatenate([NONE, *taken.ids.get(home, [])])
            if len(np.unique(ids)) < len(ids):
                raise SnapshotRefused("it has a crop twice")
    return taken


def _among(ids: CropIds, there: CropIds) -> NDArray[np.bool_]:
    """Which of the ids are among those that are there, which are sorted and not none."""
    found: NDArray[np.bool_] = there[np.searchsorted(there, ids).clip(max=len(there) - 1)] == ids
    return found


def _compare(connection: Connection, taken: _Taken, model: int) -> None:
    """Raises SnapshotRefused where the vectors of the newest crops, or some others, are not those of SQL: the database
    is another than the snapshot was made of, say an old file that was put back by hand and gave its ids again."""
    sampled = np.array(sorted(taken.sampled), np.int64)
    compared = 0
    with closing(read_vectors(connection, model, sampled)) as portions:
        for ids, vectors in portions:
            found = np.stack([taken.sampled[crop] for crop in ids.tolist()])
            rounding = 0 if found.dtype == vectors.dtype else ROUNDING
            if not np.allclose(found, vectors, rtol=0, atol=rounding):
                break
            compared += len(ids)
    if compared < len(sampled):
        raise SnapshotRefused("its vectors are not those of the database")


def _known(galleries: Galleries, taken: _Taken) -> dict[tuple[int, str], PieceFile]:
    """The files of pieces that are as they were written, by collection and key: with equal ids they are equal."""
    known = {}
    for home, pieces in galleries.cut().items():
        files = {ids.tobytes(): file for file, ids in taken.files.get(home, [])}
        for piece in pieces:
            file = files.get(piece.ids.tobytes())
            if file is not None:
                known[home, piece.key] = file
    return known


def _add_missing(
    connection: Connection, galleries: Galleries, model: int, owners: Owners, missing: CropIds,
    go_on: Callable[[], None],
) -> None:  # fmt: skip
    """Add what only SQL has: looked up by id where it is little, else found while reading everything."""
    if not len(missing):
        return
    little = len(missing) * 2 < len(owners.crops)
    found = read_vectors(connection, model, missing) if little else read_all_vectors(connection, model)
    with closing(found) as portions:  # before the connection, whatever ends this early
        for ids, vectors in portions:
            go_on()
            rows = np.flatnonzero(_among(ids, missing))
            homes = owners.collections[np.searchsorted(owners.crops, ids[rows])]
            for home in np.unique(homes).tolist():
                mine = rows[homes == home]
                galleries.of(home).vectors.add(ids[mine], vectors[mine])
