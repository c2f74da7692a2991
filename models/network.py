"""The whole extractor, from bytes to unit vectors: standardisation, backbone, pooling, projection, neck.

What is exported is this. An `Architecture` says which, in plain fields that a run can be written down by.
"""

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import NamedTuple, Self

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from models.backbones.mobilenet import MobileNetV2
from models.backbones.osnet import OSNet
from models.backbones.resnet import ResNet50
from models.errors import Refused
from models.pooling import AveragePool, GemPool, GlobalAndStripes, HalvedProjection, MaxPool, StripePool

HEIGHT, WIDTH = 128, 64  # pixels of the input, unless an architecture says otherwise
DIM = 512

OSNETS = tuple(f"osnet{kind}-x{width}" for kind in ("", "-ibn", "-ain") for width in (0.25, 0.5, 0.75, 1.0))
BACKBONES = (*OSNETS, *(f"mobilenetv2-x{width}" for width in (0.5, 0.75, 1.0, 1.4)), "resnet50", "resnet50-ibn")
POOLINGS = ("average", "max", "gem", "stripes", "global+stripes")
STANDARDISATIONS = ("picture", "imagenet", "none")
IMAGENET_MEAN, IMAGENET_DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # of RGB in 0–1


@dataclass(frozen=True, slots=True)
class Architecture:
    """What a network is made of. Raises Refused when a field has no meaning or fields do not fit each other."""

    backbone: str = "osnet-x0.25"  # one of BACKBONES
    pooling: str = "stripes"  # one of POOLINGS
    stripes: int = 4  # horizontal bands, where the pooling has them
    dim: int = DIM  # of the vectors
    projected: bool = True  # False: what was pooled is the embedding, and dim is its size
    neck: bool = True  # batch normalisation behind the embedding (BNNeck, Luo et al., CVPRW 2019)
    standardise: str = "picture"  # one of STANDARDISATIONS
    height: int = HEIGHT  # pixels
    width: int = WIDTH  # pixels
    last_stride: int = 1  # of ResNet-50 and MobileNetV2: 1 gives maps of 1/16, 2 of 1/32; OSNet always gives 1/16

    def __post_init__(self) -> None:
        for field in fields(self):
            value, wanted = getattr(self, field.name), type(field.default)
            if type(value) is not wanted:
                raise Refused(f"architecture: {field.name} is {value!r}; a value of type {wanted.__name__} is needed")
        for name, choices in (("backbone", BACKBONES), ("pooling", POOLINGS), ("standardise", STANDARDISATIONS)):
            if getattr(self, name) not in choices:
                raise Refused(f"architecture: {name} {getattr(self, name)!r} is not known; use {', '.join(choices)}")
        if self.last_stride not in (1, 2):
            raise Refused(f"architecture: last_stride is {self.last_stride}; use 1 or 2")
        for name in ("stripes", "dim"):
            if not 1 <= getattr(self, name) <= 8192:
                raise Refused(f"architecture: {name} is {getattr(self, name)}; use 1 to 8192")
        for name in ("height", "width"):
            if not 32 <= getattr(self, name) <= 1024:
                raise Refused(f"architecture: {name} is {getattr(self, name)}; use 32 to 1024 pixels")
        halves = 2 if self.pooling == "global+stripes" else 1
        if self.projected and self.banded and self.dim % (halves * self.stripes):
            raise Refused(
                f"architecture: dim {self.dim} cannot be shared out by {self.pooling} with {self.stripes} stripes;"
                f" use a multiple of {halves * self.stripes}"
            )

    @property
    def banded(self) -> bool:
        """Whether the pooling has stripes."""
        return self.pooling in ("stripes", "global+stripes")

    def to_json(self) -> dict[str, str | int | bool]:
        """The fields as a JSON object."""
        return asdict(self)

    @classmethod
    def from_json(cls, value: object) -> Self:
        """The architecture of a JSON object; absent fields have their defaults. Raises Refused on any it cannot use."""
        if not isinstance(value, Mapping):
            raise Refused(f"architecture: {value!r} is not an object of fields")
        unknown = sorted(set(map(str, value)) - {field.name for field in fields(cls)})
        if unknown:
            raise Refused(f"architecture: unknown field {', '.join(unknown)}; it was written by another version")
        return cls(**value)


class Embedded(NamedTuple):
    """One network's view of a batch, float32 (N, dim) each."""

    before: Tensor  # before the neck, for losses of distance
    after: Tensor  # behind it, for the identity classifier and, at unit length, for retrieval


def standardise(images: Tensor) -> Tensor:
    """uint8 (N, H, W, 3) to float (N, 3, H, W), each channel of each image with mean 0 and deviation 1.

    It removes the exposure and the colour cast of a camera, which differ most between cameras, before the first weight.
    """
    x = images.permute(0, 3, 1, 2).flatten(2).to(torch.float32)
    x = x - x.mean(2, keepdim=True)
    variance = (x * x).mean(2, keepdim=True)
    x = x * torch.rsqrt(variance + 4.0)  # 4: two grey levels, so that a flat image is not all noise
    return x.reshape(-1, 3, *images.shape[1:3])


