"""What training minimises."""

import torch
from torch import Tensor


def contrast(vectors: Tensor, labels: Tensor, temperature: float = 0.1) -> Tensor:
    """The supervised contrastive loss, L_out of Khosla et al. (NeurIPS 2020), a scalar.

    vectors (N, dim) of unit length, labels (N,). For each anchor: the mean over its positives of -log of the positive's
    share among all others, by exp(cosine / temperature). Anchors without a positive are left out; without any it is 0.
    """
    logits = vectors @ vectors.T / temperature
    itself = torch.eye(len(labels), dtype=torch.bool, device=vectors.device)
    positive = (labels[:, None] == labels[None, :]) & ~itself
    log_share = logits - torch.logsumexp(logits.masked_fill(itself, -torch.inf), dim=1, keepdim=True)
    count = positive.sum(1)
    per_anchor = -(log_share * positive).sum(1) / count.clamp(min=1)
    return per_anchor.sum() / (count > 0).sum().clamp(min=1)
