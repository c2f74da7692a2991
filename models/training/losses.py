"""What training minimises: the identity classifier and losses of distance, several at once with weights.

Triplets and their mining come from pytorch-metric-learning. The contrastive and the circle loss are ours, and tested
against that library: its circle loss fixes its weights inside, so that no gradient check can see through it, and ours
leave boolean indexing out, which on a GPU waits for the device.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, fields

import torch
from pytorch_metric_learning.distances import LpDistance
from pytorch_metric_learning.losses import TripletMarginLoss
from pytorch_metric_learning.miners import BatchHardMiner
from pytorch_metric_learning.reducers import MeanReducer
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, linear, normalize, softplus

from models.errors import Refused
from models.network import Embedded

NAMES = ("identity", "contrastive", "triplet", "circle", "center")


def contrast(vectors: Tensor, labels: Tensor, temperature: float = 0.1) -> Tensor:
    """The supervised contrastive loss, L_out of Khosla et al. (NeurIPS 2020), a scalar.

    vectors (N, dim) of unit length, labels (N,). For each anchor: the mean over its positives of -log of the positive's
    share among all others, by exp(cosine / temperature). Anchors without a positive are left out; without any it is 0.
    """
    if len(labels) < 2:
        return vectors.sum() * 0
    logits = vectors @ vectors.T / temperature
    itself, positive, _ = pairs(labels)
    log_share = logits - torch.logsumexp(logits.masked_fill(itself, -torch.inf), dim=1, keepdim=True)
    count = positive.sum(1)
    per_anchor = -(log_share * positive).sum(1) / count.clamp(min=1)
    return per_anchor.sum() / (count > 0).sum().clamp(min=1)


def triplet(vectors: Tensor, labels: Tensor, margin: float | None = 0.3) -> Tensor:
    """The batch-hard triplet loss of Hermans et al. (2017), a scalar.

    vectors (N, dim) of any length, labels (N,). For each anchor: how much its farthest positive is farther (Euclidean)
    than its nearest negative, plus the margin and cut off at 0, or for `None` the soft margin log(1 + exp). The mean
    over anchors that have both; without any it is 0.
    """
    distance = LpDistance(normalize_embeddings=False)
    triplets = BatchHardMiner(distance=distance)(vectors, labels)
    soft = margin is None
    loss = TripletMarginLoss(margin or 0.0, smooth_loss=soft, distance=distance, reducer=MeanReducer())
    value: Tensor = loss(vectors, labels, triplets)
    return value


def circle(
    vectors: Tensor, labels: Tensor, margin: float = 0.25, scale: float = 128.0, paced_by: Tensor | None = None
) -> Tensor:
    """The circle loss for pairs, Sun et al. (CVPR 2020), equations 6 and 8, a scalar.

    vectors (N, dim) of unit length, labels (N,). Each pair is weighted by how far its cosine is from its optimum; these
    weights count as constants, taken from the vectors or from `paced_by` (N, dim). The mean over anchors that have a
    positive and a negative; without any it is 0.
    """
    _, positive, negative = pairs(labels)
    cosines = vectors @ vectors.T
    paces = cosines.detach() if paced_by is None else (paced_by @ paced_by.T).detach()
    near = -scale * torch.relu(1 + margin - paces) * (cosines - (1 - margin))
    far = scale * torch.relu(paces + margin) * (cosines - margin)
    least = (
        -0.25 * torch.finfo(vectors.dtype).max
    )  # finite, so that an anchor without a pair has no NaN in its gradient
    sums = torch.logsumexp(near.masked_fill(~positive, least), 1) + torch.logsumexp(
        far.masked_fill(~negative, least), 1
    )
    counted = positive.any(1) & negative.any(1)
    return (softplus(sums) * counted).sum() / counted.sum().clamp(min=1)


def center(vectors: Tensor, labels: Tensor, centers: Tensor) -> Tensor:
    """The center loss, Wen et al. (ECCV 2016): half the mean squared distance of vectors (N, dim) to their identity's
    center (identities, dim), a scalar."""
    return 0.5 * (vectors - centers[labels]).square().sum(1).mean()


def pairs(labels: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """For labels (N,), masks (N, N): each with itself, with others of its identity, and with other identities."""
    itself = torch.eye(len(labels), dtype=torch.bool, device=labels.device)
    same = labels[:, None] == labels[None, :]
    return itself, same & ~itself, ~same


@dataclass(frozen=True, slots=True)
class Weights:
    """How much each loss counts, 0 for not at all, and what shapes them. Raises Refused for what makes no sense."""

    identity: float = 0.3
    contrastive: float = 1.0
    triplet: float = 0.0
    circle: float = 0.0
    center: float = 0.0  # 5e-4 is usual: it is a squared distance of vectors of any length
    smoothing: float = 0.1  # of the identity labels
    temperature: float = 0.1  # of the contrastive loss
    margin: float = 0.3  # of the triplet loss; 0 for the soft margin
    circle_margin: float = 0.25
    circle_scale: float = 128.0
    center_rate: float = 0.5  # how far a center moves to the batch's mean of its identity
    metric: str = "after"  # losses of distance see the vectors `before` the neck (Luo et al., 2019) or `after` it

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if field.name != "metric" and not 0 <= value < torch.inf:
                raise Refused(f"losses: {field.name} is {value}; use 0 or more")
        if not any(getattr(self, name) for name in NAMES):
            raise Refused(f"losses: all weights are 0; give one of {', '.join(NAMES)} a weight")
        if self.metric not in ("before", "after"):
            raise Refused(f"losses: metric is {self.metric!r}; use before or after, which is where they take vectors")
        if self.smoothing >= 1 or not self.temperature or not self.circle_scale or self.center_rate > 1:
            raise Refused(
                "losses: smoothing below 1, temperature and circle_scale above 0, center_rate at most 1, please"
            )


class Objective(nn.Module):
    """Weighs several losses. It owns what only they need: the identity classifier (no bias) and the centers."""

    centers: Tensor

    def __init__(self, weights: Weights, identities: int, dim: int) -> None:
        super().__init__()
        if identities < 2:
            raise Refused(f"{identities} identity to train on; at least 2 are needed, to tell them apart")
        self.weights = weights
        if weights.identity:
            self.classifier = nn.Linear(dim, identities, bias=False)
            nn.init.normal_(self.classifier.weight, std=0.001)  # so that the first loss is ln(identities)
        if weights.center:
            self.register_buffer("centers", torch.zeros(identities, dim))

    def forward(self, embedded: Embedded, labels: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """Vectors (N, dim) and labels (N,) in 0 … identities − 1 to the weighted sum and each loss before weighting.

        Always computed in float32 at least. In training mode the centers move, as their paper has it.
        """
        weights, parts = self.weights, dict[str, Tensor]()
        with precisely(labels.device):
            vectors = widen(embedded.before if weights.metric == "before" else embedded.after)
            unit = normalize(vectors)
            if weights.identity:
                logits = linear(widen(embedded.after), self.classifier.weight)
                parts["identity"] = cross_entropy(logits, labels, label_smoothing=weights.smoothing)
            if weights.contrastive:
                parts["contrastive"] = contrast(unit, labels, weights.temperature)
            if weights.triplet:
                parts["triplet"] = triplet(vectors, labels, weights.margin or None)
            if weights.circle:
                parts["circle"] = circle(unit, labels, weights.circle_margin, weights.circle_scale)
            if weights.center:
                parts["center"] = center(vectors, labels, self.centers)
                if self.training:
                    self.move_centers(vectors.detach(), labels)
            total = torch.stack([getattr(weights, name) * part for name, part in parts.items()]).sum()
        return total, parts

    def logits(self, embedded: Embedded) -> Tensor:
        """What the identity classifier says of each picture, (N, identities); Refused where there is none."""
        if not self.weights.identity:
            raise Refused("there is no identity classifier; give the identity loss a weight")
        with precisely(embedded.after.device):
            return linear(widen(embedded.after), self.classifier.weight)

    @torch.no_grad()
    def move_centers(self, vectors: Tensor, labels: Tensor) -> None:
        """Towards the batch's vectors of their identity, equation 4 of the paper."""
        count = torch.zeros(len(self.centers), dtype=vectors.dtype, device=vectors.device)
        count.index_add_(0, labels, torch.ones_like(labels, dtype=vectors.dtype))
        drift = torch.zeros_like(self.centers).index_add_(0, labels, vectors - self.centers[labels])
        self.centers += self.weights.center_rate * drift / (1 + count)[:, None]


def widen(vectors: Tensor) -> Tensor:
    """float32 for what is less."""
    return vectors.float() if vectors.dtype in (torch.float16, torch.bfloat16) else vectors


@contextmanager
def precisely(device: torch.device) -> Iterator[None]:
    """Without autocast: exponentials of similarities overflow in half precision."""
    with torch.autocast(device.type, enabled=False):
        yield
