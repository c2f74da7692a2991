"""Snapshots of an index as files: one for each piece, which never changes, and a manifest, written last, that names
them. Knows neither the index nor the database.

Checksums are against accidents: whoever may write this folder may write the database too.
"""

import hashlib
import os
import re
import secrets
import zlib
from collections.abc import Callable, Collection, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, fields
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import orjson
from numpy.typing import NDArray

from service.domain import Piece
from service.store.folder import sync_folder
from service.store.whole_file import whole_file

SNAPSHOT_FOLDER = "index"  # in the data folder
FORMAT = 1
CHUNK_BYTES = 4_194_304  # copied, summed and written at a time
SYNC_BYTES = 67_108_864  # synced each 4 MB it goes slower, and commits beside it take twice as long
MANIFEST = re.compile(r"snapshot-(\d{8})\.json")
MANIFEST_OR_PART = re.compile(r"snapshot-\d{8}\.json(\.part)?")
PIECE = re.compile(r"[0-9a-f]{16}\.piece")
DTYPES = {"<f4": 4, "<f2": 2}  # bytes
ID_BYTES = 8


class SnapshotRefused(Exception):
    """A snapshot that must not be used; the text says why."""


class Abandoned(Exception):
    """Whoever wanted the snapshot wants it no more."""


@dataclass(frozen=True, slots=True)
class Stamp:
    """Whose vectors a snapshot holds, made by what, and up to which change."""

    database: str  # its UUID
    epoch: int
    generation: int
    model: str
    dim: int
    kind: str  # of the index


@dataclass(frozen=True, slots=True)
class PieceFile:
    """Ids (int64), then vectors, little endian, row by row."""

    name: str
    rows: int
    dtype: str
    crc32: int

    def size_bytes(self, dim: int) -> int:
        """What the file must be long."""
        return self.rows * (ID_BYTES + dim * DTYPES[self.dtype])


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What a manifest says. Files by collection, in the order of the index's pieces."""

    number: int
    taken_at: datetime
    stamp: Stamp
    files: Mapping[int, tuple[PieceFile, ...]]

    @property
    def names(self) -> set[str]:
        """All its pieces."""
        return {file.name for files in self.files.values() for file in files}


