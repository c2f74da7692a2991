"""Which weights learn, and how fast: groups for an optimiser, and a backbone held still."""

from typing import Any

from torch import nn

from models.errors import Refused
from models.network import Extractor
from models.training.losses import Objective


def parameter_groups(
    network: Extractor, objective: Objective, rate: float, decay: float, early_factor: float = 1.0
) -> list[dict[str, Any]]:
    """Groups for an optimiser of PyTorch, each with `params`, `lr`, `weight_decay` and a `name`.

    The stem learns at early_factor · rate, the head and the losses at rate, the stages between at rates in geometric
    progression (discriminative rates, Howard & Ruder, ACL 2018). Norms and biases are not decayed. Frozen weights are
    in their groups too, so that thawing them needs no new optimiser. Raises Refused for an early_factor not in (0, 1].
    """
    if not 0 < early_factor <= 1:
        raise Refused(f"early layers cannot learn at {early_factor} times the rate; use more than 0, at most 1")
    stages = network.backbone.stages()
    parts = [(f"stage {k}", stage, early_factor ** (1 - k / len(stages))) for k, stage in enumerate(stages)]
    parts += [("head", nn.ModuleList([network.pool, network.project, network.norm]), 1.0), ("losses", objective, 1.0)]
    groups = []
    for name, part, share in parts:
        weights = list(part.parameters())
        decayed = [weight for weight in weights if weight.ndim > 1]  # norms, biases and GeM's power have one dimension
        others = [weight for weight in weights if weight.ndim <= 1]
        for suffix, chosen, by in (("", decayed, decay), (", not decayed", others, 0.0)):
            if chosen:
                groups.append({"params": chosen, "lr": share * rate, "weight_decay": by, "name": name + suffix})
    return groups


def freeze(network: Extractor, frozen: bool) -> None:
    """Hold the backbone still, its batch statistics too, or let it learn again."""
    network.frozen = frozen
    network.backbone.requires_grad_(not frozen)
    network.train(network.training)
