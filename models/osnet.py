"""OSNet, the omni-scale network for re-identification (Zhou et al., ICCV 2019), written from the paper.

Only the part that makes feature maps: what becomes of them is decided in `network`.
"""

import torch
from torch import Tensor, nn

WIDTHS_X0_25 = (16, 64, 96, 128)  # channels after the stem and the three stages


class ConvNorm(nn.Sequential):
    """Convolution, batch normalisation and, unless told otherwise, ReLU."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int = 1, relu: bool = True) -> None:
        parts: list[nn.Module] = [
            nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, bias=False),
            nn.BatchNorm2d(outputs),
        ]
        super().__init__(*parts, *([nn.ReLU(inplace=True)] if relu else []))


class LightConv(nn.Sequential):
    """The paper's Lite 3×3: a pointwise convolution, then a depthwise 3×3, batch normalisation and ReLU."""

    def __init__(self, channels: int) -> None:
        super().__init__(
            nn.Conv2d(channels, channels, 1, bias=False),
            nn.Conv2d(channels, channels, 3, padding=1, groups=channels, bias=False),
            nn.BatchNorm2d(channels),
            nn.ReLU(inplace=True),
        )


class Gate(nn.Module):
    """The unified aggregation gate: one small network, shared by all streams, weighs each channel of a stream."""

    def __init__(self, channels: int, reduction: int = 16) -> None:
        super().__init__()
        self.squeeze = nn.Conv2d(channels, channels // reduction, 1)
        self.excite = nn.Conv2d(channels // reduction, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) to the same shape."""
        weights = self.excite(torch.relu(self.squeeze(x.mean((2, 3), keepdim=True))))
        return x * torch.sigmoid(weights)


class Block(nn.Module):
    """The omni-scale residual block: four streams of 1, 2, 3 and 4 light convolutions see 3, 5, 7 and 9 pixels wide."""

    def __init__(self, inputs: int, outputs: int, streams: int = 4) -> None:
        super().__init__()
        middle = outputs // 4
        self.reduce = ConvNorm(inputs, middle, 1)
        self.streams = nn.ModuleList(nn.Sequential(*[LightConv(middle) for _ in range(n + 1)]) for n in range(streams))
        self.gate = Gate(middle)
        self.expand = ConvNorm(middle, outputs, 1, relu=False)
        self.shortcut = nn.Identity() if inputs == outputs else ConvNorm(inputs, outputs, 1, relu=False)

    def forward(self, x: Tensor) -> Tensor:
        """(N, inputs, H, W) to (N, outputs, H, W)."""
        reduced = self.reduce(x)
        fused = torch.stack([self.gate(stream(reduced)) for stream in self.streams]).sum(0)
        return torch.relu(self.expand(fused) + self.shortcut(x))


class OSNet(nn.Sequential):
    """Images (N, 3, H, W) to feature maps (N, widths[3], H/16, W/16)."""

    def __init__(self, widths: tuple[int, int, int, int] = WIDTHS_X0_25) -> None:
        stem, first, second, third = widths
        super().__init__(
            ConvNorm(3, stem, 7, stride=2),
            nn.MaxPool2d(3, 2, 1),
            Block(stem, first),
            Block(first, first),
            ConvNorm(first, first, 1),
            nn.AvgPool2d(2),
            Block(first, second),
            Block(second, second),
            ConvNorm(second, second, 1),
            nn.AvgPool2d(2),
            Block(second, third),
            Block(third, third),
            ConvNorm(third, third, 1),
        )
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
