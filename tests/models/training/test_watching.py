"""Looks into a step, and that TensorBoard's file holds them."""

from pathlib import Path

import numpy as np
import pytest
import torch

from models.training.learner import make_learner
from models.training.watching import (
    BINS,
    SAMPLE,
    Watch,
    bin_values,
    draw_triplets,
    find_triplets,
    measure_roughness,
    sample,
)
from tests.models.tiny import TINY


def test_a_step_is_seen_from_inside_without_changing_it() -> None:
    images = torch.randint(0, 256, (6, 64, 32, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    batch, watch = (images, torch.tensor([0, 0, 1, 1, 2, 2])), Watch()
    torch.manual_seed(0)
    seen = make_learner(TINY, 3)
    torch.manual_seed(0)
    unseen = make_learner(TINY, 3)
    before = {name: weight.detach().clone() for name, weight in seen.network.named_parameters()}
    seen.learn(0, [batch], watch)
    unseen.learn(0, [batch])
    pairs = zip(seen.network.parameters(), unseen.network.parameters(), strict=True)
    assert all(torch.equal(one, other) for one, other in pairs)

    old, new = before["project.weight"], seen.network.project.weight.detach()  # type: ignore[union-attr]
    assert watch.ratios["project"] == pytest.approx(float((new - old).norm() / old.norm()))  # type: ignore[operator]
    assert set(watch.gradients) == set(watch.ratios)
    assert watch.activations
    assert set(watch.activations) == set(watch.dead)
    assert not watch.hooks
    assert watch.filters.shape[2] == 3
    assert watch.triplets.shape[0] == 68  # a picture of 64 pixels and its frame


def test_tensorboard_can_show_everything(run: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    board = EventAccumulator(str(run / "tensorboard"))
    board.Reload()
    tags = board.Tags()
    scalars = set(tags["scalars"])
    assert {"loss/total", "loss/identity", "loss/contrastive", "learning rate"} <= scalars
    assert {f"{figure}/{name}" for figure in ("mAP", "rank-1") for name in ("train", "validation")} <= scalars
    assert "update ratio/project" in scalars
    assert {"activations", "gradients"} == {tag.partition("/")[0] for tag in tags["histograms"]}
    assert {"first-layer filters", "hardest triplets"} <= set(tags["images"])
    assert [one.step for one in board.Scalars("mAP/validation")] == [2, 4]


def test_the_hardest_triplet_is_the_one_whose_stranger_is_nearest() -> None:
    angles = torch.deg2rad(torch.tensor([0.0, 40.0, 10.0, 90.0]))  # the stranger at 10 degrees is nearer than the mate
    vectors = 3 * torch.stack([angles.cos(), angles.sin()], 1)
    found = find_triplets(torch.tensor([0, 0, 1, 1]), vectors)
    assert found.places[0] == (2, 3, 0)
    assert found.wrong == 1.0
    alone = find_triplets(torch.tensor([0, 1]), vectors[:2])
    assert alone.places == []
    assert draw_triplets(np.zeros((2, 8, 4, 3), np.uint8), alone).shape == (8, 8, 3)


def test_noise_is_rough_and_a_slope_is_not() -> None:
    noise = np.random.default_rng(0).normal(size=(64, 7, 7, 3))
    slope = np.broadcast_to(np.linspace(0, 1, 7)[None, :, None, None], (4, 7, 7, 3))
    assert measure_roughness(noise) == pytest.approx(1, abs=0.1)
    assert measure_roughness(slope) < 0.2


def test_a_histogram_counts_every_finite_value_once() -> None:
    low, high, *counts = bin_values(np.array([0, 1, 1, 4, np.nan, np.inf], np.float32))
    assert (low, high, sum(counts), len(counts)) == (0, 4, 4, BINS)
    assert sum(bin_values(np.array([np.nan], np.float32))[2:]) == 0
    assert len(sample(torch.zeros(10 * SAMPLE))) == SAMPLE
