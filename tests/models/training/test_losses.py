"""Each loss against its formula worked by hand and, where it has it, against a library; and where numbers run out."""

import math
from itertools import pairwise

import pytest
import torch
from pytorch_metric_learning.losses import CircleLoss, SupConLoss
from torch import Tensor
from torch.nn.functional import normalize

from models.errors import Refused
from models.network import Embedded
from models.training.losses import NAMES, Objective, Weights, center, circle, contrast, triplet

ALL = Weights(identity=1, contrastive=1, triplet=1, circle=1, center=1)


def draw(seed: int, identities: int = 5) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    vectors = torch.randn(12, 8, generator=generator)
    return vectors, torch.randint(0, identities, (12,), generator=generator)


def contrast_by_hand(vectors: Tensor, labels: Tensor, temperature: float) -> float:
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


def triplet_by_hand(vectors: Tensor, labels: Tensor, margin: float | None) -> float:
    """Equation 5 of Hermans et al., anchor by anchor."""
    losses = []
    for i in range(len(labels)):
        distance = [math.dist(vectors[i].tolist(), other.tolist()) for other in vectors]
        near = [distance[j] for j in range(len(labels)) if labels[j] == labels[i] and j != i]
        far = [distance[j] for j in range(len(labels)) if labels[j] != labels[i]]
        if near and far:
            gap = max(near) - min(far)
            losses.append(math.log1p(math.exp(gap)) if margin is None else max(0.0, margin + gap))
    return sum(losses) / len(losses)


def circle_by_hand(vectors: Tensor, labels: Tensor, margin: float, scale: float) -> float:
    """Equation 6 of Sun et al. with the weights and margins of its section 3.2, anchor by anchor."""
    losses = []
    for i in range(len(labels)):
        cosine = (vectors @ vectors[i]).tolist()
        near = [cosine[j] for j in range(len(labels)) if labels[j] == labels[i] and j != i]
        far = [cosine[j] for j in range(len(labels)) if labels[j] != labels[i]]
        if near and far:
            pulled = sum(math.exp(-scale * max(0, 1 + margin - s) * (s - 1 + margin)) for s in near)
            pushed = sum(math.exp(scale * max(0, s + margin) * (s - margin)) for s in far)
            losses.append(math.log1p(pulled * pushed))
    return sum(losses) / len(losses)


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_contrastive_equals_the_formula_worked_anchor_by_anchor(seed: int) -> None:
    vectors, labels = normalize(draw(seed)[0]), draw(seed)[1]
    assert contrast(vectors, labels, 0.2).item() == pytest.approx(contrast_by_hand(vectors, labels, 0.2), rel=1e-5)


@pytest.mark.parametrize("margin", [0.3, 2.0, None])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_triplet_equals_the_formula_worked_anchor_by_anchor(seed: int, margin: float | None) -> None:
    vectors, labels = draw(seed)
    assert triplet(vectors, labels, margin).item() == pytest.approx(triplet_by_hand(vectors, labels, margin), rel=1e-5)


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_circle_equals_the_formula_worked_anchor_by_anchor(seed: int) -> None:
    vectors, labels = normalize(draw(seed)[0]), draw(seed)[1]
    expected = circle_by_hand(vectors, labels, 0.25, 16)
    assert circle(vectors, labels, 0.25, 16).item() == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_contrastive_and_circle_have_the_values_and_gradients_of_pytorch_metric_learning(seed: int) -> None:
    labels = torch.arange(12) % 3  # everyone has a positive: the library counts anchors without one
    ours = normalize(draw(seed)[0].double()).requires_grad_()
    theirs = ours.detach().clone().requires_grad_()
    for loss, library in ((contrast, SupConLoss(temperature=0.1)), (circle, CircleLoss(m=0.25, gamma=128))):
        expected, found = library(theirs, labels), loss(ours, labels)
        torch.testing.assert_close(found, expected, rtol=1e-9, atol=0)
        (mine,), (other,) = torch.autograd.grad(found, ours), torch.autograd.grad(expected, theirs)
        mine = mine - (mine * ours).sum(1, keepdim=True) * ours  # the library makes the vectors unit length once more
        torch.testing.assert_close(mine, other, rtol=1e-6, atol=1e-9)


def test_center_is_half_the_mean_squared_distance_and_centers_follow_their_vectors() -> None:
    vectors, labels = torch.tensor([[3.0, 4.0], [1.0, 0.0], [0.0, 2.0]]), torch.tensor([0, 1, 1])
    objective = Objective(Weights(identity=0, contrastive=0, center=1), 3, 2).train()
    total, parts = objective(Embedded(vectors, vectors), labels)
    assert total.item() == parts["center"].item() == pytest.approx(0.5 * (25 + 1 + 4) / 3)
    # equation 4 of Wen et al. at rate 0.5: 0.5 · sum of differences / (1 + count)
    expected = torch.tensor([[0.75, 1.0], [1 / 6, 1 / 3], [0.0, 0.0]])
    torch.testing.assert_close(objective.centers, expected)
    objective.eval()(Embedded(vectors, vectors), labels)
    torch.testing.assert_close(objective.centers, expected)
    assert center(vectors, labels, vectors[:2]).item() == pytest.approx(0.5 * (0 + 0 + 1 + 4) / 3)


