"""Take a backup while the service serves: rows of one moment, then the pictures they name, then a last look at who was
erased meanwhile: their rows are taken out again, and the bytes of pictures already copied are overwritten."""

import hashlib
import logging
import tarfile
from array import array
from bisect import bisect_left
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from sqlalchemy import Connection

from service.db.audit import add_beside
from service.db.copies import Copy, remove_files
from service.db.copying import (
    Meta,
    copy_audit,
    copy_rows,
    count_rows,
    hold_still,
    list_models,
    raise_sequences,
    read_meta,
    read_sequences,
    remove_rows,
)  # fmt: skip
from service.db.database import writing_beside
from service.db.engine import make_engine, parse_url
from service.db.failures import translated
from service.db.pruning import all_pictures, count_pictures, drop_gone_pictures, erase_gone
from service.db.schema import check_revision, check_there, revision_of
from service.errors import BackupRefused, FolderRefused, NotFound
from service.flows.archive import FORMAT, ROWS, ArchiveWriter
from service.flows.audit import command_entry
from service.store.folder import FolderStore
from service.store.lock import FolderLock
from service.store.whole_file import whole_file

log = logging.getLogger(__name__)

Progress = Callable[[int, int, str], None]  # done, of how many, of what


@dataclass(frozen=True, slots=True)
class BackedUp:
    """What a backup holds."""

    identities: int
    crops: int
    pictures: int
    size_bytes: int
    generation: int


@dataclass(slots=True)
class _Written:
    """Where in the archive the pictures of crops are, lowest crop first; and crops whose picture was not there."""

    crops: "array[int]" = field(default_factory=lambda: array("q"))
    offsets: "array[int]" = field(default_factory=lambda: array("q"))
    sizes: "array[int]" = field(default_factory=lambda: array("q"))
    missing: list[int] = field(default_factory=list)

    def place_of(self, crop: int) -> tuple[int, int] | None:
        """Offset and size of a picture."""
        place = bisect_left(self.crops, crop)
        if place == len(self.crops) or self.crops[place] != crop:
            return None
        return self.offsets[place], self.sizes[place]


def back_up(
    path: Path, *, database_url: str, data_dir: Path, settings: Mapping[str, Any], overwrite: bool = False,
    progress: Progress = lambda done, total, what: None,
) -> BackedUp:  # fmt: skip
    """Write a backup to a new file. `settings` are kept for people to read. Raises BackupRefused, DatabaseRefused,
    DatabaseDown; then there is no file."""
    began = datetime.now(UTC)
    path = path.absolute()
    if overwrite and path.is_file() and path.stat().st_size and not tarfile.is_tarfile(path):
        raise BackupRefused(f"{path} is there and no backup, and only backups are overwritten; name another file")
    rows = path.with_name(f"{path.name}.rows")
    with whole_file(path, overwrite=overwrite) as file, _empty_copy(rows) as copy, ExitStack() as stack:
        writer = ArchiveWriter(file, int(began.timestamp()))
        _note(database_url, data_dir, path)
        with _original(database_url, data_dir) as original:
            before = _copy_all(original, copy, progress)
        store = FolderStore(data_dir / "pictures")
        stack.callback(store.close)
        written = _write_pictures(writer, store, copy, progress)
        with _original(database_url, data_dir) as original:
            gone = _look_again(original, before, copy, written)
        blanked = [place for place in map(written.place_of, gone) if place]
        for place in blanked:
            writer.blank(*place)
        manifest = _manifest(copy, settings, began)
        copy.finish(compact=bool(gone))
        sha256 = writer.add_file(ROWS, rows, lambda done, size: progress(done, size, "bytes of rows"))
        writer.finish({**manifest, "rows_sha256": sha256})
        counts = manifest["rows"]
        pictures = len(written.crops) - len(blanked)
        return BackedUp(counts["identities"], counts["crops"], pictures, file.tell(), manifest["generation"])


@contextmanager
def _empty_copy(path: Path) -> Iterator[Copy]:
    """A copy that only its owner may read, and that is gone at the end, as is what a crash left of an earlier one."""
    remove_files(path)
    path.touch(mode=0o600)
    try:
        copy = Copy(path)
        try:
            yield copy
        finally:
            copy.close()
    finally:
        remove_files(path)


