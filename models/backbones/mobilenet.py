"""MobileNetV2, written from the paper (Sandler et al., CVPR 2018): the part that makes feature maps."""

from torch import Tensor, nn

from models.backbones.layers import ConvNorm, cut, draw_convolutions

# expansion, channels at width 1, repeats, stride of the first (the paper's table 2)
STAGES = ((1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1))


class InvertedResidual(nn.Module):
    """Widen by `expansion`, a depthwise 3×3, and a linear projection; added to the input where shapes allow."""

    def __init__(self, inputs: int, outputs: int, stride: int, expansion: int) -> None:
        super().__init__()
        middle = inputs * expansion
        widen = [ConvNorm(inputs, middle, 1, activation=nn.ReLU6)] if expansion > 1 else []
        self.conv = nn.Sequential(
            *widen,
            ConvNorm(middle, middle, 3, stride, groups=middle, activation=nn.ReLU6),
            nn.Conv2d(middle, outputs, 1, bias=False),
            nn.BatchNorm2d(outputs),
        )
        self.residual = stride == 1 and inputs == outputs

    def forward(self, x: Tensor) -> Tensor:
        """(N, inputs, H, W) to (N, outputs, H/stride, W/stride)."""
        projected: Tensor = self.conv(x)
        return x + projected if self.residual else projected


def round_to_eight(channels: float) -> int:
    """The nearest multiple of 8, at least 8 and not more than a tenth below the channels given."""
    rounded = max(8, int(channels + 4) // 8 * 8)
    return rounded + 8 if rounded < 0.9 * channels else rounded


class MobileNetV2(nn.Sequential):
    """Images (N, 3, H, W) to feature maps (N, channels, H/s, W/s) with s = 16 · last_stride."""

    def __init__(self, width: float = 1.0, last_stride: int = 1) -> None:
        inputs = round_to_eight(32 * width)
        parts: list[nn.Module] = [ConvNorm(3, inputs, 3, stride=2, activation=nn.ReLU6)]
        for expansion, channels, repeats, stride in STAGES:
            outputs = round_to_eight(channels * width)
            first = last_stride if channels == 160 else stride
            for k in range(repeats):
                parts.append(InvertedResidual(inputs, outputs, 1 if k else first, expansion))
                inputs = outputs
        last = round_to_eight(1280 * max(1.0, width))
        super().__init__(*parts, ConvNorm(inputs, last, 1, activation=nn.ReLU6))
        self.channels = last
        self.stride = 16 * last_stride
        draw_convolutions(self)

    def stages(self) -> list[nn.Module]:
        """What works at 1/2, 1/4, 1/8, 1/16 and the last size of the input, from the first layers to the last."""
        return cut(self, 2, 4, 7, 14)
