"""A widened network computes what the narrow one does, and can learn more."""

import doctest

import pytest
import torch

import models.widening
from models.errors import Refused
from models.network import Architecture, Extractor
from models.widening import widen, widens


def make(kind: str) -> Extractor:
    """A network that has seen a few batches, so that nothing in it is 0 or 1 only."""
    torch.manual_seed(1)
    network = Extractor(Architecture(f"osnet{kind}-x0.25", dim=32, stripes=2, height=64, width=32))
    with torch.no_grad():
        for weight in network.parameters():
            weight.add_(0.05 * torch.randn_like(weight))
        for _ in range(3):
            network(draw())
    return network.eval()


def draw() -> torch.Tensor:
    return torch.randint(0, 256, (8, 64, 32, 3), dtype=torch.uint8)


def test_the_examples_in_the_docstrings_hold() -> None:
    assert doctest.testmod(models.widening).failed == 0


@pytest.mark.parametrize("kind", ["", "-ibn", "-ain"])
@pytest.mark.parametrize("width", [0.5, 0.75, 1.0])
def test_vectors_stay_what_they_were(kind: str, width: float) -> None:
    network = make(kind)
    wide, images = widen(network, f"osnet{kind}-x{width}", seed=3), draw()
    assert wide.backbone.channels == round(4 * width) * network.backbone.channels
    with torch.no_grad():
        assert torch.allclose(wide(images), network(images), atol=2e-5)


def test_copies_of_a_channel_learn_apart() -> None:
    wide = widen(make("-ain"), "osnet-ain-x0.5", seed=3).train()
    (gradient,) = torch.autograd.grad(wide(draw())[:, :8].sum(), wide.get_parameter("backbone.4.0.weight"))
    apart = (gradient[0::2] - gradient[1::2]).norm() / gradient.norm()
    assert apart > 0.05


def test_only_a_wider_one_of_the_same_kind_can_be_made() -> None:
    for other in ("osnet-ain-x0.25", "osnet-x0.5", "osnet-ain-x0.75", "mobilenetv2-x1.0"):
        assert not widens("osnet-ain-x0.5", other)
    with pytest.raises(Refused, match="cannot be widened"):
        widen(widen(make("-ain"), "osnet-ain-x0.5", seed=3), "osnet-ain-x0.75", seed=3)
