"""Pictures as files in one folder. Names are random, so that equal bytes of two people never share a file, and no part
of a path ever comes from a client.

A picture is written and synced under staging/ before its row is committed, and renamed to its place after. Whatever a
crash leaves in staging is put in place or dropped at the next start, by whether a row names it.
"""

import errno
import hashlib
import logging
import os
import secrets
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor, wait
from pathlib import Path

from service.errors import NotFound, StoreDown

log = logging.getLogger(__name__)

STAGING = "staging"
REMEDIES = {
    errno.ENOSPC: "is full; make room there",
    errno.EDQUOT: "is at its quota; make room there",
    errno.EROFS: "has become read-only; see why, and make it writable",
}
SYNC_THREADS = 8  # fsync of file and folder in turn gave 125 pictures/s, from eight threads 5,500


class FolderStore:
    """A PictureStore on a local disk. Safe to call from several threads."""

    def __init__(self, root: Path) -> None:
        """Makes the folders that are missing under root."""
        self._root = root
        for shard in (STAGING, *(f"{number:02x}" for number in range(256))):
            (root / shard).mkdir(parents=True, exist_ok=True)
        for folder in (root, root.parent):  # else a power loss takes the folders with all that was synced in them
            sync_folder(folder)
        self._left: set[str] = set()  # staged pictures that could not be dropped yet
        self._threads = ThreadPoolExecutor(SYNC_THREADS, thread_name_prefix="sync")

    def stage(self, pictures: list[bytes]) -> list[str]:
        """Write pictures durably under staging/; returns their names. On an error, such as StoreDown, none is left."""
        named = {secrets.token_hex(16): picture for picture in pictures}
        self.stage_as(named)
        return list(named)

    def stage_as(self, pictures: Mapping[str, bytes]) -> None:
        """`stage` under names that another store chose: those of a backup. What a crash left there is replaced."""
        names = list(pictures)
        shares = [names[first::SYNC_THREADS] for first in range(min(SYNC_THREADS, len(names)))]
        writing = [self._threads.submit(self._write_all, {name: pictures[name] for name in share}) for share in shares]
        wait(writing)  # all of them, also where one failed: none may appear after the others were dropped
        try:
            for one in writing:
                one.result()
            sync_folder(self._root / STAGING)
        except OSError as error:
            self.discard(names)
            raise StoreDown(_explain(error)) from error
        except BaseException:
            self.discard(names)
            raise
        if self._left:
            self.discard([])

    def publish(self, names: list[str]) -> None:
        """Rename staged pictures to their place. Needs no sync: after a power loss a row still names them, and the
        next start publishes them again."""
        for name in names:
            try:
                (self._root / STAGING / name).rename(self._place(name))
            except FileNotFoundError:
                continue  # published before

    def discard(self, names: list[str]) -> None:
        """Drop staged pictures whose rows were never committed. Where the disk does not let them go, they go with the
        next ones, or at the next start."""
        self._left.update(names)
        try:
            for name in sorted(self._left):
                (self._root / STAGING / name).unlink(missing_ok=True)
                self._left.discard(name)
        except OSError:
            log.exception("staged pictures cannot be dropped yet")

    def read(self, name: str) -> bytes:
        """The bytes of a picture. Raises NotFound, StoreDown."""
        for path in (self._place(name), self._root / STAGING / name, self._place(name)):  # it may move in between
            try:
                return path.read_bytes()
            except FileNotFoundError:
                continue
            except OSError as error:
                raise StoreDown(f"the picture cannot be read now ({error.strerror}); ask again later") from error
        raise NotFound("the picture is no longer there", code="PICTURE_NOT_FOUND")

    def holds(self, name: str, sha256: str) -> bool:
        """Whether a picture is in its place, with these bytes."""
        try:
            return hashlib.sha256(self._place(name).read_bytes()).hexdigest() == sha256
        except FileNotFoundError:
            return False

    def scratch(self, name: str) -> Path:
        """A path under staging/ for a file that must not outlive a crash: the next start drops it."""
        return self._root / STAGING / name

    def unlink(self, names: list[str]) -> None:
        """Remove pictures, and sync their folders so that no power loss brings them back."""
        folders = set()
        for name in names:
            for path in (self._root / STAGING / name, self._place(name)):  # in the order in which `publish` moves it
                path.unlink(missing_ok=True)
                folders.add(path.parent)
        list(self._threads.map(sync_folder, folders))

    def staged(self) -> list[str]:
        """Names left in staging/."""
        return sorted(path.name for path in (self._root / STAGING).iterdir())

    def names(self) -> Iterable[str]:
        """All published names. A scan of the whole folder: for checks, not for requests."""
        return (path.name for path in self._root.glob("??/*"))

    def close(self) -> None:
        """End the syncing threads."""
        self._threads.shutdown()

    def _place(self, name: str) -> Path:
        return self._root / name[:2] / name

    def _write_all(self, pictures: Mapping[str, bytes]) -> None:
        for name, picture in pictures.items():
            self._write(name, picture)

    def _write(self, name: str, picture: bytes) -> None:
        with (self._root / STAGING / name).open("wb") as file:
            file.write(picture)
            file.flush()
            os.fsync(file.fileno())


def _explain(error: OSError) -> str:
    remedy = REMEDIES.get(error.errno or 0, f"cannot be written ({error.strerror}); see why")
    return f"the disk of the data folder {remedy}, then send the request again"


def sync_folder(folder: Path) -> None:
    """Make the names in a folder durable."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
