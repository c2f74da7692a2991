"""Files that are there whole or not at all, whatever happens while they are written."""

import errno
import os
from pathlib import Path

from models.errors import Outside, Refused

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def write_whole(path: Path, content: bytes) -> None:
    """Write a file whole or not at all. Raises Refused when it cannot be written; what was there before stays."""
    temporary = path.with_name(path.name + ".part")
    try:
        with temporary.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
        sync(path.parent)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        remedy = "give another place"
        if error.errno in FULL:
            resumed = ", with --resume" if path.with_name("last.pt").exists() else ""  # beside what a training saved
            remedy = f"make room for {len(content) / 1e6:.1f} MB and start again{resumed}"
        raise Outside(f"{path} cannot be written: {error.strerror or error}; {remedy}") from error


def check_places(*paths: Path | None) -> None:
    """Raises Refused where a file cannot be put, before anything is computed for it; None is a file not asked for."""
    for path in paths:
        if path is None:
            continue
        if not path.parent.is_dir():
            raise Refused(f"{path} cannot be written: there is no folder {path.parent}; make it, or give another place")
        if path.is_dir():
            raise Refused(f"{path} cannot be written: it is a folder; give the name of a file")
        if not os.access(path.parent, os.W_OK):
            raise Refused(f"{path} cannot be written: {path.parent} is not yours to write; give another place")


def sync(path: Path) -> None:
    """What was written to a file or folder is on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
