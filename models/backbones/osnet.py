"""OSNet, the omni-scale network for re-identification, and its kin with instance normalisation, from the papers.

Zhou et al., ICCV 2019 (OSNet) and TPAMI 2021 (OSNet-AIN; OSNet-IBN is what that paper compares with).
Only the part that makes feature maps: what becomes of them is decided in `network`.
"""

import torch
from torch import Tensor, nn

from models.backbones.layers import ConvNorm, cut, draw_convolutions

WIDTHS = (64, 256, 384, 512)  # channels after the stem and the three stages, at x1.0


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
    """The omni-scale residual block: four streams of 1, 2, 3 and 4 light convolutions see 3, 5, 7 and 9 pixels wide.

    `instance` says where instance normalisation is: `none`, `inside` the residual (AIN, in place of batch
    normalisation) or `behind` the sum (IBN).
    """

    def __init__(self, inputs: int, outputs: int, instance: str = "none", streams: int = 4) -> None:
        super().__init__()
        middle = outputs // 4
        self.reduce = ConvNorm(inputs, middle, 1)
        self.streams = nn.ModuleList(nn.Sequential(*[LightConv(middle) for _ in range(n + 1)]) for n in range(streams))
        self.gate = Gate(middle)
        self.expand = ConvNorm(middle, outputs, 1, activation=None, instance=instance == "inside")
        self.shortcut = nn.Identity() if inputs == outputs else ConvNorm(inputs, outputs, 1, activation=None)
        self.behind = nn.InstanceNorm2d(outputs, affine=True) if instance == "behind" else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        """(N, inputs, H, W) to (N, outputs, H, W)."""
        reduced = self.reduce(x)
        fused = sum(self.gate(stream(reduced)).float() for stream in self.streams)
        return torch.relu(self.behind(self.expand(fused) + self.shortcut(x)))


PLACES = {  # of instance normalisation in the six blocks; the stem has it wherever a block has
    "plain": ("none",) * 6,
    "ibn": ("behind", "behind", "none", "none", "none", "none"),
    "ain": ("inside", "inside", "none", "inside", "inside", "none"),  # as found by the paper's search
}


class OSNet(nn.Sequential):
    """Images (N, 3, H, W) to feature maps (N, channels, H/16, W/16).

    `width` scales all channels (the paper has 0.25, 0.5, 0.75 and 1.0), `kind` is `plain`, `ibn` or `ain`.
    """

    def __init__(self, width: float = 1.0, kind: str = "plain") -> None:
        stem, first, second, third = (int(width * channels) for channels in WIDTHS)
        at = PLACES[kind]
        super().__init__(
            ConvNorm(3, stem, 7, stride=2, instance=kind != "plain"),
            nn.MaxPool2d(3, 2, 1),
            Block(stem, first, at[0]),
            Block(first, first, at[1]),
            ConvNorm(first, first, 1),
            nn.AvgPool2d(2),
            Block(first, second, at[2]),
            Block(second, second, at[3]),
            ConvNorm(second, second, 1),
            nn.AvgPool2d(2),
            Block(second, third, at[4]),
            Block(third, third, at[5]),
            ConvNorm(third, third, 1),
        )
        self.channels = third
        self.stride = 16
        draw_convolutions(self)

    def stages(self) -> list[nn.Module]:
        """The stem and the three stages, from the first layers to the last."""
        return cut(self, 2, 6, 10)
