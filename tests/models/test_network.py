"""The network: what an architecture may say, and that each image is on its own."""

import json

import pytest
import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from models.errors import Refused
from models.network import BACKBONES, DIM, Architecture, Extractor, Standardise, standardise

SMALL = Architecture(height=64, width=32, dim=32)


def draw(count: int, architecture: Architecture = SMALL, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    shape = (count, architecture.height, architecture.width, 3)
    return torch.randint(0, 256, shape, dtype=torch.uint8, generator=generator)


def test_vectors_have_unit_length_and_do_not_depend_on_the_batch() -> None:
    torch.manual_seed(0)
    network = Extractor().eval()
    images = draw(5, Architecture())
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


def test_other_standardisations_are_those_of_imagenet_and_0_to_1() -> None:
    images = torch.tensor([[[[0, 128, 255]]]], dtype=torch.uint8)
    assert Standardise("none")(images).flatten().tolist() == pytest.approx([0, 128 / 255, 1])
    expected = [(0 - 0.485) / 0.229, (128 / 255 - 0.456) / 0.224, (1 - 0.406) / 0.225]
    assert Standardise("imagenet")(images).flatten().tolist() == pytest.approx(expected, abs=1e-6)


def test_a_flat_image_gives_a_finite_vector() -> None:
    vector = Extractor().eval()(torch.full((1, 128, 64, 3), 7, dtype=torch.uint8))
    assert torch.isfinite(vector).all()


def test_the_default_has_the_weights_of_the_network_that_was_shipped_first() -> None:
    shapes = {name: tuple(weight.shape) for name, weight in Extractor().state_dict().items()}
    assert shapes["backbone.0.0.weight"] == (16, 3, 7, 7)
    assert shapes["backbone.2.streams.3.3.1.weight"] == (16, 1, 3, 3)
    assert shapes["backbone.12.1.running_var"] == (128,)
    assert shapes["project.weight"] == (512, 128, 1)
    assert shapes["norm.weight"] == shapes["norm.bias"] == (512,)
    assert len(shapes) == 564


def test_the_neck_lies_between_the_two_views_and_its_bias_is_not_trained() -> None:
    network = Extractor(SMALL).train()
    before, after = network.embed(draw(8))
    torch.testing.assert_close(after, nn.functional.batch_norm(before, None, None, training=True))
    assert isinstance(network.norm, nn.BatchNorm1d)
    assert not network.norm.bias.requires_grad
    bare = Extractor(Architecture(height=64, width=32, neck=False)).eval().embed(draw(2))
    assert torch.equal(bare.before, bare.after)


def test_erasing_changes_training_only() -> None:
    network = Extractor(SMALL)
    weights = set(network.state_dict())
    images = draw(4)
    network.eval()
    plain = network(images)
    network.erase = nn.Threshold(1e9, 0.0)  # all of the picture
    assert torch.equal(network(images), plain)
    network.train()
    before = network.embed(images).before
    assert torch.allclose(before, before[:1].expand_as(before), atol=1e-5)
    assert set(network.state_dict()) == weights


@pytest.mark.parametrize("backbone", ["osnet-ain-x0.25", "osnet-ibn-x0.25", "mobilenetv2-x0.5", "resnet50-ibn"])
def test_half_precision_gives_the_same_vectors_to_a_hundredth(backbone: str) -> None:
    torch.manual_seed(0)
    network = Extractor(Architecture(backbone, "gem", height=64, width=32, dim=32)).eval()
    with torch.no_grad():
        exact = network(draw(3))
        with torch.autocast("cpu", torch.bfloat16):
            rough = network(draw(3))
    assert rough.dtype == torch.float32
    assert (exact * rough).sum(1).min() > 0.99


def test_a_moving_average_follows_weights_and_statistics() -> None:
    torch.manual_seed(0)
    network = Extractor(SMALL).train()
    average = AveragedModel(network, multi_avg_fn=get_ema_multi_avg_fn(0.9), use_buffers=True)
    average.update_parameters(network)  # the first is a copy
    names = ("project.weight", "norm.running_mean")
    first = {name: network.state_dict()[name].clone() for name in names}
    with torch.no_grad():
        network.get_parameter("project.weight").add_(1)
    network.embed(draw(4))
    average.update_parameters(network)
    for name in names:
        expected = 0.9 * first[name] + 0.1 * network.state_dict()[name]
        torch.testing.assert_close(average.module.state_dict()[name], expected)
        assert not torch.equal(expected, first[name])
    assert average.module.eval()(draw(1)).shape == (1, 32)


def test_an_architecture_survives_being_written_down() -> None:
    chosen = Architecture(
        "resnet50", "global+stripes", stripes=2, dim=256, standardise="imagenet", height=256, width=128
    )
    assert Architecture.from_json(json.loads(json.dumps(chosen.to_json()))) == chosen
    assert Architecture.from_json({}) == Architecture()


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ([], "not an object"),
        ({"depth": 50}, "unknown field depth"),
        ({"backbone": "vgg"}, "osnet-x0.25, "),
        ({"backbone": 50}, "type str"),
        ({"dim": 512.0}, "type int"),
        ({"neck": 1}, "type bool"),
        ({"dim": 0}, "1 to 8192"),
        ({"stripes": 3}, "multiple of 3"),
        ({"pooling": "global+stripes", "dim": 12}, "multiple of 8"),
        ({"height": 8}, "32 to 1024"),
        ({"last_stride": 3}, "1 or 2"),
        ({"standardise": "zscore"}, "picture, imagenet, none"),
    ],
)
def test_an_architecture_that_cannot_be_is_refused_with_what_can(value: object, reason: str) -> None:
    with pytest.raises(Refused, match=reason):
        Architecture.from_json(value)


def test_without_a_projection_the_dimension_is_what_is_pooled() -> None:
    network = Extractor(Architecture(pooling="average", projected=False, dim=128, height=64, width=32)).eval()
    assert network(draw(2)).shape == (2, 128)
    with pytest.raises(Refused, match="128"):
        Extractor(Architecture(pooling="average", projected=False))


def test_every_backbone_can_be_built_and_trained_a_step() -> None:
    torch.set_num_threads(1)
    for name in BACKBONES:
        network = Extractor(Architecture(name, "average", height=32, width=32, dim=8)).train()
        embedded = network.embed(draw(2, network.architecture))
        embedded.after.square().sum().backward()  # type: ignore[no-untyped-call]
        untrained = [
            name for name, weight in network.named_parameters() if weight.requires_grad and weight.grad is None
        ]
        assert untrained == []
