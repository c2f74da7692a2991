"""The commands behind `make train-default`, one after the other."""

import argparse
import json
from pathlib import Path
from typing import Any

import pytest
import typer

from models import train_default


def flags_of(run: Path) -> argparse.Namespace:
    return argparse.Namespace(run=run, steps=20, identities=4, scenes=3, watched=2)


@pytest.fixture
def typed(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """What was typed."""
    commands: list[list[str]] = []

    def app(words: list[str], **how: Any) -> None:
        commands.append(words)

    monkeypatch.setattr(train_default, "app", app)
    return commands


@pytest.mark.parametrize(
    ("scores", "goes_on"), [(None, False), ([], True), ([[10, "street", 0.1, 0.2, 0.3]], True), ([[20]], None)]
)
def test_a_run_that_was_stopped_goes_on_and_one_that_has_ended_is_left(
    scores: list[Any] | None, goes_on: bool | None, typed: list[list[str]], tmp_path: Path
) -> None:
    if scores is not None:
        (tmp_path / "last.pt").touch()
        (tmp_path / "run.json").write_text(json.dumps({"scores": scores}))
    train_default.train(flags_of(tmp_path), tmp_path / "no vehicles")
    assert ["--resume" in one for one in typed] == ([] if goes_on is None else [goes_on])


def test_nothing_is_made_of_a_training_that_was_stopped(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    stopped = typer.Typer()

    @stopped.command()
    def train(data: str, out: Path) -> None:
        raise typer.Exit(130)

    @stopped.command()
    def thresholds(run: Path) -> None:
        raise AssertionError("made of a run that was stopped")

    monkeypatch.setattr(train_default, "app", stopped)
    with pytest.raises(SystemExit) as ended:
        train_default.step("train", "people", tmp_path)
    assert ended.value.code == 130
