"""Compiled networks: the same numbers and gradients, and a word where there is no compiler."""

import os
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn

from models.errors import Refused
from models.network import Embedded
from models.training.compiling import compile_embed, find_compiler
from models.training.flags import check_flags
from tests.models.tiny import TINY

pytestmark = pytest.mark.filterwarnings("ignore:`torch.jit.script_method` is deprecated:DeprecationWarning")  # its own


class Small(nn.Module):
    """Of the kinds of layers that a backbone has, few of them: compiling OSNet takes minutes."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            *(nn.Conv2d(3, 8, 3, bias=False), nn.InstanceNorm2d(8, affine=True), nn.ReLU()),
            *(nn.Conv2d(8, 8, 3, bias=False), nn.BatchNorm2d(8), nn.ReLU()),
        )
        self.norm = nn.BatchNorm1d(8)

    def embed(self, images: torch.Tensor) -> Embedded:
        before = self.layers(images.float().permute(0, 3, 1, 2)).mean(dim=(2, 3))
        return Embedded(before, self.norm(before))


def draw(count: int) -> torch.Tensor:
    return torch.randint(0, 256, (count, 16, 8, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(count))


@pytest.mark.skipif(find_compiler() is None and not os.environ.get("CI"), reason="needs a C++ compiler: install g++")
def test_vectors_gradients_and_statistics_are_those_of_the_plain_network() -> None:
    torch.manual_seed(1)
    plain, other = Small(), Small()
    other.load_state_dict(plain.state_dict())
    compiled = compile_embed(other.embed)
    for count in (6, 4):  # another size is compiled again
        vectors, theirs = plain.embed(draw(count)), compiled(draw(count))
        for one, two in zip(vectors, theirs, strict=True):
            assert torch.allclose(one, two, atol=1e-4)
        for embedded in (vectors, theirs):
            torch.autograd.backward([embedded.before.square().sum() + embedded.after.pow(3).sum()])
    for (name, one), (_, two) in zip(plain.named_parameters(), other.named_parameters(), strict=True):
        assert one.grad is not None
        assert two.grad is not None
        assert (one.grad - two.grad).abs().max() <= 1e-3 * one.grad.abs().max(), name
    for (name, one), (_, two) in zip(plain.named_buffers(), other.named_buffers(), strict=True):
        assert torch.allclose(one.float(), two.float(), atol=1e-4), name


def test_it_asks_for_a_compiler_before_anything_is_drawn(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("CXX", sys.executable)
    check_flags(replace(TINY, compile=True))
    monkeypatch.setenv("CXX", str(tmp_path / "none"))
    with pytest.raises(Refused, match="needs a C\\+\\+ compiler and the headers of Python"):
        check_flags(replace(TINY, compile=True))


def test_a_compiler_that_fails_is_told_of(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    broken = tmp_path / "broken"
    broken.write_text("#!/bin/sh\nexit 1\n")
    broken.chmod(0o755)
    monkeypatch.setenv("CXX", str(broken))
    monkeypatch.setattr("torch._inductor.config.cpp.cxx", (None, str(broken)))
    monkeypatch.setattr("torch._inductor.config.force_disable_caches", True)
    with pytest.raises(Refused, match="train without it by --no-compile"):
        compile_embed(Small().embed)(draw(3))
