"""Put a backup back, into the same database or another of either kind. Everything is checked before anything is
changed; who was erased since the backup was taken is taken out of it before it comes near the database; and one
transaction makes the new state, so that a crash leaves the old one or the new."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import chain
from pathlib import Path

from sqlalchemy import Connection

from service.db.audit import add_entries
from service.db.copies import Copy, remove_files
from service.db.copying import (
    Meta,
    copy_audit,
    copy_rows,
    count_rows,
    holdings,
    keep_named_pictures,
    raise_sequences,
    read_meta,
    remove_rows,
    set_epoch,
)
from service.db.database import Database
from service.db.erasures import waiting_tombstones
from service.db.pruning import ERASABLE, count_pictures, erase_stones, pictures_of
from service.db.schema import check_revision, revision_of, upgrade
from service.domain import Tombstone
from service.errors import BackupRefused
from service.flows.archive import ArchiveReader
from service.flows.audit import command_entry
from service.flows.backup import Progress, rows_copied
from service.flows.checking import check_pictures, check_rows, check_version, in_parts
from service.flows.reconcile import NAMES_AT_ONCE, settle_files, sweep
from service.store.folder import FolderStore
from service.store.lock import FolderLock
from service.store.snapshots import SNAPSHOT_FOLDER, SnapshotFolder
from service.store.tombstones import TOMBSTONE_FILE, Tombstones

SCRATCH = "restore.db"
PICTURES_AT_ONCE = 32  # in memory
HIGHEST_ID = 2**53  # no stone of ours names a higher one


@dataclass(frozen=True, slots=True)
class Restored:
    """What a restore brought back, and how many crops of the backup it left out because they were erased since."""

    identities: int
    crops: int
    erased_crops: int
    epoch: int
    generation: int


@dataclass(frozen=True, slots=True)
class _Target:
    """What there is before the restore."""

    meta: Meta | None
    collections: int
    identities: int
    crops: int
    stones: list[Tombstone]


@dataclass(frozen=True, slots=True)
class _Stones:
    """Tombstones of one database: those of the data folder's file, which may be long, and new ones."""

    own: Tombstones
    new: list[Tombstone]
    database: str

    def __iter__(self) -> Iterator[Tombstone]:
        return (stone for stone in chain(self.own.read(), self.new) if stone.database == self.database)

    def highest(self) -> dict[str, int]:
        """The highest id by table that any of them names."""
        found: dict[str, int] = {}
        for stone in self:
            if stone.kind in ERASABLE and stone.row.isdecimal() and int(stone.row) < HIGHEST_ID:
                name = str(ERASABLE[stone.kind].name)
                found[name] = max(found.get(name, 0), int(stone.row))
        return found


def restore(
    path: Path, *, database_url: str, data_dir: Path, tombstones: Sequence[Path] = (), replace: bool = False,
    progress: Progress = lambda done, total, what: None, fail_point: Callable[[str], None] = lambda name: None,
) -> Restored:  # fmt: skip
    """Restore a backup. `tombstones` are files of erased rows besides the data folder's own; `replace` allows it to
    remove the people who are there. Raises BackupRefused, DatabaseRefused, FolderRefused, DatabaseDown: then nothing
    was changed, but that an empty database was migrated."""
    given = [stone for file in tombstones for stone in _stones_of(file)]
    with ExitStack() as stack:
        lock = FolderLock(data_dir)
        stack.callback(lock.release)
        store = FolderStore(data_dir / "pictures")
        stack.callback(store.close)
        archive, backup, copy = _open(path, store, stack, progress)
        database = Database(database_url, readers=1, max_waiting=1)
        stack.callback(database.close)
        target = _look(database, database_url)
        _check_target(target, backup, lock.owner, copy, store, replace=replace)
        own = Tombstones(data_dir / TOMBSTONE_FILE)
        stones = _Stones(own, _unknown([*given, *target.stones], own), backup.uuid)
        erased = _prepare(copy, backup, target, stones)
        fail_point("after-checks-before-stage")
        own.append(stones.new)
        _stage(archive, copy, store, progress)
        fail_point("after-stage-before-commit")
        if lock.owner != backup.uuid:
            lock.disown()  # between here and the commit the folder may belong to either
        with database.begin() as connection, copy.begin() as source:
            _replace_rows(source, connection, progress)
            raise_sequences(connection, archive.manifest["sequences"])
            raise_sequences(connection, stones.highest())
            add_entries(connection, [command_entry("restore", f"file={path.name}")])
            fail_point("before-commit")
        fail_point("after-commit-before-publish")
        lock.claim_for(backup.uuid)
        copy.close()
        settle_files(database, store, own)
        fail_point("after-publish-before-sweep")
        sweep(database, store)
        SnapshotFolder(data_dir / SNAPSHOT_FOLDER).sweep([])  # of the epoch before, which no start would use
        return database.read_now(_restored, erased)


