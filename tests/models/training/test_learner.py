"""A step of training: frozen parts, precision, accumulation, averages and rates by depth."""

import math
from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from torch import nn

from models.network import Embedded
from models.training.flags import Flags
from models.training.learner import Batch, Learner, averaging, make_learner, not_finite, shrink
from models.training.watching import Watch
from tests.models.tiny import TINY

PLAIN = replace(TINY, losses="identity=1,contrastive=1")


def draw(seed: int = 0) -> Batch:
    generator = torch.Generator().manual_seed(seed)
    images = torch.randint(0, 256, (6, 64, 32, 3), dtype=torch.uint8, generator=generator)
    return images, torch.tensor([0, 0, 1, 1, 2, 2])


def make(flags: Flags, seed: int = 0) -> Learner:
    torch.manual_seed(seed)
    return make_learner(flags, 3)


def weights(learner: Learner) -> dict[str, torch.Tensor]:
    return {name: value.clone() for name, value in learner.network.state_dict().items()}


def test_a_frozen_backbone_keeps_weights_and_statistics_until_its_time_is_over() -> None:
    learner = make(replace(PLAIN, freeze_steps=1))
    before = weights(learner)
    learner.learn(0, [draw()])
    after = weights(learner)
    assert all(torch.equal(before[name], after[name]) for name in before if name.startswith("backbone."))
    assert not torch.equal(before["project.weight"], after["project.weight"])
    learner.learn(1, [draw()])
    assert not all(torch.equal(before[name], value) for name, value in weights(learner).items() if "backbone" in name)


@pytest.mark.parametrize("optimiser", ["adamw", "sgd"])
def test_both_optimisers_lower_the_loss_of_a_batch(optimiser: str) -> None:
    learner = make(replace(PLAIN, optimiser=optimiser, rate=0.01, warm_up=0, steps=20))  # type: ignore[arg-type]
    losses = [learner.learn(step, [draw()]).total for step in range(10)]
    assert losses[-1] < 0.8 * losses[0]


def test_half_precision_gives_nearly_the_loss_of_single_precision() -> None:
    single = make(PLAIN).learn(0, [draw()]).total
    half = make(replace(PLAIN, precision="bf16")).learn(0, [draw()]).total
    assert half != single
    assert half == pytest.approx(single, rel=0.05)


def test_the_same_batch_twice_is_the_same_step_as_once() -> None:
    flags = replace(PLAIN, optimiser="sgd", rate=0.1)
    once, twice = make(flags), make(flags)
    one, other = once.learn(0, [draw()]), twice.learn(0, [draw(), draw()])
    assert one.total == pytest.approx(other.total, rel=1e-5)
    for (name, a), (_, b) in zip(once.network.named_parameters(), twice.network.named_parameters(), strict=True):
        assert torch.allclose(a, b, rtol=1e-3, atol=1e-6), name


def test_gradients_of_two_batches_are_averaged() -> None:
    flags = replace(PLAIN, optimiser="sgd", rate=0.1, decay=0.0, losses="identity=1")
    both = make(flags)
    both.learn(0, [draw(1), draw(2)])
    gradients = []
    for seed in (1, 2):
        alone = make(flags)
        alone.learn(0, [draw(seed)])
        gradients.append(alone.network.project.weight.grad)  # type: ignore[union-attr]
    assert torch.allclose(both.network.project.weight.grad, sum(gradients) / 2, rtol=1e-3, atol=1e-6)  # type: ignore


def test_the_average_forgets_its_start_and_then_moves_by_its_decay() -> None:
    move, value = averaging(0.5), torch.zeros(1)
    move([value], [torch.ones(1)], 0)
    assert value.item() == pytest.approx(0.9)  # (1 + 0) / (10 + 0) of the old
    value = torch.zeros(1)
    move([value], [torch.ones(1)], 1000)
    assert value.item() == pytest.approx(0.5)
    count = torch.tensor(3)
    move([count], [torch.tensor(7)], 1000)
    assert count.item() == 7


