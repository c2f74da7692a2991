"""How a network came to be, in sentences of its card: what it was trained with, and what it began from."""

from collections.abc import Mapping
from textwrap import fill
from typing import Any

LOSSES = {
    "identity": "the identity loss with label smoothing",
    "contrastive": "the supervised contrastive loss (Khosla et al., NeurIPS 2020)",
    "triplet": "the batch-hard triplet loss (Hermans et al., 2017)",
    "circle": "the circle loss (Sun et al., CVPR 2020)",
    "center": "the center loss (Wen et al., ECCV 2016)",
}
WIDTH = 118  # of a line


def describe_learning(flags: Mapping[str, Any]) -> str:
    """What the network was trained with, from the flags of its run."""
    weights = [part.split("=") for part in str(flags.get("losses", "contrastive=1,identity=0.3")).split(",")]
    losses = " and ".join(f"{LOSSES.get(name, name)} × {float(weight):g}" for name, weight in weights if float(weight))
    given = "given weights" if flags.get("weights") else "random weights"
    how = [f"Trained from {'an earlier network' if flags.get('start') else given} with {losses}"]
    if flags.get("alike"):
        how.append(f"in batches of {flags['alike']} who look alike at a time (graph sampling, Liao & Shao, CVPR 2022)")
    calm = flags.get("calm")
    if calm is None or calm < 1:
        how.append("while the randomisation of the pictures grew")
    return fill(", ".join(how) + ".", WIDTH)
