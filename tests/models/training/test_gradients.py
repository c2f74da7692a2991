"""The check finds right gradients right and wrong ones wrong, for every loss and for a whole network."""

import pytest
import torch
from torch import Tensor
from torch.autograd.function import FunctionCtx

from models.errors import Refused
from models.training.gradients import check_gradients, check_losses


class Cube(torch.autograd.Function):
    """x³ whose gradient is 0.1 % too large."""

    @staticmethod
    def forward(ctx: FunctionCtx, x: Tensor) -> Tensor:
        ctx.save_for_backward(x)
        return x**3

    @staticmethod
    def backward(ctx: FunctionCtx, *gradients: Tensor) -> Tensor:
        (x,) = ctx.saved_tensors  # type: ignore[attr-defined]  # missing in PyTorch's types
        return gradients[0] * 3 * x * x * 1.001


def wrong_cube(x: Tensor) -> Tensor:
    cubed: Tensor = Cube.apply(x)  # type: ignore[no-untyped-call]
    return cubed.sum()


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_the_gradient_of_every_loss_is_right(seed: int) -> None:
    errors = check_losses(seed)
    assert list(errors) == ["identity", "contrastive", "triplet", "triplet, soft margin", "circle", "center"]
    assert max(errors.values()) < 1e-6, errors


def test_a_gradient_that_is_a_thousandth_off_is_caught() -> None:
    x = torch.linspace(-2, 2, 7)
    assert check_gradients(lambda x: (x**3).sum(), (x,)) < 1e-8
    assert check_gradients(wrong_cube, (x,)) == pytest.approx(1e-3, rel=0.01)


def test_a_gradient_that_is_missing_or_cut_off_is_caught() -> None:
    x, y = torch.ones(3), torch.full((3,), 2.0)
    assert check_gradients(lambda x, y: (x * y.detach()).sum(), (x, y)) == pytest.approx(0.5, rel=1e-6)
    assert check_gradients(lambda x: (x * x).sum().detach(), (x,)) == pytest.approx(1)
    assert check_gradients(lambda x, y: (x * y).sum(), (x, y)) < 1e-8


def test_an_input_without_influence_has_no_error_and_inputs_are_left_alone() -> None:
    x, y = torch.ones(2, 3).T, torch.ones(2)
    assert check_gradients(lambda x, y: (x * x).sum(), (x, y)) < 1e-8
    assert check_gradients(lambda x: 0 * x.sum(), (x,)) == 0
    assert torch.equal(x, torch.ones(3, 2))
    assert not x.requires_grad


def test_what_has_no_gradient_to_check_is_refused() -> None:
    with pytest.raises(Refused, match="one finite number"):
        check_gradients(lambda x: x, (torch.ones(2),))
    with pytest.raises(Refused, match="one finite number"):
        check_gradients(lambda x: torch.log(-x).sum(), (torch.ones(1),))
