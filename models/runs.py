"""A run is a folder: last.pt, best.pt, run.json, curves.png, tensorboard/ and report.html. Read and written here.

Every file is there whole or not at all. Nothing here knows how a network is trained.
"""

import hashlib
import io
import json
import os
import platform
import random
import subprocess
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch

from models.errors import NotFinite, Refused
from models.files import write_whole
from models.network import Architecture, Extractor

Tensors = dict[str, torch.Tensor]
LossNote = tuple[int, float, dict[str, float], float]  # step, total, parts, learning rate
ScoreNote = tuple[int, str, float, float, float]  # step, set of pictures, mAP, rank-1, mINP
LayerNote = tuple[int, dict[str, float]]  # step, a figure for each layer


@dataclass(slots=True)
class Record:
    """What run.json says: what the run depends on and what happened, by step; steps count from 1."""

    flags: dict[str, Any]
    architecture: dict[str, Any]
    identities: int  # in the training part
    parameters: int
    commit: str
    environment: dict[str, Any]
    data: str = ""  # where the pictures lay, absolute; empty for people drawn on the fly
    origin: dict[str, Any] = field(default_factory=dict)  # what it began from: ancestry.Start
    loaded: str = ""  # what became of the file of initial weights, in words
    across: bool = True  # whether somebody to learn from was seen by two cameras
    losses: list[LossNote] = field(default_factory=list)
    scores: list[ScoreNote] = field(default_factory=list)
    ratios: list[LayerNote] = field(default_factory=list)  # size of an update over size of the weights
    dead: list[LayerNote] = field(default_factory=list)  # share of a layer's channels that are 0 for all pictures
    filters: list[tuple[int, float]] = field(default_factory=list)  # step, roughness of the first layer's filters
    triplets: list[tuple[int, float]] = field(default_factory=list)  # step, share of anchors nearer to somebody else
    histograms: dict[str, dict[str, list[float]]] = field(default_factory=dict)  # kind, layer: low, high, counts
    best: dict[str, Any] = field(default_factory=dict)  # step, set, metric, value
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """All that a training needs to go on exactly where it was; `step` steps are done."""

    step: int
    network: Tensors
    objective: Tensors
    optimiser: dict[str, Any]
    scaler: dict[str, Any]
    average: Tensors
    randomness: dict[str, Any]
    record: dict[str, Any]


def pack(content: object) -> bytes:
    """What torch.save would write. In memory first, so that a full disk is met by plain writing."""
    buffer = io.BytesIO()
    torch.save(content, buffer)
    return buffer.getvalue()


def write_record(folder: Path, record: Record) -> None:
    """Write run.json."""
    write_whole(folder / "run.json", (json.dumps(asdict(record), indent=1) + "\n").encode())


def read_record(folder: Path) -> Record:
    """What run.json of a run says. Raises Refused when there is none or it is not a run's."""
    path = folder / "run.json"
    try:
        return Record(**json.loads(path.read_text()))
    except FileNotFoundError as error:
        raise Refused(f"{path}: no such file; give the folder of a run that `python -m models train` made") from error
    except (ValueError, TypeError) as error:
        raise Refused(f"{path}: not the record of a run ({error}); give another folder or train again") from error


def write_checkpoint(folder: Path, checkpoint: Checkpoint) -> None:
    """Write last.pt. Raises Refused, and leaves the one before, when a weight is not finite or the disk is full."""
    broken = [name for name, value in checkpoint.network.items() if not bool(torch.isfinite(value).all())]
    if broken:
        raise NotFinite(
            f"{folder / 'last.pt'}: after step {checkpoint.step} {broken[0]} holds NaN or infinity and was not saved; "
            "lower --rate, or use --precision fp32"
        )
    write_whole(folder / "last.pt", pack({one.name: getattr(checkpoint, one.name) for one in fields(checkpoint)}))


def read_checkpoint(folder: Path) -> Checkpoint:
    """last.pt of a run, its tensors on the CPU. Raises Refused when there is none or it cannot be read."""
    content = read_tensors(folder / "last.pt")
    try:
        return Checkpoint(**content)
    except TypeError as error:
        raise Refused(f"{folder / 'last.pt'}: not a checkpoint of this version ({error}); train again") from error


def read_tensors(path: Path) -> Any:
    """What a .pt file holds, on the CPU, nothing in it executed. Raises Refused when it is absent or damaged."""
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError as error:
        raise Refused(f"{path}: no such file; the run has saved nothing yet, or the folder is another") from error
    except Exception as error:  # pickle, zip and runtime errors alike
        raise Refused(f"{path}: cannot be read as weights ({type(error).__name__}); train again") from error