class Standardise(nn.Module):
    """The first layer: bytes to numbers around 0, by `picture`, by the colours of `imagenet`, or 0–1 for `none`."""

    shift: Tensor
    scale: Tensor

    def __init__(self, kind: str) -> None:
        super().__init__()
        self.kind = kind
        mean, deviation = (IMAGENET_MEAN, IMAGENET_DEVIATION) if kind == "imagenet" else ((0.0,) * 3, (1.0,) * 3)
        scale = 1 / (255 * torch.tensor(deviation))
        self.register_buffer("scale", scale[:, None, None], persistent=False)
        self.register_buffer("shift", (-255 * torch.tensor(mean) * scale)[:, None, None], persistent=False)

    def forward(self, images: Tensor) -> Tensor:
        """uint8 (N, H, W, 3) to float32 (N, 3, H, W)."""
        if self.kind == "picture":
            return standardise(images)
        return images.to(torch.float32).permute(0, 3, 1, 2) * self.scale + self.shift


class Extractor(nn.Module):
    """uint8 RGB images (N, height, width, 3) to unit vectors (N, dim), each image on its own.

    `erase`, when set, changes standardised images in training only, and is never exported.
    A `frozen` backbone stays in evaluation mode whatever `train()` says (see `parameters.freeze`).
    """

    def __init__(self, architecture: Architecture | None = None) -> None:
        super().__init__()
        chosen = self.architecture = architecture or Architecture()
        self.standardise = Standardise(chosen.standardise)
        self.erase: nn.Module | None = None
        self.backbone = build_backbone(chosen)
        self.pool = build_pooling(chosen)
        self.project = build_projection(chosen, self.backbone.channels)
        self.norm: nn.Module = nn.BatchNorm1d(chosen.dim) if chosen.neck else nn.Identity()
        if isinstance(self.norm, nn.BatchNorm1d):
            self.norm.bias.requires_grad_(False)  # stays 0: the classifier's hyperplanes go through the origin
        self.frozen = False

    def train(self, mode: bool = True) -> Self:
        """Training or evaluation mode, of all but a frozen backbone."""
        super().train(mode)
        if self.frozen:
            self.backbone.eval()
        return self

    def embed(self, images: Tensor) -> Embedded:
        """uint8 (N, H, W, 3) to vectors before and behind the neck, not of unit length; other sizes work too.

        Right under autocast: what is summed or normalised is float32.
        """
        x = self.standardise(images)
        if self.training and self.erase is not None:
            x = self.erase(x)
        maps = self.backbone(x).float()
        before = self.project(self.pool(maps)).squeeze(2).float()
        return Embedded(before, self.norm(before))

    def forward(self, images: Tensor) -> Tensor:
        """uint8 (N, H, W, 3) to unit vectors (N, dim)."""
        return normalize(self.embed(images).after)


def build_backbone(architecture: Architecture) -> OSNet | MobileNetV2 | ResNet50:
    """The part that makes feature maps."""
    name, width = architecture.backbone, re.search(r"-x(.+)", architecture.backbone)
    if name.startswith("resnet50"):
        return ResNet50(architecture.last_stride, ibn=name.endswith("-ibn"))
    assert width is not None
    if name.startswith("mobilenetv2"):
        return MobileNetV2(float(width[1]), architecture.last_stride)
    kind = "ain" if "-ain" in name else "ibn" if "-ibn" in name else "plain"
    return OSNet(float(width[1]), kind)


def build_pooling(architecture: Architecture) -> nn.Module:
    """The part that makes (N, parts · C, 1) of feature maps (N, C, h, w)."""
    match architecture.pooling:
        case "average":
            return AveragePool()
        case "max":
            return MaxPool()
        case "gem":
            return GemPool()
        case "stripes":
            return StripePool(architecture.stripes)
        case _:
            return GlobalAndStripes(architecture.stripes)


def build_projection(architecture: Architecture, channels: int) -> nn.Module:
    """The part that makes (N, dim, 1) of what was pooled, each stripe on its own. Refused when there is none to be and
    dim is not the size of what was pooled."""
    stripes, dim = architecture.stripes if architecture.banded else 1, architecture.dim
    if architecture.projected:
        if architecture.pooling == "global+stripes":
            return HalvedProjection(channels, stripes, dim)
        return nn.Conv1d(stripes * channels, dim, 1, groups=stripes, bias=False)
    pooled = channels * (stripes + (architecture.pooling == "global+stripes"))
    if dim != pooled:
        raise Refused(f"architecture: dim is {dim}, but without a projection it is what is pooled: {pooled}")
    return nn.Identity()
