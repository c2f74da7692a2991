"""How a network came to be, in sentences of its card: what it was trained with, and what it began from."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from textwrap import fill
from typing import Any

from models.errors import Refused
from models.evaluation.exported import is_exported
from models.evaluation.trained import DRAWN, DRAWN_ONES, read_entries
from models.runs import read_record
from service.embedding.manifest import read_manifest
from service.errors import ModelRefused

LOSSES = {
    "identity": "the identity loss with label smoothing",
    "contrastive": "the supervised contrastive loss (Khosla et al., NeurIPS 2020)",
    "triplet": "the batch-hard triplet loss (Hermans et al., 2017)",
    "circle": "the circle loss (Sun et al., CVPR 2020)",
    "center": "the center loss (Wen et al., ECCV 2016)",
}
WIDTH = 118  # of a line


@dataclass(frozen=True, slots=True)
class Start:
    """What a training began from, as far as is known."""

    name: str
    learned_from: str = ""  # empty where it is not known
    identities: int = 0
    steps: int = 0
    seed: str = ""

    @property
    def drawn(self) -> bool:
        """Whether it has seen nothing but synthetic people."""
        return self.learned_from == DRAWN_ONES

    def in_words(self) -> str:
        """A sentence."""
        if not self.learned_from:
            return f"It went on from `{self.name}`, of which it is not known here what it had learned from."
        return (
            f"It went on from `{self.name}`, which had learned from {self.identities:,} identities of "
            f"{self.learned_from} in {self.steps:,} steps, seed {self.seed}."
        )


def read_origin(flags: Mapping[str, Any]) -> Start | None:
    """What the flags of a run began from; None where that was nothing that was trained here."""
    folder = Path(str(flags.get("start") or ""))
    if not flags.get("start"):
        return None
    try:
        if is_exported(folder):
            manifest = read_manifest(folder)
            told = {key.removeprefix("reappear."): value for key, value in read_entries(folder / manifest.file).items()}
            return Start(
                manifest.version, told["trained_on"], int(told["identities"]), int(told["steps"]), told["seed"]
            )
        record = read_record(folder)
        drawn, before = record.flags["data"] == DRAWN, record.flags
        return Start(
            f"run {folder.name}",
            DRAWN_ONES if drawn else Path(str(before["data"])).name,
            before["identities"] if drawn else record.identities,
            record.scores[-1][0],
            str(before["seed"]),
        )
    except (Refused, ModelRefused, OSError, KeyError, IndexError, ValueError):
        return Start(folder.name)


def describe_learning(flags: Mapping[str, Any]) -> str:
    """What the network was trained with, from the flags of its run."""
    weights = [part.split("=") for part in str(flags.get("losses", "contrastive=1,identity=0.3")).split(",")]
    losses = " and ".join(f"{LOSSES.get(name, name)} × {float(weight):g}" for name, weight in weights if float(weight))
    start = "a run of its own" if flags.get("start") else "given weights" if flags.get("weights") else "random weights"
    how = [f"Trained from {start} with {losses}"]
    if flags.get("alike"):
        how.append(f"in batches of {flags['alike']} who look alike at a time (graph sampling, Liao & Shao, CVPR 2022)")
    calm = flags.get("calm")
    if calm is None or calm < 1:
        how.append("while the randomisation of the pictures grew")
    return fill(", ".join(how) + ".", WIDTH)