def load_run(folder: Path, which: Literal["best", "last"] = "best") -> Extractor:
    """The network of a run, ready for evaluation: the best by the metric it was chosen by, or the last.

    Where the run kept a moving average of the weights, it is that. Raises Refused when a file is missing, damaged or of
    another shape.
    """
    record = read_record(folder)
    try:
        network = Extractor(Architecture.from_json(record.architecture))
    except Refused as refused:
        raise Refused(f"{folder / 'run.json'}: {refused}") from refused
    if which == "best":
        path, weights = folder / "best.pt", read_tensors(folder / "best.pt")
    else:
        checkpoint = read_checkpoint(folder)
        path, weights = folder / "last.pt", averaged(checkpoint.average) or checkpoint.network
    try:
        network.load_state_dict(weights)
    except (RuntimeError, AttributeError) as error:
        what = str(error).splitlines()[-1].strip()
        raise Refused(f"{path}: not the weights of the network in run.json ({what}); train again") from error
    return network.eval()


def digest_network(network: Extractor) -> str:
    """SHA-256 of an architecture and its weights, wherever they lie: equal where the vectors are."""
    digest = hashlib.sha256(json.dumps(network.architecture.to_json(), sort_keys=True).encode())
    for name, value in sorted(network.state_dict().items()):
        digest.update(name.encode())
        digest.update(value.detach().cpu().reshape(-1).contiguous().view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def averaged(state: Tensors) -> Tensors:
    """The network's weights in the state of torch's AveragedModel; empty where none was kept."""
    return {name.removeprefix("module."): value for name, value in state.items() if name.startswith("module.")}


def open_run(folder: Path, flags: dict[str, Any], free: frozenset[str], resume: bool) -> Checkpoint | None:
    """The checkpoint that a run goes on from, None for a new run.

    `free` names the flags that may differ; so may one that the run was made without knowing. Raises Refused when there
    is a run and `resume` is not set, when there is none to resume, and when it was made with other flags.
    """
    exists = (folder / "run.json").exists() or (folder / "last.pt").exists()
    if not resume:
        if exists:
            raise Refused(f"{folder}: holds a run already; go on with --resume, or give another --out")
        return None
    if not (folder / "last.pt").exists():
        raise Refused(f"{folder / 'last.pt'}: no such file; there is nothing to resume, leave --resume out")
    checkpoint = read_checkpoint(folder)
    made_with = checkpoint.record["flags"]
    other = [name for name, value in flags.items() if name not in free and made_with.get(name, value) != value]
    if other:
        listed = ", ".join(f"{option(name)} {made_with.get(name)!r} (now {flags[name]!r})" for name in other)
        raise Refused(f"{folder}: was made with {listed}; resume with the same flags, or give another --out")
    return checkpoint


def option(name: str) -> str:
    """The command line's name of a flag."""
    return "--from" if name == "start" else f"--{name.replace('_', '-')}"


def collect_randomness() -> dict[str, Any]:
    """The states of all generators that are not tied to a step's seed."""
    kind, keys, *rest = np.random.get_state(legacy=True)
    return {
        "torch": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
        "python": random.getstate(),
        "numpy": (kind, np.asarray(keys).tolist(), *rest),
    }


def restore_randomness(state: dict[str, Any]) -> None:
    """Set all generators as collect_randomness found them."""
    torch.set_rng_state(state["torch"])
    if state["cuda"] and len(state["cuda"]) == torch.cuda.device_count():
        torch.cuda.set_rng_state_all(state["cuda"])
    version, internal, gauss = state["python"]
    random.setstate((version, tuple(internal), gauss))
    kind, keys, *rest = state["numpy"]
    np.random.set_state((kind, np.array(keys, np.uint32), *rest))


def describe_environment(device: str) -> dict[str, Any]:
    """Versions and machine that a run's figures were made on."""
    return {
        "python": platform.python_version(),
        "torch": str(torch.__version__),
        "cores": os.cpu_count(),
        "machine": platform.machine(),
        "device": torch.cuda.get_device_name() if device == "cuda" else "cpu",
    }


def commit() -> str:
    """The commit of the working tree, or `unknown` outside a repository."""
    command = ["git", "rev-parse", "HEAD"]
    try:
        found = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603  # a fixed command
    except FileNotFoundError:
        return "unknown"
    return found.stdout.strip() if found.returncode == 0 else "unknown"
