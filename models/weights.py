"""Initial weights from a checkpoint: one of ours, or one with the public names of torchreid, fast-reid or torchvision.

A checkpoint is read without running anything in it. Names are translated to ours; what is not ours is left alone.
"""

import pickle
import re
import zipfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from models.backbones.mobilenet import MobileNetV2
from models.backbones.osnet import OSNet
from models.errors import Outside, Refused
from models.network import Extractor

WRAPPERS = ("state_dict", "model", "network", "model_state_dict")  # under which checkpoints keep their weights
PREFIXES = re.compile(r"^(module\.|_orig_mod\.)+")  # of networks trained on several devices, or compiled
LEAST_LOADED = 0.5  # share of the backbone's weights, below which a checkpoint is of another network
SHOWN = 3  # names that are told of each kind
TORCHREID_MOBILENET = "conv2.0.dwconv2.conv.weight"  # has a 1×1 layer in its first block, which the paper has not
SCALAR: Any = np.float64(0).__reduce__()[0]  # what pickles a number of NumPy
NUMPY_SCALARS: list[Any] = [  # a score beside the weights, as torchreid writes it: numbers, not code
    SCALAR,
    (SCALAR, "numpy.core.multiarray.scalar"),  # its name before NumPy 2
    np.dtype,
    *(type(np.dtype(kind)) for kind in ("float32", "float64", "int32", "int64", "bool")),
]

OSNET_RULES = (  # patterns of torchreid's names, and what they become here; all are applied, in this order
    (r"^conv1\.", "0."),
    (r"^conv2\.2\.0\.|^pool2\.0\.", "4."),
    (r"^conv3\.2\.0\.|^pool3\.0\.", "8."),
    (r"^conv2\.0\.", "2."),
    (r"^conv2\.1\.", "3."),
    (r"^conv3\.0\.", "6."),
    (r"^conv3\.1\.", "7."),
    (r"^conv4\.0\.", "10."),
    (r"^conv4\.1\.", "11."),
    (r"^conv5\.", "12."),
    (r"\.conv2a\.", ".streams.0.0."),  # of a block, and so behind a dot
    (r"\.conv2b\.", ".streams.1."),
    (r"\.conv2c\.", ".streams.2."),
    (r"\.conv2d\.", ".streams.3."),
    (r"\.conv2\.(\d)\.layers\.", r".streams.\1."),  # the AIN kind's name for the same
    (r"(\.streams\.\d\.\d)\.conv1\.", r"\1.0."),
    (r"(\.streams\.\d\.\d)\.conv2\.", r"\1.1."),
    (r"(\.streams\.\d\.\d)\.bn\.", r"\1.2."),
    (r"\.conv1\.", ".reduce."),
    (r"\.conv3\.", ".expand."),
    (r"\.downsample\.", ".shortcut."),
    (r"\.gate\.fc1\.", ".gate.squeeze."),
    (r"\.gate\.fc2\.", ".gate.excite."),
    (r"\.conv\.", ".0."),
    (r"\.bn\.", ".1."),
)


@dataclass(frozen=True, slots=True)
class Loaded:
    """What became of a checkpoint, by name: ours, but for `unused`."""

    matched: tuple[str, ...]  # loaded
    missing: tuple[str, ...]  # not in the checkpoint, and left as they were
    reshaped: tuple[str, ...]  # in the checkpoint's head with another shape, and left as they were
    unused: tuple[str, ...]  # the checkpoint's, and nothing of ours

    def in_words(self) -> str:
        """One line, with the first names of each kind."""
        loaded, left = count_weights(self.matched), (*self.missing, *self.reshaped)
        return (
            f"{loaded} of {loaded + len(left)} weights loaded; left as drawn: {shorten(left)}; "
            f"unused: {shorten(self.unused)}"
        )


def count_weights(names: Iterable[str]) -> int:
    """Weights and statistics, without the counters that batch normalisation has beside them."""
    return sum(not name.endswith("num_batches_tracked") for name in names)


def shorten(names: Sequence[str]) -> str:
    """The first of some names, and how many more there are."""
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + more if names else "none"


def load_weights(network: Extractor, path: Path) -> Loaded:
    """Put a checkpoint's weights into the network where names match.

    Raises Refused, and changes nothing, when the file cannot be read without running code, is no state dict, matches
    nothing or less than half of the backbone, has a weight that is not finite, or a backbone of another shape or kind.
    """
    ours = network.state_dict()
    theirs, unused = translate(read_state(path), network)
    matched = {name: weight for name, weight in theirs.items() if weight.shape == ours[name].shape}
    missing = tuple(name for name in ours if name not in theirs and not name.endswith("num_batches_tracked"))
    loaded = Loaded(tuple(matched), missing, tuple(name for name in theirs if name not in matched), tuple(unused))
    try:
        refuse_misfits(network, theirs, loaded)
    except Refused as misfit:
        raise Refused(f"{path}: {misfit}") from None
    network.load_state_dict(matched, strict=False)
    return loaded


