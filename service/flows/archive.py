"""A backup as a file: an uncompressed tar of pictures, then the rows, then the manifest. `tar` can unpack it.

It is read more strictly than tar would: headers are the ones written here, padding is zeros, and nothing follows the
end. So each bit of the file is covered, by these rules, the manifest or a digest in the rows.
"""

import hashlib
import os
import re
import tarfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import orjson

from service.errors import BackupDamaged

FORMAT = 1
ROWS = "rows.db"
MANIFEST = "manifest.json"
PICTURE = re.compile(r"pictures/([0-9a-f]{32})")
BLOCK = tarfile.BLOCKSIZE
END = 2 * BLOCK  # zeros that end a tar, which is then filled up to whole records
CHUNK = 1 << 20
MAX_MANIFEST_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class Member:
    """A file in the archive: its bytes begin at `offset`."""

    name: str
    offset: int
    size: int

    @property
    def picture(self) -> str | None:
        """The picture's name in the store, where it is one."""
        found = PICTURE.fullmatch(self.name)
        return found[1] if found else None


class ArchiveWriter:
    """Adds members one after another, and can blank one again while the file is open."""

    def __init__(self, file: IO[bytes], mtime: int) -> None:
        """`file` is empty and seekable; `mtime` is in seconds and the same for all members."""
        self._file = file
        self._mtime = mtime

    def add(self, name: str, content: bytes) -> Member:
        """Add a small file."""
        self._file.write(self._header(name, len(content)))
        offset = self._file.tell()
        self._file.write(content)
        self._file.write(bytes(-len(content) % BLOCK))
        return Member(name, offset, len(content))

    def add_file(self, name: str, path: Path, progress: Callable[[int, int], None]) -> str:
        """Add a file of any size; `progress` is told bytes so far and in all. Returns its sha256."""
        size = path.stat().st_size
        self._file.write(self._header(name, size))
        digest, copied = hashlib.sha256(), 0
        with path.open("rb") as source:
            while chunk := source.read(CHUNK):
                self._file.write(chunk)
                digest.update(chunk)
                copied += len(chunk)
                progress(copied, size)
        self._file.write(bytes(-size % BLOCK))
        return digest.hexdigest()

    def blank(self, offset: int, size: int) -> None:
        """Overwrite a member's bytes with zeros."""
        end = self._file.tell()
        self._file.seek(offset)
        self._file.write(bytes(size))
        self._file.seek(end)

    def finish(self, manifest: dict[str, Any]) -> None:
        """Add the manifest with a digest of itself, and end the archive."""
        self.add(MANIFEST, seal(manifest))
        self._file.write(bytes(END))
        self._file.write(bytes(-self._file.tell() % tarfile.RECORDSIZE))

    def _header(self, name: str, size: int) -> bytes:
        member = tarfile.TarInfo(name)
        member.size, member.mtime, member.mode = size, self._mtime, 0o600
        return member.tobuf(tarfile.GNU_FORMAT, "ascii", "strict")


