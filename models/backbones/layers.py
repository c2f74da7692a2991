"""What the backbones share: a normalised convolution and how convolutions are drawn at the start."""

from torch import nn


class ConvNorm(nn.Sequential):
    """Convolution without bias, normalisation (of the batch or of each picture) and, unless told otherwise, ReLU."""

    def __init__(
        self,
        inputs: int,
        outputs: int,
        kernel: int,
        stride: int = 1,
        groups: int = 1,
        activation: type[nn.ReLU] | type[nn.ReLU6] | None = nn.ReLU,
        instance: bool = False,
    ) -> None:
        super().__init__(
            nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, groups=groups, bias=False),
            nn.InstanceNorm2d(outputs, affine=True) if instance else nn.BatchNorm2d(outputs),
            *([activation(inplace=True)] if activation else []),
        )


def draw_convolutions(module: nn.Module) -> None:
    """Draw all convolutions anew for ReLU (He et al., ICCV 2015), from PyTorch's generator."""
    for part in module.modules():
        if isinstance(part, nn.Conv2d):
            nn.init.kaiming_normal_(part.weight, mode="fan_out", nonlinearity="relu")


def cut(sequence: nn.Sequential, *starts: int) -> list[nn.Module]:
    """A sequence in stages, which begin at 0 and at each of the starts; they share its layers."""
    layers = list(sequence)
    return [nn.Sequential(*layers[a:b]) for a, b in zip((0, *starts), (*starts, len(layers)), strict=True)]
