"""Are gradients right? Against central differences in double precision, for any function and for every loss."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from torch.func import functional_call
from torch.nn.functional import normalize

from models.errors import Refused
from models.network import Embedded
from models.training.losses import Objective, Weights, center, circle, contrast, triplet


def check_gradients(function: Callable[..., Tensor], inputs: Sequence[Tensor], step: float = 1e-6) -> float:
    """The relative error of a function's gradients: the largest difference between a derivative by backpropagation and
    by (f(x + step) − f(x − step)) / (2 · step), over all numbers in all inputs, as a share of the largest derivative.

    The function gives a scalar for the inputs, which are taken in double precision. Below 1e-6 is right, above 1e-4 is
    wrong, unless a kink lies within a step. Raises Refused when the function gives no finite scalar.
    """
    points = [given.detach().double().clone(memory_format=torch.contiguous_format).requires_grad_() for given in inputs]
    value = function(*points)
    if value.numel() != 1 or not torch.isfinite(value).all():
        raise Refused(f"gradients of {value.tolist()} cannot be checked; one finite number is needed")
    found = torch.autograd.grad(value, points, allow_unused=True) if value.requires_grad else [None] * len(points)
    worst = largest = 0.0
    with torch.no_grad():
        for point, gradient in zip(points, found, strict=True):
            backwards = torch.zeros_like(point) if gradient is None else gradient
            central = torch.empty_like(point)
            numbers, slopes = point.view(-1), central.view(-1)
            for k in range(len(numbers)):
                here = numbers[k].item()
                numbers[k] = here + step
                above = function(*points).item()
                numbers[k] = here - step
                slopes[k] = (above - function(*points).item()) / (2 * step)
                numbers[k] = here
            worst = max(worst, (backwards - central).abs().max().item())
            largest = max(largest, backwards.abs().max().item(), central.abs().max().item())
    return worst / largest if largest else worst


def check_losses(seed: int = 0) -> dict[str, float]:
    """The relative error of each loss's gradient, on four identities of three random vectors (dim 6)."""
    generator = torch.Generator().manual_seed(seed)
    vectors = torch.randn(12, 6, dtype=torch.float64, generator=generator)
    weights = torch.randn(4, 6, dtype=torch.float64, generator=generator)
    labels = torch.arange(4).repeat_interleave(3)
    objective = Objective(Weights(identity=1, contrastive=0), 4, 6).double()

    def identity(v: Tensor, w: Tensor) -> Tensor:
        total: Tensor = functional_call(objective, {"classifier.weight": w}, (Embedded(v, v), labels))[0]
        return total

    unit = normalize(vectors)  # what circle's weights are taken from, and do not move with
    return {
        "identity": check_gradients(identity, (vectors, weights)),
        "contrastive": check_gradients(lambda v: contrast(normalize(v), labels), (vectors,)),
        "triplet": check_gradients(lambda v: triplet(v, labels, 0.3), (vectors,)),
        "triplet, soft margin": check_gradients(lambda v: triplet(v, labels, None), (vectors,)),
        "circle": check_gradients(lambda v: circle(normalize(v), labels, paced_by=unit), (vectors,)),
        "center": check_gradients(lambda v, c: center(v, labels, c), (vectors, weights)),
    }