class SnapshotFolder:
    """Reads, writes and removes snapshots. One caller at a time."""

    def __init__(self, folder: Path, *, fail_point: Callable[[str], None] = lambda name: None) -> None:
        self._folder = folder
        self._fail_point = fail_point

    def numbers(self) -> list[int]:
        """Of all manifests there are, newest first."""
        if not self._folder.is_dir():
            return []
        found = (MANIFEST.fullmatch(path.name) for path in self._folder.iterdir())
        return sorted((int(one[1]) for one in found if one), reverse=True)

    def read(self, number: int) -> Snapshot:
        """A manifest whose files are all there, as long as they must be. Raises SnapshotRefused."""
        try:
            body, _, rest = (self._folder / _manifest(number)).read_bytes().partition(b"\n")
            if rest != _sum(body):
                raise SnapshotRefused("its manifest is damaged")
            content = orjson.loads(body)
            if content["format"] != FORMAT:
                raise SnapshotRefused(f"its format is {content['format']}, this version reads {FORMAT}")
            snapshot = _parsed(content)
            for file in (file for files in snapshot.files.values() for file in files):
                if (self._folder / file.name).stat().st_size != file.size_bytes(snapshot.stamp.dim):
                    raise SnapshotRefused(f"{file.name} is not as long as it was")
        except OSError as error:
            raise SnapshotRefused(f"{error.filename} cannot be read ({error.strerror})") from error
        except (KeyError, TypeError, ValueError) as error:
            raise SnapshotRefused(f"its manifest is not one ({error!r})") from error
        return snapshot

    def pieces(self, snapshot: Snapshot, collection: int) -> Iterator[tuple[PieceFile, Piece]]:
        """The pieces of a collection, each in memory of its own, the next one being read while the caller is at one.
        Raises SnapshotRefused."""
        files, dim = snapshot.files[collection], snapshot.stamp.dim
        with ThreadPoolExecutor(1, "snapshot") as reader:
            coming = [reader.submit(self._read_piece, file, dim) for file in files[:1]]
            for number, file in enumerate(files):
                piece = coming.pop().result()
                coming = [reader.submit(self._read_piece, after, dim) for after in files[number + 1 : number + 2]]
                yield file, piece

    def _read_piece(self, file: PieceFile, dim: int) -> Piece:
        ids, vectors, crc32 = np.empty(file.rows, "<i8"), np.empty((file.rows, dim), file.dtype), 0
        try:
            with (self._folder / file.name).open("rb") as content:
                for chunk in (chunk for array in (ids, vectors) for chunk in _chunks(array)):
                    if content.readinto(chunk.data) != chunk.nbytes:
                        raise SnapshotRefused(f"{file.name} ends too early")
                    crc32 = zlib.crc32(chunk.data, crc32)
        except OSError as error:
            raise SnapshotRefused(f"{file.name} cannot be read ({error.strerror})") from error
        if crc32 != file.crc32:
            raise SnapshotRefused(f"{file.name} is damaged")
        return Piece(file.name, ids, vectors)

    def write(
        self, stamp: Stamp, pieces: Mapping[int, list[Piece]], known: Mapping[tuple[int, str], PieceFile],
        *, go_on: Callable[[], bool] = lambda: True,
    ) -> tuple[Snapshot, dict[tuple[int, str], PieceFile]]:  # fmt: skip
        """Write a snapshot with the pieces of each collection, those left out that are known by collection and key.
        Returns it and all its files by collection and key. Raises OSError, and Abandoned once `go_on` says no; then
        nothing of it is left."""
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        sync_folder(self._folder.parent)
        named: dict[tuple[int, str], PieceFile] = {}
        written: list[str] = []
        try:
            for collection, piece in ((home, piece) for home, several in pieces.items() for piece in several):
                file = known.get((collection, piece.key))
                if file is None:
                    written.append(f"{secrets.token_hex(8)}.piece")
                    file = self._write_piece(written[-1], piece, go_on)
                    self._fail_point("after-piece-before-next")
                named[collection, piece.key] = file
            sync_folder(self._folder)
            files = {home: tuple(named[home, piece.key] for piece in pieces[home]) for home in pieces}
            number = max(self.numbers(), default=0) + 1
            snapshot = Snapshot(number, datetime.now(UTC), stamp, files)
            self._fail_point("after-pieces-before-manifest")
            if not go_on():
                raise Abandoned
            with whole_file(self._folder / _manifest(number), overwrite=True) as manifest:
                manifest.write(_formatted(snapshot))
            self._fail_point("after-manifest-before-sweeping")
        except BaseException:
            for name in written:
                (self._folder / name).unlink(missing_ok=True)
            raise
        return snapshot, named

    def sweep(self, keep: Collection[Snapshot]) -> None:
        """Remove all snapshots but these, and what no snapshot names, durably. Raises OSError."""
        if not self._folder.is_dir():
            return
        kept = {_manifest(one.number) for one in keep}.union(*(one.names for one in keep))
        gone = sorted({path.name for path in self._folder.iterdir()} - kept)
        for leftovers in (filter(MANIFEST_OR_PART.fullmatch, gone), filter(PIECE.fullmatch, gone)):  # in this order
            for name in leftovers:
                (self._folder / name).unlink(missing_ok=True)
            sync_folder(self._folder)
            self._fail_point("while-sweeping-snapshots")

    def _write_piece(self, name: str, piece: Piece, go_on: Callable[[], bool]) -> PieceFile:
        """Each chunk is copied first: the index may strike out a row between summing and writing."""
        dtype = piece.vectors.dtype.newbyteorder("<").str
        if dtype not in DTYPES:
            raise TypeError(f"vectors of {dtype} cannot be kept")
        crc32 = unsynced = 0
        descriptor = os.open(self._folder / name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            for chunk in (chunk for array in (piece.ids, piece.vectors) for chunk in _chunks(array)):
                if not go_on():
                    raise Abandoned
                copied = np.empty(chunk.shape, chunk.dtype.newbyteorder("<"))
                np.copyto(copied, chunk)
                crc32 = zlib.crc32(copied.data, crc32)
                file.write(copied.data)
                file.flush()
                unsynced += chunk.nbytes
                if unsynced >= SYNC_BYTES:
                    os.fdatasync(file.fileno())
                    unsynced = 0
            os.fdatasync(file.fileno())
        return PieceFile(name, len(piece.ids), dtype, crc32)


def _manifest(number: int) -> str:
    return f"snapshot-{number:08}.json"


def _chunks(array: NDArray[Any]) -> Iterator[NDArray[Any]]:
    """An array in slices of whole rows."""
    rows = max(1, CHUNK_BYTES // max(1, array[:1].nbytes))
    return (array[start : start + rows] for start in range(0, len(array), rows))


def _formatted(snapshot: Snapshot) -> bytes:
    files = [{"id": home, "files": [asdict(file) for file in files]} for home, files in sorted(snapshot.files.items())]
    content = {
        "format": FORMAT, "number": snapshot.number, "taken_at": snapshot.taken_at.isoformat(),
        **asdict(snapshot.stamp), "collections": files,
    }  # fmt: skip
    body = orjson.dumps(content)
    return body + b"\n" + _sum(body)


def _sum(body: bytes) -> bytes:
    return hashlib.sha256(body).hexdigest().encode() + b"\n"


def _parsed(content: Mapping[str, Any]) -> Snapshot:
    """Raises KeyError, TypeError, ValueError."""
    stamp = Stamp(**{field.name: content[field.name] for field in fields(Stamp)})
    files = {one["id"]: tuple(PieceFile(**file) for file in one["files"]) for one in content["collections"]}
    for file in (file for several in files.values() for file in several):
        if not PIECE.fullmatch(file.name) or file.dtype not in DTYPES:
            raise ValueError(f"it names {file.name} of {file.dtype}")
    return Snapshot(content["number"], datetime.fromisoformat(content["taken_at"]), stamp, files)
