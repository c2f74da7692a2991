"""ResNet-50, written from the paper (He et al., CVPR 2016): the part that makes feature maps.

`last_stride` 1 keeps the last maps at 1/16 (Luo et al., CVPRW 2019); `ibn` is IBN-a (Pan et al., ECCV 2018). Parts have
the names under which ImageNet weights of this network are passed around.
"""

import torch
from torch import Tensor, nn

from models.backbones.layers import draw_convolutions

STAGES = ((64, 3, 1), (128, 4, 2), (256, 6, 2), (512, 3, 2))  # bottleneck channels, blocks, stride of the first block
EXPANSION = 4


class InstanceBatchNorm(nn.Module):
    """IBN-a: the first half of the channels is normalised in each picture, the other half over the batch."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = channels // 2
        self.IN = nn.InstanceNorm2d(self.first, affine=True)
        self.BN = nn.BatchNorm2d(channels - self.first)

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) to the same shape."""
        return torch.cat([self.IN(x[:, : self.first]), self.BN(x[:, self.first :])], 1)


class Bottleneck(nn.Module):
    """1×1, 3×3 and 1×1 convolutions beside a shortcut; the stride is in the 3×3, as everyone's weights have it."""

    def __init__(self, inputs: int, channels: int, stride: int, ibn: bool) -> None:
        super().__init__()
        outputs = channels * EXPANSION
        self.conv1 = nn.Conv2d(inputs, channels, 1, bias=False)
        self.bn1 = InstanceBatchNorm(channels) if ibn else nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, stride, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels)
        self.conv3 = nn.Conv2d(channels, outputs, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(outputs)
        self.downsample: nn.Module = nn.Identity()
        if stride != 1 or inputs != outputs:
            self.downsample = nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))

    def forward(self, x: Tensor) -> Tensor:
        """(N, inputs, H, W) to (N, 4 · channels, H/stride, W/stride)."""
        inner = torch.relu(self.bn1(self.conv1(x)))
        inner = torch.relu(self.bn2(self.conv2(inner)))
        return torch.relu(self.bn3(self.conv3(inner)) + self.downsample(x))


class ResNet50(nn.Module):
    """Images (N, 3, H, W) to feature maps (N, 2048, H/s, W/s) with s = 16 · last_stride."""

    def __init__(self, last_stride: int = 1, ibn: bool = False) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 64, 7, 2, 3, bias=False)
        self.bn1 = nn.BatchNorm2d(64)
        self.maxpool = nn.MaxPool2d(3, 2, 1)
        inputs = 64
        for number, (channels, blocks, usual) in enumerate(STAGES, start=1):
            last = number == len(STAGES)
            stride = last_stride if last else usual
            stage = nn.Sequential()
            for k in range(blocks):
                stage.append(Bottleneck(inputs, channels, 1 if k else stride, ibn and not last))
                inputs = channels * EXPANSION
            self.add_module(f"layer{number}", stage)
        self.channels = inputs
        self.stride = 16 * last_stride
        draw_convolutions(self)

    def stages(self) -> list[nn.Module]:
        """The stem and the four stages, from the first layers to the last."""
        stem = nn.ModuleList([self.conv1, self.bn1])
        return [stem, *(self.get_submodule(f"layer{number}") for number in range(1, len(STAGES) + 1))]

    def forward(self, x: Tensor) -> Tensor:
        """Feature maps of standardised images."""
        x = self.maxpool(torch.relu(self.bn1(self.conv1(x))))
        for number in range(1, len(STAGES) + 1):
            x = self.get_submodule(f"layer{number}")(x)
        return x