def test_the_averaged_network_is_the_one_that_is_judged() -> None:
    assert make(PLAIN).judged is not None
    averaged = make(replace(PLAIN, average=0.9))
    averaged.learn(0, [draw()])
    averaged.learn(1, [draw()])
    assert averaged.judged is not averaged.network
    assert not torch.equal(averaged.judged.project.weight, averaged.network.project.weight)  # type: ignore[arg-type]


def test_no_weight_is_left_out_of_the_optimiser() -> None:
    learner = make(replace(PLAIN, early_factor=0.1))
    grouped = [id(weight) for group in learner.optimiser.param_groups for weight in group["params"]]
    both: list[nn.Module] = [learner.network, learner.objective]
    assert sorted(grouped) == sorted(id(weight) for part in both for weight in part.parameters())


def test_the_rate_of_each_group_is_its_share_of_the_steps_rate() -> None:
    learner = make(replace(PLAIN, early_factor=0.1))
    learner.learn(0, [draw()], rate=0.5)
    rates = [group["lr"] for group in learner.optimiser.param_groups]
    assert rates[0] == pytest.approx(0.05)
    assert rates[-1] == pytest.approx(0.5)


def test_shrinking_keeps_a_flat_colour_and_the_type() -> None:
    images = torch.full((2, 64, 32, 3), 77, dtype=torch.uint8)
    small = shrink(images, 32, 16)
    assert (small.shape, small.dtype) == ((2, 32, 16, 3), torch.uint8)
    assert (small == 77).all()
    assert shrink(images, 64, 32) is images


def test_pictures_are_small_in_the_first_part_of_a_progressive_training() -> None:
    learner = make(replace(PLAIN, resize="0.5@32x32", steps=4))
    seen = list[tuple[int, ...]]()
    learner.network.standardise.register_forward_pre_hook(lambda part, given: seen.append(tuple(given[0].shape[1:3])))
    for step in range(4):
        learner.learn(step, [draw()])
    assert seen == [(32, 32), (32, 32), (64, 32), (64, 32)]


@pytest.mark.parametrize(
    ("flags", "step", "ways"),
    [
        (Flags(warm_up=0), 5, "lower --rate"),
        (Flags(warm_up=10), 5, "lower --rate or lengthen --warm-up"),
        (Flags(warm_up=0, precision="bf16"), 5, "lower --rate or use --precision fp32"),
    ],
)
def test_a_loss_that_is_not_finite_is_told_by_its_part_with_what_may_help(flags: Flags, step: int, ways: str) -> None:
    said = not_finite(flags, step, math.nan, {"identity": 2.0, "triplet": math.nan}, 0.1)
    assert said == f"the loss is nan at step 6 (triplet nan) with a learning rate of 0.1; {ways}"


def test_the_step_schedule_falls_where_and_as_far_as_it_is_told() -> None:
    learner = make(replace(PLAIN, schedule="step", milestones="0.5", factor=0.25, steps=4, warm_up=0, rate=0.1))
    assert [learner.prepare(step, None) for step in range(4)] == pytest.approx([0.1, 0.1, 0.025, 0.025])


def test_a_step_that_is_watched_runs_the_plain_network_whose_parts_can_be_listened_to(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    calls = 0

    def counted(embed: Callable[[torch.Tensor], Embedded]) -> Callable[[torch.Tensor], Embedded]:
        def call(images: torch.Tensor) -> Embedded:
            nonlocal calls
            calls += 1
            return embed(images)

        return call

    monkeypatch.setattr("models.training.learner.compile_embed", counted)
    learner, watch = make(replace(PLAIN, compile=True)), Watch()
    learner.learn(0, [draw()])
    assert calls == 1
    learner.learn(1, [draw()], watch)
    assert calls == 1
    assert watch.activations
