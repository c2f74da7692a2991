"""From feature maps to the numbers the embedding is made of: average, maximum, GeM, and means of horizontal stripes."""

import torch
from torch import Tensor, nn


class AveragePool(nn.Module):
    """The mean over the map."""

    def forward(self, maps: Tensor) -> Tensor:
        """(N, C, h, w) to (N, C, 1)."""
        return maps.mean((2, 3)).unsqueeze(2)


class MaxPool(nn.Module):
    """The largest value in the map."""

    def forward(self, maps: Tensor) -> Tensor:
        """(N, C, h, w) to (N, C, 1)."""
        return maps.amax((2, 3)).unsqueeze(2)


class GemPool(nn.Module):
    """The generalised mean with a learned power: 1 is the average, infinity the maximum.

    Radenović et al., TPAMI 2019.
    """

    def __init__(self, power: float = 3.0, least: float = 1e-6) -> None:
        super().__init__()
        self.p = nn.Parameter(torch.tensor([power]))
        self.least = least  # keeps the gradient of a power finite where a map is 0

    def forward(self, maps: Tensor) -> Tensor:
        """(N, C, h, w) to (N, C, 1)."""
        return maps.clamp(min=self.least).pow(self.p).mean((2, 3)).pow(1 / self.p).unsqueeze(2)


class StripePool(nn.Module):
    """The mean of each of `stripes` horizontal bands, so that head, chest, legs and feet stay apart.

    Sun et al., ECCV 2018 (PCB). Where the rows do not divide evenly, neighbouring bands share a row.
    """

    def __init__(self, stripes: int) -> None:
        super().__init__()
        self.stripes = stripes

    def forward(self, maps: Tensor) -> Tensor:
        """(N, C, h, w) to (N, stripes · C, 1), stripe by stripe."""
        columns = maps.mean(3)  # (N, C, h)
        rows = columns.shape[2]
        edges = [(k * rows // self.stripes, -((k + 1) * rows // -self.stripes)) for k in range(self.stripes)]
        return torch.cat([columns[:, :, top:bottom].mean(2) for top, bottom in edges], 1).unsqueeze(2)


class GlobalAndStripes(nn.Module):
    """The mean over the whole map, then the mean of each horizontal band."""

    def __init__(self, stripes: int) -> None:
        super().__init__()
        self.whole = AveragePool()
        self.bands = StripePool(stripes)

    def forward(self, maps: Tensor) -> Tensor:
        """(N, C, h, w) to (N, (1 + stripes) · C, 1)."""
        return torch.cat([self.whole(maps), self.bands(maps)], 1)


class HalvedProjection(nn.Module):
    """Half of the embedding from the whole map, the other half from the stripes, each stripe on its own."""

    def __init__(self, channels: int, stripes: int, dim: int) -> None:
        super().__init__()
        self.channels = channels
        self.whole = nn.Conv1d(channels, dim // 2, 1, bias=False)
        self.bands = nn.Conv1d(stripes * channels, dim // 2, 1, groups=stripes, bias=False)

    def forward(self, pooled: Tensor) -> Tensor:
        """(N, (1 + stripes) · channels, 1) to (N, dim, 1)."""
        return torch.cat([self.whole(pooled[:, : self.channels]), self.bands(pooled[:, self.channels :])], 1)
