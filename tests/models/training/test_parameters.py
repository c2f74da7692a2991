"""Who learns how fast, and what a frozen backbone keeps."""

import pytest
import torch
from torch import nn

from models.errors import Refused
from models.network import Architecture, Embedded, Extractor
from models.training.losses import Objective, Weights
from models.training.parameters import freeze, parameter_groups


def build(backbone: str = "osnet-ain-x0.25", pooling: str = "gem") -> tuple[Extractor, Objective]:
    torch.manual_seed(0)
    network = Extractor(Architecture(backbone, pooling, height=64, width=32, dim=32))
    return network, Objective(Weights(center=1e-3), 4, 32)


@pytest.mark.parametrize("backbone", ["osnet-ain-x0.25", "mobilenetv2-x0.5", "resnet50-ibn"])
@pytest.mark.parametrize("pooling", ["gem", "global+stripes"])
def test_every_weight_is_in_one_group_and_norms_and_biases_are_not_decayed(backbone: str, pooling: str) -> None:
    network, objective = build(backbone, pooling)
    groups = parameter_groups(network, objective, 1e-3, 5e-4)
    grouped = [id(weight) for group in groups for weight in group["params"]]
    assert len(grouped) == len(set(grouped))
    assert set(grouped) == {id(weight) for part in (network, objective) for weight in part.parameters()}
    decayed = {id(weight) for group in groups for weight in group["params"] if group["weight_decay"]}
    kinds = (nn.Conv1d, nn.Conv2d, nn.Linear)
    layers = [part for whole in (network, objective) for part in whole.modules() if isinstance(part, kinds)]
    assert decayed == {id(layer.weight) for layer in layers}
    assert {group["lr"] for group in groups} == {1e-3}


def test_rates_rise_in_geometric_progression_from_the_stem_to_the_head() -> None:
    groups = parameter_groups(*build(), 1e-2, 0.0, early_factor=0.01)
    rates = {group["name"].split(",")[0]: group["lr"] for group in groups}
    assert list(rates) == ["stage 0", "stage 1", "stage 2", "stage 3", "head", "losses"]
    assert list(rates.values()) == pytest.approx([1e-4, 1e-3 * 10**-0.5, 1e-3, 1e-2 * 10**-0.5, 1e-2, 1e-2])
    with pytest.raises(Refused, match="at most 1"):
        parameter_groups(*build(), 1e-2, 0.0, early_factor=2)


def test_an_optimiser_takes_the_groups_and_early_layers_move_less() -> None:
    network, objective = build()
    first, last = network.backbone[0][0].weight, network.get_parameter("project.weight")
    start = first.detach().clone(), last.detach().clone()
    optimiser = torch.optim.Adam(parameter_groups(network, objective, 1e-2, 0.0, early_factor=0.01))
    total, _ = objective(
        network.train().embed(torch.randint(0, 256, (8, 64, 32, 3), dtype=torch.uint8)), torch.arange(8) % 4
    )
    total.backward()
    optimiser.step()
    assert (first - start[0]).abs().max().item() == pytest.approx(1e-4, rel=0.01)
    assert (last - start[1]).abs().max().item() == pytest.approx(1e-2, rel=0.01)


def test_a_frozen_backbone_keeps_its_weights_and_statistics_until_it_is_thawed() -> None:
    network, objective = build(pooling="average")
    images, labels = torch.randint(0, 256, (8, 64, 32, 3), dtype=torch.uint8), torch.arange(8) % 4
    optimiser = torch.optim.SGD(parameter_groups(network, objective, 0.1, 0.1))

    def step() -> tuple[bool, bool]:
        """Whether the backbone, and whether the head, changed."""
        before = {name: weight.clone() for name, weight in network.state_dict().items()}
        embedded: Embedded = network.train().embed(images)
        optimiser.zero_grad(set_to_none=True)
        objective(embedded, labels)[0].backward()
        optimiser.step()
        changed = [name for name, weight in network.state_dict().items() if not torch.equal(weight, before[name])]
        return any(name.startswith("backbone") for name in changed), any(name.startswith("norm") for name in changed)

    network.train()
    freeze(network, True)
    assert step() == (False, True)
    freeze(network, False)
    assert step() == (True, True)
    network.eval()
    freeze(network, True)
    assert not any(part.training for part in network.modules())
