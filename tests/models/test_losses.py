"""The contrastive loss against a plain loop and against a library."""

import warnings

import pytest
import torch
from torch.nn.functional import normalize

from models.losses import contrast


def by_hand(vectors: torch.Tensor, labels: torch.Tensor, temperature: float) -> float:
    """Equation 2 of Khosla et al., anchor by anchor."""
    total, anchors = 0.0, 0
    for i in range(len(labels)):
        others = [j for j in range(len(labels)) if j != i]
        positives = [j for j in others if labels[j] == labels[i]]
        if positives:
            weight = {j: torch.exp(vectors[i] @ vectors[j] / temperature) for j in others}
            share = [weight[j] / sum(weight.values()) for j in positives]
            total -= float(sum(torch.log(s) for s in share)) / len(positives)
            anchors += 1
    return total / anchors


def draw(seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    vectors = normalize(torch.randn(12, 8, generator=generator))
    return vectors, torch.randint(0, 5, (12,), generator=generator)


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_it_equals_the_formula_worked_anchor_by_anchor(seed: int) -> None:
    vectors, labels = draw(seed)
    assert contrast(vectors, labels, 0.2).item() == pytest.approx(by_hand(vectors, labels, 0.2), rel=1e-5)


def test_it_equals_the_loss_of_pytorch_metric_learning() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the library imports what NumPy and PyTorch have deprecated
        losses = pytest.importorskip("pytorch_metric_learning.losses")
        vectors, labels = draw(3)
        labels = labels % 3  # everyone has a positive: the library counts anchors without one
        expected = losses.SupConLoss(temperature=0.1)(vectors, labels).item()
    assert contrast(vectors, labels).item() == pytest.approx(expected, rel=1e-5)


def test_a_batch_without_positives_costs_nothing_and_has_a_gradient() -> None:
    vectors = normalize(torch.randn(4, 8)).requires_grad_()
    loss = contrast(vectors, torch.arange(4))
    loss.backward()  # type: ignore[no-untyped-call]
    assert loss.item() == 0
    assert vectors.grad is not None
    assert torch.isfinite(vectors.grad).all()