@contextmanager
def _original(url: str, data_dir: Path) -> Iterator[Connection]:
    """One reading transaction on the database. It never checkpoints beside the service, whose connections outlive this
    one; where none runs, the folder is locked meanwhile, so that none starts."""
    parsed = parse_url(url)
    if not data_dir.is_dir():
        raise BackupRefused(f"there is no folder {data_dir}; set REAPPEAR_DATA_DIR to that of the service")
    check_there(url)
    with ExitStack() as stack:
        stack.enter_context(_kept_idle(data_dir))
        engine = make_engine(parsed, pool_size=1, read_only=True)
        stack.callback(engine.dispose)
        with translated(), engine.begin() as connection:
            hold_still(connection)
            yield connection


@contextmanager
def _kept_idle(data_dir: Path) -> Iterator[None]:
    """Where no service runs, none starts meanwhile."""
    try:
        lock = FolderLock(data_dir)
    except FolderRefused:
        log.debug("a service has the folder, or none can start there")
        yield
        return
    try:
        yield
    finally:
        lock.release()


def _note(url: str, data_dir: Path, path: Path) -> None:
    """Say in the audit log who takes this backup, before anything of a person is read."""
    with _original(url, data_dir) as original:
        _read_meta(original)
    with _kept_idle(data_dir), writing_beside(url) as connection:
        add_beside(connection, command_entry("backup", f"file={path.name}"))


def rows_copied(progress: Progress, total: int) -> Callable[[int], None]:
    """What is told of each portion of rows, and tells of all until then."""
    done = 0

    def copied(rows: int) -> None:
        nonlocal done
        done += rows
        progress(done, total, "rows")

    return copied


def _read_meta(original: Connection) -> Meta:
    check_revision(original)
    meta = read_meta(original)
    if meta is None:
        raise BackupRefused("the database was never served; there is nothing in it")
    return meta


def _copy_all(original: Connection, copy: Copy, progress: Progress) -> Meta:
    meta = _read_meta(original)
    copied = rows_copied(progress, sum(count_rows(original).values()))
    with copy.begin() as connection:
        remove_rows(connection)  # the collection that migrations make
        copy_rows(original, connection, copied)
        copy_audit(original, connection, copied)
        raise_sequences(connection, read_sequences(original))
    return meta


def _write_pictures(writer: ArchiveWriter, store: FolderStore, copy: Copy, progress: Progress) -> _Written:
    written = _Written()
    with copy.begin() as connection:
        total = count_pictures(connection)
        for done, (crop, picture, sha256) in enumerate(all_pictures(connection), start=1):
            try:
                content = store.read(picture)
            except NotFound:  # its crop was removed meanwhile, which the last look makes sure of
                written.missing.append(crop)
                continue
            if hashlib.sha256(content).hexdigest() != sha256:
                raise BackupRefused(
                    f"the picture of crop {crop} is damaged on disk; remove the crop, or restore an older backup"
                )
            offset = writer.add(f"pictures/{picture}", content).offset
            for values, value in ((written.crops, crop), (written.offsets, offset), (written.sizes, len(content))):
                values.append(value)
            progress(done, total, "pictures")
    return written


def _look_again(original: Connection, before: Meta, copy: Copy, written: _Written) -> set[int]:
    """Take out of the copy whoever is gone by now, and the pictures that are; returns the crops concerned."""
    now = read_meta(original)
    if now is None or (now.uuid, now.epoch) != (before.uuid, before.epoch):
        raise BackupRefused("the database was restored or replaced meanwhile; start again")
    with copy.begin() as connection:
        erased = {one.crop for one in erase_gone(connection, original)}
        erased.update(drop_gone_pictures(connection, original))
    lost = set(written.missing) - erased
    if lost:
        named = ", ".join(map(str, sorted(lost)[:10]))
        raise BackupRefused(
            f"the pictures of {len(lost)} crops are missing on disk ({named}); remove these crops first"
        )
    return erased


def _manifest(copy: Copy, settings: Mapping[str, Any], began: datetime) -> dict[str, Any]:
    with copy.begin() as connection:
        meta = read_meta(connection)
        assert meta is not None
        return {
            "format": FORMAT,
            "version": version("reappear"),
            "created_at": began.isoformat(),
            "database": meta.uuid,
            "epoch": meta.epoch,
            "generation": meta.generation,
            "revision": revision_of(connection),
            "models": [
                {"model": f"{name}@sha256:{sha256}", "dim": dim} for name, sha256, dim in list_models(connection)
            ],
            "settings": dict(settings),
            "rows": count_rows(connection),
            "sequences": read_sequences(connection),
        }
