"""The whole extractor, from bytes to unit vectors: standardisation, OSNet, pooling in stripes, embedding.

What is exported is this.
"""

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from models.osnet import WIDTHS_X0_25, OSNet

HEIGHT, WIDTH = 128, 64  # pixels of the input
DIM = 512
STRIPES = 4


def standardise(images: Tensor) -> Tensor:
    """uint8 (N, H, W, 3) to float (N, 3, H, W), each channel of each image with mean 0 and deviation 1.

    It removes the exposure and the colour cast of a camera, which differ most between cameras, before the first weight.
    """
    x = images.to(torch.float32).permute(0, 3, 1, 2)
    x = x - x.mean((2, 3), keepdim=True)
    variance = (x * x).mean((2, 3), keepdim=True)
    return x * torch.rsqrt(variance + 4.0)  # 4: two grey levels, so that a flat image is not all noise


class StripePool(nn.Module):
    """The mean of each of `stripes` horizontal bands, so that head, chest, legs and feet stay apart.

    Sun et al., ECCV 2018 (PCB).
    """

    def __init__(self, stripes: int) -> None:
        super().__init__()
        self.stripes = stripes

    def forward(self, maps: Tensor) -> Tensor:
        """(N, C, H, W) to (N, stripes · C, 1), stripe by stripe."""
        columns = maps.mean(3)  # (N, C, H)
        rows = columns.shape[2] // self.stripes
        bands = [columns[:, :, k * rows : (k + 1) * rows].mean(2) for k in range(self.stripes)]
        return torch.cat(bands, 1).unsqueeze(2)


class Extractor(nn.Module):
    """uint8 RGB images (N, 128, 64, 3) to unit vectors (N, 512), each image on its own."""

    def __init__(
        self, widths: tuple[int, int, int, int] = WIDTHS_X0_25, dim: int = DIM, stripes: int = STRIPES
    ) -> None:
        super().__init__()
        self.backbone = OSNet(widths)
        self.pool = StripePool(stripes)
        self.project = nn.Conv1d(stripes * widths[3], dim, 1, groups=stripes, bias=False)  # each stripe on its own
        self.norm = nn.BatchNorm1d(dim)

    def embed(self, images: Tensor) -> Tensor:
        """Vectors (N, dim) before they are made unit length; the identity loss works on these."""
        maps = self.backbone(standardise(images))
        embedded: Tensor = self.norm(self.project(self.pool(maps)).squeeze(2))
        return embedded

    def forward(self, images: Tensor) -> Tensor:
        """uint8 (N, H, W, 3) to unit vectors (N, dim)."""
        return normalize(self.embed(images))