def _open(path: Path, store: FolderStore, stack: ExitStack, progress: Progress) -> tuple[ArchiveReader, Meta, Copy]:
    """The archive, checked to the last bit, and a working copy of its rows at this version's revision."""
    try:
        file = stack.enter_context(path.open("rb"))
    except OSError as error:
        raise BackupRefused(f"{path} cannot be read ({error.strerror})") from error
    archive = ArchiveReader(file)
    check_version(archive.manifest)
    scratch = store.scratch(SCRATCH)
    remove_files(scratch)  # of a restore that was killed
    stack.callback(remove_files, scratch)
    archive.extract_rows(scratch, lambda done, total: progress(done, total, "bytes of rows"))
    copy = Copy(scratch)
    stack.callback(copy.close)
    with copy.begin() as connection:
        meta = check_rows(connection, archive.manifest)
        check_pictures(connection, archive, progress)
    return archive, meta, copy


def _stones_of(file: Path) -> list[Tombstone]:
    if not file.is_file():
        raise BackupRefused(f"there is no file {file} of erased rows")
    stones = list(Tombstones(file).read())
    if not stones and file.stat().st_size:
        raise BackupRefused(f"{file} is not a file of erased rows; it is called {TOMBSTONE_FILE} in a data folder")
    return stones


def _unknown(stones: Iterable[Tombstone], own: Tombstones) -> list[Tombstone]:
    """Those of the stones that the data folder's file lacks."""
    new = dict.fromkeys(stones)
    for stone in own.read() if new else ():
        new.pop(stone, None)
    return list(new)


def _look(database: Database, url: str) -> _Target:
    """Claim the database, make its tables where there are none, and see what is in it."""
    database.claim()
    if database.read_now(revision_of) is None:
        upgrade(url)
    database.read_now(check_revision)

    def look(connection: Connection) -> _Target:
        meta = read_meta(connection)
        stones = list(waiting_tombstones(connection).values()) if meta else []
        return _Target(meta, *holdings(connection), stones)

    return database.read_now(look)


def _check_target(
    target: _Target, backup: Meta, owner: str | None, copy: Copy, store: FolderStore, *, replace: bool
) -> None:
    """Raises BackupRefused where people would be lost that nobody said may be, or where folder and database do not
    belong together."""
    uuids = {target.meta.uuid if target.meta else None}
    if not target.crops:
        uuids.add(backup.uuid)  # the database was lost, the folder was not
    if owner is not None and owner not in uuids:
        raise BackupRefused("the data folder holds the pictures of another database; name another folder or database")
    if replace:
        return
    if target.identities or target.crops or target.collections > 1:
        raise BackupRefused(
            f"the database holds {target.identities} identities with {target.crops} crops in {target.collections} "
            "collections; restore into an empty one, or add --replace to remove them"
        )
    with copy.begin() as connection:
        parts = in_parts(store.names(), NAMES_AT_ONCE)
        strays = sum(len(part) - len(pictures_of(connection, part)) for part in parts)
    if strays:
        raise BackupRefused(
            f"the data folder holds {strays} pictures that the backup has not; restore into an empty folder, "
            "or add --replace to remove them"
        )


def _prepare(copy: Copy, backup: Meta, target: _Target, stones: Iterable[Tombstone]) -> int:
    """Give the copy an epoch that no file knows, and take out who was erased since the backup; returns how many crops.
    A stone of an earlier epoch is not about these rows: they came back after it."""
    epochs = [backup.epoch, *([target.meta.epoch] if target.meta else [])]
    since = (stone for stone in stones if stone.epoch >= backup.epoch)
    with copy.begin() as connection:
        set_epoch(connection, max(chain(epochs, (stone.epoch for stone in stones))) + 1)
        return len(erase_stones(connection, since, datetime.now(UTC)).crops)


def _stage(archive: ArchiveReader, copy: Copy, store: FolderStore, progress: Progress) -> None:
    """Write the pictures that rows need and that are not in their place yet."""
    done = 0
    with copy.begin() as connection:
        total = count_pictures(connection)
        for part in in_parts(archive.pictures(), PICTURES_AT_ONCE):
            needed = pictures_of(connection, [name for name, _ in part])
            missing = {
                name: content for name, content in part if name in needed and not store.holds(name, needed[name][1])
            }
            store.stage_as(missing)
            done += len(needed)
            progress(done, total, "pictures")


def _replace_rows(source: Connection, target: Connection, progress: Progress) -> None:
    """All rows of the source instead of those of the target; its audit log is kept and added to."""
    copied = rows_copied(progress, sum(count_rows(source).values()))
    remove_rows(target)
    copy_rows(source, target, copied)
    keep_named_pictures(target)
    copy_audit(source, target, copied)


def _restored(connection: Connection, erased: int) -> Restored:
    meta = read_meta(connection)
    assert meta is not None
    _, identities, crops = holdings(connection)
    return Restored(identities, crops, erased, meta.epoch, meta.generation)
