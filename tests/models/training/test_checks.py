"""Checks before training pass on a sound set and network, and each fails on what it is there to find."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from typer.testing import CliRunner

from models.__main__ import app
from models.training.checks import check, check_by_heart, check_calm, check_first_loss, check_reach, few_of
from models.training.learner import Batch, Learner, make_learner
from tests.models.tiny import TINY


@pytest.fixture
def batch() -> Batch:
    images = torch.randint(0, 256, (6, 64, 32, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    return images, torch.tensor([0, 0, 1, 1, 2, 2])


@pytest.fixture
def learner() -> Learner:
    torch.manual_seed(0)
    return make_learner(TINY, 3)


def test_a_sound_set_passes_every_check(people: Path) -> None:
    found = check(replace(TINY, data=str(people)))
    assert [one.name for one in found if not one.passed] == []
    assert len(found) >= 4


def test_a_classifier_that_starts_too_sure_is_found(learner: Learner, batch: Batch) -> None:
    assert check_first_loss(learner, batch, 3).passed
    nn.init.normal_(learner.objective.classifier.weight, std=1.0)
    assert not check_first_loss(learner, batch, 3).passed


def test_pictures_that_cannot_be_told_apart_are_not_learned_by_heart(batch: Batch) -> None:
    same = (torch.full_like(batch[0], 100), batch[1])
    assert not check_by_heart(TINY, same, patience=5).passed


def test_the_pictures_to_learn_by_heart_are_of_many_people_however_many_each_has() -> None:
    images, labels = torch.zeros(64, 2, 2, 3, dtype=torch.uint8), torch.arange(3, 7).repeat_interleave(16)
    few, numbered = few_of((images, labels))
    assert len(few) == len(numbered) == 16
    assert numbered.unique().tolist() == [0, 1, 2, 3]
    assert len(few_of((images[:20], labels[:20]))[0]) == 20


def test_a_part_that_is_not_wired_up_is_named(learner: Learner, batch: Batch) -> None:
    assert all(one.passed for one in check_reach(learner, batch))
    learner.network.add_module("forgotten", nn.Linear(2, 2))
    wired, _ = check_reach(learner, batch)
    assert not wired.passed
    assert "forgotten.weight" in wired.measured


def test_weights_that_get_no_gradient_are_named(learner: Learner, batch: Batch) -> None:
    learner.network.backbone.register_forward_hook(lambda part, given, maps: 0 * maps)
    wired, moved = check_reach(learner, batch)
    assert wired.passed
    assert not moved.passed
    assert "backbone" in moved.measured


class Noise(nn.Module):
    """Adds noise even in validation."""

    def forward(self, maps: Tensor) -> Tensor:
        return maps + torch.rand_like(maps)


def test_chance_in_validation_is_found(learner: Learner) -> None:
    images = [np.full((64, 32, 3), shade, np.uint8) for shade in (10, 200)]
    assert check_calm(learner, images).passed
    learner.network.pool = nn.Sequential(Noise(), learner.network.pool)
    assert not check_calm(learner, images).passed


def test_the_command_prints_a_table_and_trains_nothing(people: Path, tmp_path: Path) -> None:
    flags = "--people 3 --pictures 2 --height 64 --width 32 --dim 32 --stripes 2 --threads 1 --check"
    said = CliRunner().invoke(app, ["train", str(people), "--out", str(tmp_path / "run"), *flags.split()])
    assert said.exit_code == 0, said.output
    assert "ln(6) = 1.792" in said.output
    assert not (tmp_path / "run").exists()
