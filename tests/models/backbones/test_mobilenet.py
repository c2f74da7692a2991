"""MobileNetV2: published size and shapes."""

import pytest
import torch

from models.backbones.mobilenet import MobileNetV2, round_to_eight


@pytest.mark.parametrize(("width", "whole"), [(1.0, 3_504_872), (0.5, 1_968_680), (0.75, 2_636_424), (1.4, 6_108_776)])
def test_each_width_has_the_published_number_of_parameters(width: float, whole: int) -> None:
    backbone = MobileNetV2(width)
    classifier = 1000 * (backbone.channels + 1)  # of the 1,000 classes it was published with
    assert sum(weight.numel() for weight in backbone.parameters()) == whole - classifier


def test_without_its_classifier_it_has_2_2_million() -> None:
    assert round(sum(weight.numel() for weight in MobileNetV2().parameters()) / 1e6, 1) == 2.2


@pytest.mark.parametrize(("last_stride", "stride"), [(1, 16), (2, 32)])
def test_the_last_stride_decides_the_size_of_the_maps(last_stride: int, stride: int) -> None:
    backbone = MobileNetV2(0.5, last_stride)
    assert (backbone.stride, backbone.channels) == (stride, 1280)
    assert backbone(torch.zeros(1, 3, 128, 64)).shape == (1, 1280, 128 // stride, 64 // stride)


def test_channels_are_multiples_of_eight_and_never_far_below() -> None:
    assert [round_to_eight(channels) for channels in (3, 12, 16.8, 24, 11.2)] == [8, 16, 16, 24, 16]


def test_its_stages_are_all_of_it_in_order() -> None:
    backbone = MobileNetV2(0.5)
    staged = [weight for stage in backbone.stages() for weight in stage.parameters()]
    assert [id(weight) for weight in staged] == [id(weight) for weight in backbone.parameters()]
