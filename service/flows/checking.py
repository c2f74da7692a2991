"""Whether a backup is whole and for this version: its rows, and every picture against the row that names it."""

import hashlib
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any, TypeVar

from sqlalchemy import Connection

from service.db.copying import Meta, count_rows, read_meta
from service.db.pruning import count_pictures, pictures_of
from service.db.schema import known_revisions
from service.errors import BackupDamaged, BackupRefused
from service.flows.archive import ArchiveReader
from service.flows.backup import Progress

DIGESTS_AT_ONCE = 256

Value = TypeVar("Value")


def check_version(manifest: dict[str, Any]) -> None:
    """Raises BackupRefused for a backup of a newer version."""
    if manifest["revision"] not in known_revisions():
        raise BackupRefused(
            f"the backup was made by version {manifest['version']}, with a database at revision "
            f"{manifest['revision']} that this version does not know; install that version or a newer one"
        )


def check_rows(connection: Connection, manifest: dict[str, Any]) -> Meta:
    """The row of meta, once the rows are those of the manifest. Raises BackupDamaged."""
    meta = read_meta(connection)
    if meta is None or (meta.uuid, meta.epoch, meta.generation) != (
        manifest["database"], manifest["epoch"], manifest["generation"],
    ):  # fmt: skip
        raise BackupDamaged("the backup is damaged: its rows are of another database or moment than its manifest says")
    found = count_rows(connection)
    for name, rows in manifest["rows"].items():
        if found.get(name) != rows:
            raise BackupDamaged(f"the backup is damaged: it should have {rows} rows of {name}, not {found.get(name)}")
    return meta


def check_pictures(connection: Connection, archive: ArchiveReader, progress: Progress) -> None:
    """Each picture that a row names is there once, with its bytes, in the order of the crops; one that no row names is
    blank, because its crop was erased while the backup was made. Raises BackupDamaged."""
    total, done, last = count_pictures(connection), 0, 0
    for part in in_parts(_digests(archive), DIGESTS_AT_ONCE):
        named = pictures_of(connection, [name for name, _, _ in part])
        for name, sha256, blank in part:
            crop, wanted = named.get(name, (None, None))
            if crop is None:
                if not blank:
                    raise BackupDamaged(f"the backup is damaged: no crop has its picture {name}")
                continue
            if sha256 != wanted:
                raise BackupDamaged(f"the backup is damaged: the picture of crop {crop} is another")
            if crop <= last:
                raise BackupDamaged("the backup is damaged: its pictures are not in order")
            last = crop
            done += 1
        progress(done, total, "pictures checked")
    if done != total:
        raise BackupDamaged(f"the backup is damaged: {total - done} of {total} pictures are missing")


def in_parts(values: Iterable[Value], size: int) -> Iterator[list[Value]]:
    """Lists of up to `size` of the values."""
    iterator = iter(values)
    while part := list(islice(iterator, size)):
        yield part


def _digests(archive: ArchiveReader) -> Iterator[tuple[str, str, bool]]:
    for name, content in archive.pictures():
        yield name, hashlib.sha256(content).hexdigest(), not content.strip(b"\0")
