"""ResNet-50: published size, shapes, and where IBN-a is."""

import pytest
import torch
from torch import nn

from models.backbones.resnet import InstanceBatchNorm, ResNet50


@pytest.mark.parametrize("ibn", [False, True])
def test_it_has_the_published_number_of_parameters(ibn: bool) -> None:
    # 25,557,032 with the classifier of 1,000 classes; IBN-a shares channels out and adds nothing
    assert sum(weight.numel() for weight in ResNet50(ibn=ibn).parameters()) == 25_557_032 - 2_049_000


@pytest.mark.parametrize(("last_stride", "stride"), [(1, 16), (2, 32)])
def test_the_last_stride_decides_the_size_of_the_maps(last_stride: int, stride: int) -> None:
    backbone = ResNet50(last_stride)
    assert (backbone.stride, backbone.channels) == (stride, 2048)
    assert backbone(torch.zeros(1, 3, 128, 64)).shape == (1, 2048, 128 // stride, 64 // stride)


def test_ibn_is_in_the_first_normalisation_of_all_blocks_but_the_last_stages() -> None:
    backbone = ResNet50(ibn=True)
    places = [name for name, part in backbone.named_modules() if isinstance(part, InstanceBatchNorm)]
    assert places == [f"layer{n}.{k}.bn1" for n, blocks in ((1, 3), (2, 4), (3, 6)) for k in range(blocks)]


def test_ibn_normalises_half_of_the_channels_in_each_picture() -> None:
    torch.manual_seed(0)
    x = torch.randn(3, 8, 5, 4) * torch.tensor([1.0, 5.0, 9.0])[:, None, None, None] + 3
    y = InstanceBatchNorm(8)(x)
    torch.testing.assert_close(y[:, :4], nn.functional.instance_norm(x[:, :4]))
    torch.testing.assert_close(y[:, 4:], nn.functional.batch_norm(x[:, 4:], None, None, training=True))


def test_its_stages_are_all_of_it_in_order() -> None:
    backbone = ResNet50()
    staged = [weight for stage in backbone.stages() for weight in stage.parameters()]
    assert [id(weight) for weight in staged] == [id(weight) for weight in backbone.parameters()]
