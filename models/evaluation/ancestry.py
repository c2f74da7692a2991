"""What a network had learned from before the run at hand, as far as is known: a run notes it where it begins."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import onnx

from models.errors import Refused
from models.evaluation.exported import is_exported
from models.runs import Record, read_record
from service.embedding.manifest import read_manifest, sha256_of
from service.errors import ModelRefused

DRAWN = "people"  # what a run was trained on where people were drawn on the fly
DRAWN_ONES = "synthetic people"  # as the metadata of an exported file has them
ONLY_DRAWN = "reappear.only_drawn"  # there: whether the network has seen nothing else, before that training either


@dataclass(frozen=True, slots=True)
class Start:
    """What a training began from."""

    name: str
    learned_from: str = ""  # empty where it is not known
    identities: int = 0
    steps: int = 0
    seed: str = ""
    only_drawn: bool = False  # whether it has seen nothing but synthetic people, as far back as there was anything
    checksum: str = ""  # of the file with its weights; empty where there is none

    def in_words(self) -> str:
        """A sentence."""
        if not self.learned_from:
            return f"It went on from `{self.name}`, of which it is not known here what it had learned from."
        return (
            f"It went on from `{self.name}`, which had learned from {self.identities:,} identities of "
            f"{self.learned_from} in {self.steps:,} steps, seed {self.seed}."
        )


def read_start_of(folder: Path) -> Start:
    """What is known of a run or an exported folder that a training begins from."""
    try:
        return _of_exported(folder) if is_exported(folder) else _of_run(folder)
    except (Refused, ModelRefused, OSError, KeyError, IndexError, ValueError):
        return Start(folder.name)


def _of_exported(folder: Path) -> Start:
    manifest = read_manifest(folder)
    entries = read_entries(folder / manifest.file)
    told = {key.removeprefix("reappear."): value for key, value in entries.items()}
    return Start(
        manifest.version, told["trained_on"], int(told["identities"]), int(told["steps"]), told["seed"],
        only_drawn=says_only_drawn(entries), checksum=manifest.sha256,
    )  # fmt: skip


def _of_run(folder: Path) -> Start:
    record = read_record(folder)
    drawn, flags = record.flags["data"] == DRAWN, record.flags
    return Start(
        f"run {folder.name}",
        DRAWN_ONES if drawn else Path(str(flags["data"])).name,
        flags["identities"] if drawn else record.identities,
        record.scores[-1][0],
        str(flags["seed"]),
        only_drawn=saw_only_drawn(record.flags, record.origin),
        checksum=sha256_of(folder / "best.pt"),
    )


def origin_of(flags: Mapping[str, Any], noted: Mapping[str, Any]) -> Start | None:
    """What a run began from, as it noted, or, where it was made before runs did, as the folder says today; None where
    it began with nothing that was trained here."""
    if noted:
        return Start(**noted)
    return read_start_of(Path(str(flags["start"]))) if flags.get("start") else None


def saw_only_drawn(flags: Mapping[str, Any], noted: Mapping[str, Any]) -> bool:
    """Whether the network of a run has seen nothing but synthetic people, in what it began from either. What is not
    known, such as somebody else's weights, counts as photographs."""
    if flags.get("data") != DRAWN or flags.get("weights"):
        return False
    origin = origin_of(flags, noted)
    return origin is None or origin.only_drawn


def says_only_drawn(entries: Mapping[str, str]) -> bool:
    """Whether the metadata of a file say so. A file from before they did counts where it began from no other."""
    drawn = entries.get("reappear.trained_on") == DRAWN_ONES
    return entries.get(ONLY_DRAWN, str(drawn and "reappear.started_from" not in entries)) == "True"


def check_same_start(folder: Path, record: Record) -> None:
    """Raises Refused where what a run began from, and needs to go on, has other weights now."""
    noted, start = record.origin.get("checksum"), str(record.flags.get("start"))
    if noted and record.flags.get("alike") and read_start_of(Path(start)).checksum != noted:
        raise Refused(
            f"--from {start}: {folder} began from other weights, which --alike needs to tell who looks like whom; put "
            "those back, or begin another run in another --out"
        )


def note_start(folder: str) -> dict[str, Any]:
    """What a run that begins from a folder notes; nothing without one."""
    return asdict(read_start_of(Path(folder))) if folder else {}


def read_entries(path: Path) -> dict[str, str]:
    """What an ONNX file says of itself in its metadata."""
    return {one.key: one.value for one in onnx.load(path).metadata_props}
