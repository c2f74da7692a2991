"""The log of a search, trials.log: Optuna's journal, a JSON object in each line, which outlives a full disk."""

import json
from collections.abc import Generator
from pathlib import Path
from typing import Any

from optuna.storages.journal import JournalFileBackend

from models.errors import Outside, Refused


class Journal(JournalFileBackend):
    """Optuna's backend, but a line that was cut short is taken off before another is put behind it.

    Raises Refused for a log that is damaged elsewhere, Outside where it cannot be read or written.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            mend(path)
            super().__init__(str(path))
        except OSError as error:
            raise self.unwritten(error) from error

    def read_logs(self, log_number_from: int) -> Generator[dict[str, Any], None, None]:
        """The entries from this number on."""
        try:
            yield from super().read_logs(log_number_from)
        except OSError as error:
            raise self.unwritten(error) from error

    def append_logs(self, logs: list[dict[str, Any]]) -> None:
        """Put entries at the end, on the disk."""
        try:
            super().append_logs(logs)
        except OSError as error:
            raise self.unwritten(error) from error

    def unwritten(self, error: OSError) -> Outside:
        """What to say of a disk that is full, or a file that is not the user's."""
        return Outside(
            f"{self.path} cannot be written: {error.strerror or error}; make room, or make it yours to write, and give "
            "the same command again, which goes on with the search"
        )


def mend(path: Path) -> None:
    """Take off a last line that was cut short, as by a full disk. Raises Refused where another line is damaged."""
    if not path.exists():
        return
    content = path.read_bytes()
    whole = content[: content.rfind(b"\n") + 1]
    for number, line in enumerate(whole.splitlines(), start=1):
        try:
            sound = isinstance(json.loads(line), dict)
        except ValueError:
            sound = False
        if not sound:
            raise Refused(
                f"{path}: line {number} is damaged, so what was tried cannot be told; give another --out, or put a "
                "copy of the file back"
            )
    if len(whole) < len(content):
        with path.open("r+b") as file:
            file.truncate(len(whole))
