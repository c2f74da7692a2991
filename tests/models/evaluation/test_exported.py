"""An exported folder gives back the network that it was exported from, which training can go on with."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import numpy_helper
from torch import nn
from torch.nn.functional import normalize

from models.errors import Refused
from models.evaluation.exported import draw_people, fill, load_exported, read_start, rescale
from models.exporting.export import trace
from models.exporting.folder import write_folder
from models.exporting.running import AGREEMENT, least_cosine
from models.exporting.surgery import with_metadata
from models.network import Architecture, Extractor
from models.runs import read_checkpoint
from models.training.train import train
from service.embedding.manifest import Thresholds
from tests.models.tiny import TINY

DEFAULT = Path(__file__).parents[3] / "models" / "default"
THRESHOLDS = Thresholds(
    match=0.6, possible=0.5, identities=2, gallery=1, fpir_match=0.01, fpir_possible=0.1, made_from="nothing"
)
SMALL = Architecture("osnet-ain-x0.25", dim=32, stripes=2, height=64, width=32)


def settled(architecture: Architecture) -> Extractor:
    """A network with statistics, weights and biases of its own in every normalisation."""
    torch.manual_seed(0)
    network = Extractor(architecture)
    for part in network.modules():
        if isinstance(part, nn.BatchNorm1d | nn.BatchNorm2d):
            assert part.running_mean is not None
            assert part.running_var is not None
            part.running_mean.normal_(0, 0.1)
            part.running_var.uniform_(0.5, 2)
        if isinstance(part, nn.BatchNorm1d | nn.BatchNorm2d | nn.InstanceNorm2d):
            nn.init.uniform_(part.weight, 0.2, 2)
            nn.init.normal_(part.bias, 0, 0.1)
    return network.eval()


def describe(network: Extractor, images: "np.ndarray") -> "np.ndarray":
    with torch.no_grad():
        return normalize(network.embed(torch.from_numpy(images)).after).numpy()


def write(folder: Path, graph: bytes, **told: object) -> Path:
    entries = {f"reappear.{name}": json.dumps(value) for name, value in told.items()}
    write_folder(folder, with_metadata(graph, entries), name="mine", thresholds=THRESHOLDS)
    return folder


@pytest.fixture(scope="module")
def graph() -> bytes:
    return trace(settled(SMALL))


def test_the_vectors_are_those_of_the_run_and_a_batch_in_training_gives_nearly_the_same(
    graph: bytes, tmp_path: Path
) -> None:
    folder = write(tmp_path / "mine", graph, architecture=SMALL.to_json())
    network, source = load_exported(folder), settled(SMALL)
    assert network.architecture == read_start(folder) == SMALL
    images = np.random.default_rng(0).integers(0, 256, (16, 64, 32, 3), dtype=np.uint8)
    assert least_cosine(describe(network, images), describe(source, images)) >= AGREEMENT
    people = network.standardise(torch.from_numpy(draw_people(SMALL)))
    with torch.no_grad():
        before, after = network.backbone.eval()(people), network.backbone.train()(people)
    assert (after - before).abs().max() < 0.05 * before.abs().max(), "the scale of each layer is kept"


@pytest.mark.parametrize(
    "architecture",
    [
        Architecture("osnet-ibn-x0.25", "gem", dim=64, height=64, width=32),
        Architecture("mobilenetv2-x0.5", "global+stripes", stripes=2, dim=64, neck=False, height=64, width=32),
    ],
    ids=lambda one: one.backbone,
)
def test_every_kind_of_layer_finds_its_weights(architecture: Architecture) -> None:
    source, network = settled(architecture), Extractor(architecture)
    images = np.random.default_rng(0).integers(0, 256, (4, 64, 32, 3), dtype=np.uint8)
    fill(network, onnx.load_from_string(trace(source)).graph)
    rescale(network, images)
    assert least_cosine(describe(network.eval(), images), describe(source, images)) >= AGREEMENT


def test_a_fresh_network_whose_equal_weights_the_exporter_merges_is_read_whole() -> None:
    torch.manual_seed(0)
    source, network = Extractor(SMALL).eval(), Extractor(SMALL)
    images = np.random.default_rng(0).integers(0, 256, (4, 64, 32, 3), dtype=np.uint8)
    fill(network, onnx.load_from_string(trace(source)).graph)
    assert least_cosine(describe(network.eval(), images), describe(source, images)) >= AGREEMENT


def test_fine_tuning_starts_from_the_model_that_ships(people: Path, tmp_path: Path) -> None:
    flags = replace(TINY, data=str(people), dim=512, stripes=4, height=128, width=64, steps=1, rate=1e-9, decay=0.0)
    tuned = train(replace(flags, start=str(DEFAULT), early_factor=0.1), tmp_path / "tuned")
    assert tuned.architecture == read_start(DEFAULT)
    assert read_checkpoint(tmp_path / "tuned").objective["classifier.weight"].shape == (6, 512)
    given = {one.name: numpy_helper.to_array(one) for one in onnx.load(DEFAULT / "model.onnx").graph.initializer}
    for name in ("backbone.0.0.weight", "backbone.12.0.weight", "project.weight"):
        assert tuned.get_parameter(name).detach().numpy() == pytest.approx(given[name], abs=1e-6)


@pytest.mark.parametrize(
    ("told", "why"),
    [
        ({}, "does not say what the network is made of"),
        ({"architecture": {"depth": 3}}, "unknown field depth"),
        ({"architecture": SMALL.to_json(), "precision": "fp16"}, "its weights are"),
        ({"architecture": SMALL.to_json() | {"backbone": "osnet-ain-x0.5"}}, "another shape"),
        ({"architecture": SMALL.to_json() | {"standardise": "imagenet"}}, "to its own vectors"),
    ],
)
def test_a_folder_that_training_cannot_go_on_from_is_refused_with_why(
    told: dict[str, object], why: str, graph: bytes, tmp_path: Path
) -> None:
    with pytest.raises(Refused, match=rf"mine: training cannot go on from it \(.*{why}.*give the run"):
        load_exported(write(tmp_path / "mine", graph, **told))
