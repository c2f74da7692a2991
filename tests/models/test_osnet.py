"""The network: shapes, size, and that each image is on its own."""

import torch

from models.network import DIM, Extractor, standardise
from models.osnet import Gate, OSNet


def count(module: torch.nn.Module) -> int:
    return sum(weight.numel() for weight in module.parameters())


def test_osnet_has_the_published_number_of_parameters() -> None:
    backbone = OSNet()
    layer = torch.nn.Sequential(torch.nn.Linear(128, 512), torch.nn.BatchNorm1d(512))  # the paper's feature layer
    assert round((count(backbone) + count(layer)) / 1e6, 1) == 0.2
    # The usual profiler counts a gate once for each of the four streams that share it, and arrives at 203,568.
    gates = sum(count(module) for module in backbone.modules() if isinstance(module, Gate))
    assert count(backbone) + count(layer) + 3 * gates == 203_568


def test_maps_are_a_sixteenth_of_the_input() -> None:
    assert OSNet()(torch.zeros(2, 3, 128, 64)).shape == (2, 128, 8, 4)
    assert OSNet()(torch.zeros(1, 3, 256, 128)).shape == (1, 128, 16, 8)


def test_vectors_have_unit_length_and_do_not_depend_on_the_batch() -> None:
    torch.manual_seed(0)
    network = Extractor().eval()
    images = torch.randint(0, 256, (5, 128, 64, 3), dtype=torch.uint8)
    with torch.inference_mode():
        together = network(images)
        alone = torch.cat([network(image[None]) for image in images])
    assert together.shape == (5, DIM)
    assert torch.allclose(together.norm(dim=1), torch.ones(5), atol=1e-5)
    assert torch.allclose(together, alone, atol=1e-5)


def test_standardisation_removes_exposure_and_colour_cast() -> None:
    dark = torch.randint(20, 100, (1, 128, 64, 3), dtype=torch.uint8)
    gain, offset = torch.tensor([2, 1, 2], dtype=torch.uint8), torch.tensor([5, 40, 0], dtype=torch.uint8)
    assert torch.allclose(standardise(dark), standardise(dark * gain + offset), atol=0.02)


def test_a_flat_image_gives_a_finite_vector() -> None:
    vector = Extractor().eval()(torch.full((1, 128, 64, 3), 7, dtype=torch.uint8))
    assert torch.isfinite(vector).all()