def test_the_first_identity_loss_is_the_logarithm_of_the_identities() -> None:
    torch.manual_seed(0)
    objective = Objective(Weights(), 751, 8)
    vectors, labels = draw(0)
    assert objective(Embedded(vectors, vectors), labels)[1]["identity"].item() == pytest.approx(math.log(751), abs=0.01)
    assert objective.logits(Embedded(vectors, vectors)).shape == (12, 751)


def test_losses_are_weighed_and_take_the_view_they_are_told_to() -> None:
    torch.manual_seed(0)
    before, labels = draw(0)
    after = draw(1)[0]
    chosen = Weights(identity=0.5, contrastive=2, triplet=0.25, metric="before")
    objective = Objective(chosen, 5, 8)
    total, parts = objective(Embedded(before, after), labels)
    assert list(parts) == ["identity", "contrastive", "triplet"]
    expected = 0.5 * parts["identity"] + 2 * parts["contrastive"] + 0.25 * parts["triplet"]
    assert total.item() == pytest.approx(expected.item())
    assert parts["contrastive"].item() == pytest.approx(contrast(normalize(before), labels).item())
    assert parts["triplet"].item() == pytest.approx(triplet(before, labels).item())
    smoothed = torch.nn.CrossEntropyLoss(label_smoothing=0.1)(after @ objective.classifier.weight.T, labels)
    assert parts["identity"].item() == pytest.approx(smoothed.item())


@pytest.mark.parametrize(
    "labels",
    [[0, 0, 0, 0], [0, 1, 2, 3], [2], [1, 1]],
    ids=["one identity", "nobody twice", "one picture", "two of one"],
)
@pytest.mark.parametrize("kind", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("alike", [False, True])
def test_a_batch_without_positives_or_negatives_has_finite_losses_and_gradients(
    labels: list[int], kind: torch.dtype, alike: bool
) -> None:
    torch.manual_seed(0)
    vectors = (torch.ones(len(labels), 8) if alike else torch.randn(len(labels), 8)).requires_grad_()
    with torch.autocast("cpu", torch.bfloat16, enabled=kind != torch.float32):
        view = vectors @ torch.eye(8)
        assert view.dtype == kind
        total, parts = Objective(ALL, 4, 8)(Embedded(view, view), torch.tensor(labels))
    total.backward()
    assert set(parts) == set(NAMES)
    assert all(part.dtype == torch.float32 and torch.isfinite(part) for part in parts.values())
    assert vectors.grad is not None
    assert torch.isfinite(vectors.grad).all()
    if len(set(labels)) == 1:  # no negatives
        assert parts["triplet"].item() == parts["circle"].item() == 0
    if len(set(labels)) == len(labels):  # no positives
        assert parts["contrastive"].item() == parts["triplet"].item() == parts["circle"].item() == 0


@pytest.mark.parametrize("kind", [torch.float16, torch.bfloat16])
def test_half_precision_vectors_give_the_loss_of_their_float32_selves(kind: torch.dtype) -> None:
    torch.manual_seed(0)
    objective = Objective(ALL, 5, 8).eval()
    vectors, labels = (30 * draw(0)[0]).to(kind), draw(0)[1]
    with torch.autocast("cpu", torch.bfloat16):
        low, _ = objective(Embedded(vectors, vectors), labels)
    high, _ = objective(Embedded(vectors.float(), vectors.float()), labels)
    assert low.item() == high.item()


@pytest.mark.parametrize("name", NAMES)
def test_every_loss_can_be_driven_down(name: str) -> None:
    torch.manual_seed(0)
    vectors, labels = draw(0)[0].requires_grad_(), torch.arange(12) % 4
    weights = {other: float(other == name) for other in NAMES}
    objective = Objective(Weights(**weights, smoothing=0), 4, 8)
    optimiser = torch.optim.SGD([vectors, *objective.parameters()], lr=0.05)
    losses = []
    for _ in range(5):
        loss, _ = objective(Embedded(vectors, vectors), labels)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert all(later < earlier for earlier, later in pairwise(losses))


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"identity": 0, "contrastive": 0}, "all weights are 0"),
        ({"triplet": -1}, "triplet is -1"),
        ({"circle": math.nan}, "circle is nan"),
        ({"metric": "middle"}, "before or after"),
        ({"temperature": 0}, "temperature"),
        ({"smoothing": 1.0}, "smoothing"),
    ],
)
def test_weights_that_make_no_sense_are_refused(fields: dict[str, float], reason: str) -> None:
    with pytest.raises(Refused, match=reason):
        Weights(**fields)  # type: ignore[arg-type]  # one case is a word


def test_one_identity_cannot_be_trained_on() -> None:
    with pytest.raises(Refused, match="at least 2"):
        Objective(Weights(), 1, 8)
    with pytest.raises(Refused, match="no identity classifier"):
        Objective(Weights(identity=0), 2, 8).logits(Embedded(torch.zeros(1, 8), torch.zeros(1, 8)))
