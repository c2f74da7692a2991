"""Random erasing (Zhong et al., AAAI 2020), after the pixels were standardised."""

import math

import torch
from torch import Tensor, nn

ATTEMPTS = 10  # the paper tries until a rectangle fits; ten nearly always do, and cost the same in every batch


class RandomErasing(nn.Module):
    """Hides a random rectangle of some pictures while training, so that no part of a person is relied on alone.

    Chance comes from PyTorch's global generator of the CPU, whatever the device, and always takes the same amount of
    it, so that a run that restores the generator's state goes on exactly. Noise comes from the device's generator.
    """

    def __init__(
        self,
        probability: float = 0.5,
        area: tuple[float, float] = (0.02, 0.4),
        aspect: tuple[float, float] = (0.3, 1 / 0.3),
        noise: bool = False,
    ) -> None:
        """`area` is a share of the picture, `aspect` height by width. It is filled with 0, the mean, or with noise."""
        super().__init__()
        self.probability, self.area, self.aspect, self.noise = probability, area, aspect, noise

    def forward(self, images: Tensor) -> Tensor:
        """Standardised float images (N, 3, H, W) to the same shape; in evaluation the very same images."""
        if not self.training or self.probability == 0:
            return images
        hidden = self.draw(*(images.shape[k] for k in (0, 2, 3))).to(images.device)
        return torch.where(hidden, torch.randn_like(images) if self.noise else torch.zeros_like(images), images)

    def draw(self, count: int, height: int, width: int) -> Tensor:
        """What is hidden: bool (count, 1, height, width) on the CPU."""
        chance = torch.rand(count, 1)
        area, aspect, top, left = torch.rand(4, count, ATTEMPTS)
        area = (self.area[0] + area * (self.area[1] - self.area[0])) * height * width
        low, high = (math.log(limit) for limit in self.aspect)
        aspect = torch.exp(low + aspect * (high - low))
        tall, wide = torch.sqrt(area * aspect).round(), torch.sqrt(area / aspect).round()
        fits = (tall < height) & (wide < width)
        first = fits.int().argmax(1, keepdim=True)
        chosen = (chance < self.probability) & fits.gather(1, first)
        tall, wide, top, left = (values.gather(1, first) for values in (tall, wide, top, left))
        top, left = (top * (height - tall + 1)).floor(), (left * (width - wide + 1)).floor()
        rows, columns = torch.arange(height)[None], torch.arange(width)[None]
        down = (rows >= top) & (rows < top + tall) & chosen
        across = (columns >= left) & (columns < left + wide)
        return (down[:, :, None] & across[:, None, :])[:, None]
