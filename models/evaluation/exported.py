"""The network of an exported folder as PyTorch had it, to go on training from: its weights stand in model.onnx.

The exporter folds a batch normalisation into the convolution before it. Unfolded it is another pair of layers with the
same output, and pictures tell the scale at which a batch is normalised in training.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from onnx import numpy_helper
from torch import Tensor, nn

from models.errors import Refused
from models.evaluation.evaluate import UNSEEN_SEED
from models.evaluation.features import open_model
from models.network import Architecture, Extractor
from models.people.crowd import draw_pictures
from models.people.style import STREET
from models.runs import load_run, read_record
from service.embedding.manifest import read_manifest
from service.errors import ModelRefused
from service.images.preprocess import resize

AGREEMENT = 0.9999  # least cosine between the vectors of the file and of the network made of it
PEOPLE = 48  # drawn, a picture of each, to see how large the inputs of normalisations are

Weights = dict[str, Tensor]
BatchNorm = nn.BatchNorm1d | nn.BatchNorm2d


def is_exported(folder: Path) -> bool:
    """Whether it is the folder of an exported network and not of a run."""
    return (folder / "manifest.json").exists() and not (folder / "run.json").exists()


def read_start(folder: Path) -> Architecture:
    """What the network of a run, or of an exported folder, is made of. Raises Refused where that is not known."""
    if is_exported(folder):
        return architecture_of(read_file(folder), folder)
    try:
        return Architecture.from_json(read_record(folder).architecture)
    except Refused as refused:
        raise Refused(f"{folder}: training cannot go on from it: {refused}") from refused


def load_start(folder: Path) -> Extractor:
    """The network of a run, or of an exported folder, to go on training from. Raises Refused."""
    return load_exported(folder) if is_exported(folder) else load_run(folder)


def load_exported(folder: Path) -> Extractor:
    """The network of an exported folder, ready for evaluation and for training.

    Raises Refused where the file was not exported from a run, is smaller than float32, or is not what it says.
    """
    model = read_file(folder)
    network = Extractor(architecture_of(model, folder))
    try:
        fill(network, model.graph)
    except (KeyError, StopIteration, RuntimeError) as error:
        what = (str(error).splitlines() or ["too few"])[-1].strip()
        raise other(folder, f"its weights are of another shape: {what}") from error
    network.eval()
    images = draw_people(network.architecture)
    with torch.inference_mode():
        given = network(torch.from_numpy(images)).numpy()
    cosine = float((given * open_model(str(folder)).run(images)).sum(axis=1).min())
    if not cosine >= AGREEMENT:
        raise other(folder, f"cosine {cosine:.4f} to its own vectors")
    rescale(network, images)
    return network


def read_file(folder: Path) -> Any:
    """The ONNX model of a folder. Raises Refused."""
    try:
        return onnx.load(folder / read_manifest(folder).file)
    except ModelRefused as error:
        raise Refused(f"{folder}: {error.detail}") from error
    except Exception as error:  # protobuf's own
        raise Refused(f"{folder}: its network cannot be read ({type(error).__name__}); export it again") from error


def architecture_of(model: Any, folder: Path) -> Architecture:
    """As the metadata have it."""
    told = {one.key: one.value for one in model.metadata_props}
    if told.get("reappear.precision", "fp32") != "fp32":
        raise other(folder, f"its weights are {told['reappear.precision']}")
    try:
        return Architecture.from_json(json.loads(told["reappear.architecture"]))
    except KeyError as error:
        raise other(folder, "its file does not say what the network is made of") from error
    except (ValueError, Refused) as error:
        raise other(folder, f"what it says of the network is not understood: {error}") from error


def other(folder: Path, why: str) -> Refused:
    """What to say of a folder that training cannot go on from."""
    return Refused(
        f"{folder}: training cannot go on from it ({why}); give the run, or a folder of `python -m models export` "
        "with --precision fp32"
    )


def fill(network: Extractor, graph: Any) -> None:
    """Put a graph's weights into the network. Convolutions keep their names in the file; what else a layer has is found
    by the node that uses it, since the exporter keeps one of several that are equal. Raises KeyError, StopIteration and
    RuntimeError where they do not belong to each other."""
    weights = {one.name: torch.from_numpy(numpy_helper.to_array(one).copy()) for one in graph.initializer}
    biases = {node.input[1]: node.input[2] for node in graph.node if node.op_type == "Conv" and len(node.input) > 2}
    nodes = {kind: inputs_of(graph, kind) for kind in ("BatchNormalization", "InstanceNormalization")}
    outputs = {node.input[1]: node.output[0] for node in graph.node if node.op_type == "Conv"}
    kept = {node.input[0] for node in graph.node if node.op_type == "BatchNormalization"}
    state, before = Weights(), ""  # the weight of the convolution before, which a normalisation may be folded into
    for name, part in network.named_modules():
        if isinstance(part, nn.Conv1d | nn.Conv2d):
            state[f"{name}.weight"] = weights[f"{name}.weight"]
            if part.bias is not None:
                state[f"{name}.bias"] = weights[biases[f"{name}.weight"]]
            before = f"{name}.weight" if isinstance(part, nn.Conv2d) else ""
        elif isinstance(part, nn.InstanceNorm2d):
            state[f"{name}.weight"], state[f"{name}.bias"] = (
                weights[one] for one in next(nodes["InstanceNormalization"])
            )
            before = ""
        elif isinstance(part, BatchNorm) and before and outputs[before] not in kept:
            bias = weights[biases[before]] if before in biases else torch.zeros(part.num_features)  # 0 is left out
            state |= {f"{name}.{what}": value for what, value in unfold(part, bias).items()}
            before = ""
        elif isinstance(part, BatchNorm):
            found = next(nodes["BatchNormalization"])
            for what, one in zip(("weight", "bias", "running_mean", "running_var"), found, strict=True):
                state[f"{name}.{what}"] = weights[one]
    for name, _ in network.named_parameters():
        state[name] = state[name] if name in state else weights[name]  # the power of GeM
    counters = {name: value for name, value in network.state_dict().items() if name.endswith("num_batches_tracked")}
    network.load_state_dict(counters | state)


def inputs_of(graph: Any, kind: str) -> Iterator[list[str]]:
    """What each node of a kind takes beside its input, in the order of the network."""
    return iter([list(node.input)[1:] for node in graph.node if node.op_type == kind])


def unfold(norm: BatchNorm, bias: Tensor) -> Weights:
    """A normalisation that adds a bias and changes nothing else."""
    one = torch.ones_like(bias)
    return {"weight": one, "bias": bias, "running_mean": 0 * one, "running_var": (1 - norm.eps) * one}


def draw_people(architecture: Architecture) -> "np.ndarray[Any, np.dtype[np.uint8]]":
    """Drawn people (n, height, width, 3) in the network's size."""
    drawn = draw_pictures(UNSEEN_SEED, PEOPLE, 1, 1, STREET)
    return np.stack([resize(one.image, architecture.height, architecture.width) for one in drawn])


def rescale(network: Extractor, images: "np.ndarray[Any, np.dtype[np.uint8]]") -> None:
    """Give each batch normalisation of the backbone the mean and variance of its input on these images, and the weight
    and bias with which its output stays what it is: as large in a training's batches as in evaluation."""
    norms = [part for part in network.backbone.modules() if isinstance(part, BatchNorm)]
    seen = dict[nn.Module, Tensor]()
    hooks = [part.register_forward_pre_hook(lambda part, given: seen.update({part: given[0]})) for part in norms]
    with torch.no_grad():
        network.eval()(torch.from_numpy(images))
        for hook in hooks:
            hook.remove()
        for part in norms:
            given = seen[part].transpose(0, 1).flatten(1)
            mean, variance = given.mean(1), given.var(1)
            kept_mean, kept_variance = part.running_mean, part.running_var
            assert kept_mean is not None  # as they are of every normalisation of a network
            assert kept_variance is not None
            scale = part.weight / (kept_variance + part.eps).sqrt()
            part.bias.add_(scale * (mean - kept_mean))
            part.weight.copy_(scale * (variance + part.eps).sqrt())
            kept_mean.copy_(mean)
            kept_variance.copy_(variance)
