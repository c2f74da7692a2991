"""OSNet and its kin: published sizes, shapes, and where instance normalisation is."""

import pytest
import torch
from torch import nn

from models.backbones.osnet import Gate, OSNet


def count(module: nn.Module) -> int:
    return sum(weight.numel() for weight in module.parameters())


@pytest.mark.parametrize(("width", "millions"), [(1.0, 2.2), (0.75, 1.3), (0.5, 0.6), (0.25, 0.2)])
def test_each_width_has_the_published_number_of_parameters(width: float, millions: float) -> None:
    backbone = OSNet(width)
    layer = nn.Sequential(nn.Linear(backbone.channels, 512), nn.BatchNorm1d(512))  # the paper's feature layer
    assert round((count(backbone) + count(layer)) / 1e6, 1) == millions


def test_the_smallest_is_counted_as_the_usual_profiler_counts_it() -> None:
    backbone = OSNet(0.25)
    layer = nn.Sequential(nn.Linear(128, 512), nn.BatchNorm1d(512))
    # It counts a gate once for each of the four streams that share it, and arrives at 203,568.
    gates = sum(count(module) for module in backbone.modules() if isinstance(module, Gate))
    assert count(backbone) + count(layer) + 3 * gates == 203_568


def test_ain_trades_normalisations_one_for_one_and_ibn_adds_two() -> None:
    plain, ain, ibn = (OSNet(1.0, kind) for kind in ("plain", "ain", "ibn"))
    assert count(ain) == count(plain)
    assert count(ibn) == count(plain) + 2 * (256 + 256)
    places = {
        kind: [name for name, part in OSNet(0.25, kind).named_modules() if isinstance(part, nn.InstanceNorm2d)]
        for kind in ("plain", "ain", "ibn")
    }
    assert places == {
        "plain": [],
        "ain": ["0.1", "2.expand.1", "3.expand.1", "7.expand.1", "10.expand.1"],
        "ibn": ["0.1", "2.behind", "3.behind"],
    }


@pytest.mark.parametrize("kind", ["plain", "ain", "ibn"])
def test_maps_are_a_sixteenth_of_the_input(kind: str) -> None:
    backbone = OSNet(0.25, kind)
    assert backbone.channels == 128
    assert backbone(torch.zeros(2, 3, 128, 64)).shape == (2, 128, 8, 4)
    assert backbone(torch.zeros(1, 3, 256, 128)).shape == (1, 128, 256 // backbone.stride, 128 // backbone.stride)


def test_its_stages_are_all_of_it_in_order() -> None:
    backbone = OSNet(0.25)
    staged = [weight for stage in backbone.stages() for weight in stage.parameters()]
    assert [id(weight) for weight in staged] == [id(weight) for weight in backbone.parameters()]
