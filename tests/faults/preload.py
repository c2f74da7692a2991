"""The disk and the clock of a service in a process of its own, in the hands of a test: libraries that are loaded before
libc (disk.c, clock.c) and small files through which they are told what to do."""

import os
import shutil
import struct
import subprocess
from functools import cache
from pathlib import Path

import pytest

from tests.faults.journal import Record, read_journal

SOURCES = Path(__file__).parent
UNLIMITED = -1


class FaultyDisk:
    """Watches a folder from `environment` on; every change is in `journal()`, and the disk can be full or read-only."""

    def __init__(self, folder: Path, beside: Path, *, journal: bool = True) -> None:
        """`beside` is a folder for what the library needs itself. Without a journal syncs are real."""
        self._folder = folder
        self._journal = beside / "journal"
        self._control = beside / "disk-control"
        library = compile_library(beside, "disk", "stdio", "unseen")
        self.change()
        self.environment = {
            "LD_PRELOAD": str(library), "REAPPEAR_TEST_DISK_FOLDER": str(folder),
            "REAPPEAR_TEST_DISK_CONTROL": str(self._control),
        }  # fmt: skip
        if journal:
            self.environment["REAPPEAR_TEST_DISK_JOURNAL"] = str(self._journal)

    def change(self, *, bytes_left: int = UNLIMITED, read_only: bool = False) -> None:
        """From now on files may grow by so many bytes; nothing at all may change where it is read-only."""
        _put(self._control, struct.pack("<qq", bytes_left, read_only))

    def journal(self) -> list[Record]:
        """What happened so far."""
        return read_journal(self._journal, self._folder)


class FaultyClock:
    """The wall clock of a process can jump; its monotonic clock goes on."""

    def __init__(self, beside: Path) -> None:
        self._control = beside / "clock-control"
        library = compile_library(beside, "clock")
        self.jump_to(0)
        self.environment = {"LD_PRELOAD": str(library), "REAPPEAR_TEST_CLOCK_CONTROL": str(self._control)}

    def jump_to(self, offset_s: int) -> None:
        """The wall clock is so many seconds ahead of the real time, or behind."""
        _put(self._control, struct.pack("<q", offset_s))


def compile_library(folder: Path, *names: str) -> Path:
    """Compile C sources of this folder into one library. Its want of a compiler fails in CI and is a visible skip
    elsewhere."""
    compiler = compiler_here()
    if compiler is None:
        message = "there is no C compiler; the faults of disks and clocks cannot be tested"
        if os.environ.get("CI") == "true":
            pytest.fail(message)
        pytest.skip(message)
    library = folder / f"{names[0]}.so"
    sources = [str(SOURCES / f"{name}.c") for name in names]
    options = ["-O2", "-shared", "-fPIC", "-Wall", "-Wextra", "-Werror"]
    subprocess.run([compiler, *options, "-o", str(library), *sources, "-ldl", "-lpthread"], check=True)
    return library


@cache
def compiler_here() -> str | None:
    """The C compiler of this machine."""
    return shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")


def _put(path: Path, content: bytes) -> None:
    """Write in place: a library has the file mapped."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT, 0o600)
    try:
        os.pwrite(descriptor, content, 0)
    finally:
        os.close(descriptor)