class ArchiveReader:
    """An archive that is whole as far as its members' names, places and the manifest tell; contents are checked as
    they are read."""

    def __init__(self, file: IO[bytes]) -> None:
        """Raises BackupDamaged."""
        self._file = file
        self._length = file.seek(0, os.SEEK_END)
        rows = manifest = None
        for member in self._members():
            if manifest is not None:
                raise BackupDamaged(f"the file is damaged: {member.name} follows the manifest")
            if member.name == MANIFEST:
                manifest = member
            elif member.name == ROWS and rows is None:
                rows = member
            elif rows is not None or member.picture is None:
                raise BackupDamaged(f"this is no backup of Reappear: it has {member.name!r} in it")
        if manifest is None or rows is None:
            raise BackupDamaged("the file is cut short or damaged: its manifest is missing")
        self._rows = rows
        self.manifest = unseal(self._content(manifest, limit=MAX_MANIFEST_BYTES))

    def extract_rows(self, path: Path, progress: Callable[[int, int], None]) -> None:
        """Write the rows' database to a new file. Raises BackupDamaged."""
        digest, left = hashlib.sha256(), self._rows.size
        self._file.seek(self._rows.offset)
        with path.open("xb") as target:
            while left:
                chunk = self._take(min(left, CHUNK))
                digest.update(chunk)
                target.write(chunk)
                left -= len(chunk)
                progress(self._rows.size - left, self._rows.size)
        if digest.hexdigest() != self.manifest.get("rows_sha256"):
            raise BackupDamaged("the file is damaged: the rows are not those of the manifest")

    def pictures(self) -> Iterator[tuple[str, bytes]]:
        """Names and bytes of all pictures in order; digests are the caller's to compare. Raises BackupDamaged."""
        for member in self._members():
            if member.picture is None:
                return
            yield member.picture, self._content(member)

    def _members(self) -> Iterator[Member]:
        """All members; checks headers, padding and the end."""
        place = 0
        while True:
            self._file.seek(place)
            header = self._take(BLOCK)
            if not header.strip(b"\0"):
                self._check_end(place)
                return
            member = _member(header, place)
            yield member
            self._file.seek(member.offset + member.size)
            if self._take(-member.size % BLOCK).strip(b"\0"):
                raise BackupDamaged(f"the file is damaged after {member.name}")
            place = member.offset + member.size + -member.size % BLOCK

    def _check_end(self, place: int) -> None:
        length = place + END
        length += -length % tarfile.RECORDSIZE
        self._file.seek(place)
        if self._take(length - place).strip(b"\0") or self._length != length:
            raise BackupDamaged("the file is damaged at its end")

    def _content(self, member: Member, limit: int | None = None) -> bytes:
        if limit is not None and member.size > limit:
            raise BackupDamaged(f"the file is damaged: {member.name} is too large")
        self._file.seek(member.offset)
        return self._take(member.size)

    def _take(self, size: int) -> bytes:
        if size > self._length - self._file.tell():
            raise BackupDamaged("the file is cut short")
        return self._file.read(size)


def seal(manifest: dict[str, Any]) -> bytes:
    """A manifest as bytes, with the digest of all else in it."""
    digest = hashlib.sha256(_dump(manifest)).hexdigest()
    return _dump({**manifest, "sha256": digest})


def unseal(content: bytes) -> dict[str, Any]:
    """The manifest of such bytes, without the digest. Raises BackupDamaged."""
    try:
        manifest = orjson.loads(content)
        del manifest["sha256"]
    except (orjson.JSONDecodeError, TypeError, KeyError) as error:
        raise BackupDamaged("the file is damaged: its manifest cannot be read") from error
    if content != seal(manifest):
        raise BackupDamaged("the file is damaged: its manifest does not match its own checksum")
    if manifest.get("format") != FORMAT:
        raise BackupDamaged(f"the backup has format {manifest.get('format')}, this version reads format {FORMAT}")
    return dict(manifest)


def _member(header: bytes, place: int) -> Member:
    """The member whose header this is. Raises BackupDamaged where it is not exactly as it was written here."""
    try:
        found = tarfile.TarInfo.frombuf(header, "ascii", "strict")
        known = found.tobuf(tarfile.GNU_FORMAT, "ascii", "strict") == header
    except (tarfile.TarError, ValueError) as error:
        if place == 0:
            raise BackupDamaged("this is no backup of Reappear") from error
        raise BackupDamaged(f"the file is damaged at byte {place}") from error
    if not known or not found.isreg() or found.size < 0:
        raise BackupDamaged(f"the file is damaged at byte {place}, or this is no backup of Reappear")
    return Member(found.name, place + BLOCK, found.size)


def _dump(manifest: dict[str, Any]) -> bytes:
    return orjson.dumps(manifest, option=orjson.OPT_SORT_KEYS | orjson.OPT_INDENT_2)