def refuse_misfits(network: Extractor, theirs: dict[str, Tensor], loaded: Loaded) -> None:
    """Raise Refused when weights under our names, loaded so, would make a network that nobody trained."""
    backbone, ours = network.architecture.backbone, network.state_dict()
    if TORCHREID_MOBILENET in loaded.unused and isinstance(network.backbone, MobileNetV2):
        raise Refused(
            "torchreid's MobileNetV2 has a layer more in its first block than the paper's and cannot be loaded;"
            " give torchvision's, or an OSNet of torchreid's"
        )
    if not any(theirs[name].numel() > 1 for name in loaded.matched):
        raise Refused(
            f"none of its {len(theirs) + len(loaded.unused)} weights fits {backbone}"
            f" (one is {next(iter(loaded.unused or theirs), 'none')}); choose the backbone it was trained as"
        )
    for name in loaded.reshaped:
        if name.startswith("backbone."):
            raise Refused(
                f"{name} has the shape {tuple(theirs[name].shape)} where {backbone} has {tuple(ours[name].shape)};"
                " choose the backbone and width it was trained as"
            )
    mine = count_weights(name for name in ours if name.startswith("backbone."))
    found = count_weights(name for name in loaded.matched if name.startswith("backbone."))
    if found < LEAST_LOADED * mine:
        raise Refused(
            f"holds {found} of the {mine} weights of the backbone {backbone}, at least {LEAST_LOADED:.0%} are needed"
            f" (not {shorten(loaded.missing)}); choose the backbone it was trained as"
        )
    for name in (*loaded.missing, *(rename(name, network) for name in loaded.unused)):
        # instance normalisation has no statistics, batch normalisation has: one weight under both is another network
        if name.endswith(".running_mean") and name.replace("running_mean", "weight") in loaded.matched:
            raise Refused(
                f"{name.removesuffix('.running_mean')} is another kind of normalisation in {backbone};"
                " choose the backbone it was trained as, plain, -ibn or -ain"
            )
    for name in loaded.matched:
        if not torch.isfinite(theirs[name]).all():
            raise Refused(f"{name} has numbers that are not finite; use an earlier checkpoint of that training")


def read_state(path: Path) -> dict[str, Tensor]:
    """The weights in a file of torch.save, by name, without running what is pickled in it; Refused otherwise."""
    try:
        with torch.serialization.safe_globals(NUMPY_SCALARS):
            content = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise Outside(f"{path}: there is no such checkpoint") from None
    except pickle.UnpicklingError as error:
        raise Refused(
            f"{path}: not read, because it is no PyTorch checkpoint or holds more than weights ({first_line(error)});"
            " save its state dict alone, with torch.save(network.state_dict(), FILE)"
        ) from error
    except (OSError, RuntimeError, EOFError, ValueError, KeyError, AttributeError, zipfile.BadZipFile) as error:
        raise Refused(f"{path}: not a complete PyTorch checkpoint ({first_line(error)})") from error
    for wrapper in WRAPPERS:
        if isinstance(content, Mapping) and isinstance(content.get(wrapper), Mapping):
            content = content[wrapper]
            break
    if not isinstance(content, Mapping):
        raise Refused(f"{path}: holds a {type(content).__name__}, not a state dict")
    weights = {PREFIXES.sub("", str(name)): value for name, value in content.items() if isinstance(value, Tensor)}
    if not weights:
        raise Refused(f"{path}: no weights in it, nor under {', '.join(WRAPPERS)}")
    return weights


def first_line(error: Exception) -> str:
    """What went wrong, in one line that does not advise to run the file."""
    lines = str(error).replace("\t", " ").splitlines() or [type(error).__name__]
    named = [line for line in lines if "Unsupported" in line or "GLOBAL" in line]
    return re.sub(r"\s+", " ", (named or lines)[0]).strip()[:160]


def translate(state: dict[str, Tensor], network: Extractor) -> tuple[dict[str, Tensor], list[str]]:
    """Weights under our names, in our layout, and the names of those that are none of ours."""
    ours, found, unused = network.state_dict(), dict[str, Tensor](), list[str]()
    for name, weight in state.items():
        own = name if name in ours else rename(name, network)
        if own not in ours:
            unused.append(name)
            continue
        if own == "project.weight" and weight.ndim in (2, 4):  # theirs is a linear layer or a 1×1 convolution
            weight = weight.reshape(*weight.shape[:2], -1)
        found[own] = weight
    if "norm.running_mean" in found and "fc.0.bias" in state and "project.weight" in found:
        # torchreid's layer has a bias before its normalisation, which is the same as a lower mean
        found["norm.running_mean"] = found["norm.running_mean"] - state["fc.0.bias"]
        unused.remove("fc.0.bias")
    return found, unused


def rename(name: str, network: Extractor) -> str:
    """Our name for a public one, or what is none of ours."""
    head = rename_head(name, network)
    if head:
        return head
    name = re.sub(r"^(backbone|base)\.", "", name)
    if isinstance(network.backbone, MobileNetV2):
        name = name.removeprefix("features.")
    if isinstance(network.backbone, OSNet):
        behind = "-ibn" in network.architecture.backbone
        for pattern, replacement in (*OSNET_RULES, (r"\.IN\.", ".behind." if behind else ".expand.1.")):
            name = re.sub(pattern, replacement, name)
    return f"backbone.{name}"


def rename_head(name: str, network: Extractor) -> str | None:
    """Our name for a weight of a public head: torchreid's `fc`, fast-reid's `bottleneck` and pooling."""
    architecture = network.architecture
    if name == "heads.pool_layer.p" and architecture.pooling == "gem":
        return "pool.p"
    # in a banded head a projection of theirs can have our shape by chance, and would be applied to stripes
    projected = architecture.projected and not architecture.banded
    layers = {"fc.0": "project", "fc.1": "norm"} if projected else {}
    if projected:
        layers |= {"heads.bottleneck.0": "project", "heads.bottleneck.1": "norm"}
    elif not architecture.projected:
        layers["heads.bottleneck.0"] = layers["heads.bnneck"] = "norm"
    layer, _, weight = name.rpartition(".")
    return f"{layers[layer]}.{weight}" if layer in layers else None
