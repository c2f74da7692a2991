"""The journal that disk.c writes: every change of the watched folder, in the order in which it was done."""

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

HEAD = struct.Struct("<qiiqq")


@dataclass(frozen=True, slots=True)
class Record:
    """One change. `op` is open, write, truncate, sync, rename, link, unlink or mkdir by its first letter; `paths` are
    below the watched folder, `fd` is the open file; `offset` is that of a write, the size of a truncation, or whether
    an opened file was emptied. `moment_s` is CLOCK_MONOTONIC, as `time.monotonic` tells it."""

    moment_s: float
    op: str
    fd: int = -1
    offset: int = 0
    paths: tuple[str, ...] = ()
    data: bytes = b""


def read_journal(path: Path, folder: Path) -> list[Record]:
    """All records of the folder; one that the end of the process cut short is left out."""
    return list(_records(path.read_bytes(), str(folder.resolve())))


def _records(journal: bytes, folder: str) -> Iterator[Record]:
    at = 0
    while at + HEAD.size <= len(journal):
        moment_ns, op, fd, offset, length = HEAD.unpack_from(journal, at)
        data = journal[at + HEAD.size : at + HEAD.size + length]
        at += HEAD.size + length
        if len(data) < length:
            return
        paths: tuple[str, ...] = ()
        if chr(op) in "orlum":
            paths = tuple(one.decode().removeprefix(folder).strip("/") for one in data.split(b"\0")[:-1])
            data = b""
        yield Record(moment_ns / 1e9, chr(op), fd, offset, paths, data)
