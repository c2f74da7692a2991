"""A wider network that computes what a narrow one does, to go on training from (Net2Net, Chen et al., ICLR 2016)."""

import re
from dataclasses import replace

import torch
from torch import Tensor

from models.errors import Refused
from models.network import Extractor

OSNET = re.compile(r"(osnet(?:-ibn|-ain)?)-x(.+)")
UNEVEN = 0.8  # by how much at most the shares of copies differ; copies with equal ones would stay equal for ever


def widens(narrow: str, wide: str) -> bool:
    """Whether a backbone is an OSNet of another's kind and a whole number of times as wide.

    >>> widens("osnet-ain-x0.5", "osnet-ain-x1.0"), widens("osnet-ain-x0.5", "osnet-ain-x0.75")
    (True, False)
    """
    both = OSNET.fullmatch(narrow), OSNET.fullmatch(wide)
    if not both[0] or not both[1] or both[0][1] != both[1][1]:
        return False
    times = float(both[1][2]) / float(both[0][2])
    return times > 1 and times.is_integer()


def widen(network: Extractor, backbone: str, seed: int) -> Extractor:
    """The network with a backbone that `widens` its own. Its vectors are the same: each channel is there several times,
    and what goes on from the copies is shared out among them by chance. Raises Refused where the shapes do not fit."""
    wide = Extractor(replace(network.architecture, backbone=backbone))
    generator, narrow = torch.Generator().manual_seed(seed), network.state_dict()
    wide.load_state_dict(
        {name: spread(narrow[name], weight.shape, generator) for name, weight in wide.state_dict().items()}
    )
    return wide.train(network.training)


def spread(weight: Tensor, shape: torch.Size, generator: torch.Generator) -> Tensor:
    """A weight (outputs, inputs, …) in a larger shape: outputs are copied, inputs shared out among copies."""
    if weight.shape == shape:
        return weight
    outputs, left = divmod(shape[0], weight.shape[0])
    inputs, over = divmod(shape[1], weight.shape[1]) if weight.ndim > 1 else (1, 0)
    if left or over or weight.shape[2:] != shape[2:]:
        raise Refused(f"a weight of shape {tuple(weight.shape)} cannot be widened to {tuple(shape)}")
    copied = weight.repeat_interleave(outputs, 0)
    if inputs == 1:
        return copied
    shares = 1 + UNEVEN * (torch.rand((*copied.shape[:2], inputs, *copied.shape[2:]), generator=generator) - 0.5)
    return (copied.unsqueeze(2) * shares / shares.sum(2, keepdim=True)).flatten(1, 2)
