"""The commands behind `make train-default`, one after the other."""

import argparse
from pathlib import Path
from typing import Any

import pytest
import typer

from models import train_default
from models.errors import Refused
from models.runs import Record, ScoreNote, write_record
from models.widening import widens


def flags_of(run: Path, steps: int = 20) -> argparse.Namespace:
    return argparse.Namespace(run=run, steps=(10, steps), identities=(4, 6), scenes=(3, 5), watched=2)


def leave(flags: argparse.Namespace, stage: int, steps: int, **changed: Any) -> Path:
    """A run of the recipe that has taken so many steps."""
    run: Path = flags.run if stage else flags.run.with_name(f"{flags.run.name}-first")
    run.mkdir()
    (run / "last.pt").touch()
    recipe = train_default.recipe_of(stage, flags) | changed
    scores: list[ScoreNote] = [(steps, "street", 0.1, 0.2, 0.3)] if steps else []
    write_record(run, Record(recipe, {}, identities=4, parameters=1, commit="", environment={}, scores=scores))
    return run


@pytest.fixture
def typed(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """What was typed."""
    commands: list[list[str]] = []

    def app(words: list[str], **how: Any) -> None:
        commands.append(words)

    monkeypatch.setattr(train_default, "app", app)
    return commands


@pytest.mark.parametrize(
    ("first", "second", "typed_for"),
    [
        (None, None, [("run-first", False), ("run", False)]),
        (0, None, [("run-first", True), ("run", False)]),
        (10, None, [("run", False)]),
        (10, 10, [("run", True)]),
        (10, 20, []),
        (None, 20, []),
    ],
)
def test_a_run_that_was_stopped_goes_on_and_one_that_has_ended_is_left(
    first: int | None, second: int | None, typed_for: list[tuple[str, bool]], typed: list[list[str]], tmp_path: Path
) -> None:
    flags = flags_of(tmp_path / "run")
    for stage, steps in enumerate((first, second)):
        if steps is not None:
            leave(flags, stage, steps)
    train_default.train(flags, tmp_path / "no vehicles")
    assert [(Path(one[3]).name, "--resume" in one) for one in typed] == typed_for


@pytest.mark.parametrize("stage", [0, 1])
def test_a_run_of_another_recipe_is_refused_before_anything_is_trained(
    stage: int, typed: list[list[str]], tmp_path: Path
) -> None:
    flags = flags_of(tmp_path / "run")
    leave(flags, stage, 20, backbone="osnet-x0.25")
    with pytest.raises(Refused, match=r"another recipe, with --backbone osnet-x0\.25; give another folder"):
        train_default.train(flags, tmp_path / "no vehicles")
    assert typed == []


@pytest.mark.parametrize("wrong", ["--enrolled=50", "--enrolled=150", "--enrolled=0", "--judged=1"])
def test_amounts_that_a_later_command_refuses_are_refused_at_once(
    wrong: str, typed: list[list[str]], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("sys.argv", ["train_default", "--run", str(tmp_path / "run"), wrong])
    with pytest.raises(Refused, match=f"{wrong.partition('=')[0]} .*: give"):
        train_default.main()
    assert typed == []


def test_the_second_run_widens_the_network_of_the_first(typed: list[list[str]], tmp_path: Path) -> None:
    train_default.train(flags_of(tmp_path / "run"), tmp_path / "no vehicles")
    first, second = typed
    assert "--from" not in first
    assert second[second.index("--from") + 1] == str(tmp_path / "run-first")
    assert widens(*(one[one.index("--backbone") + 1] for one in typed))


def test_a_network_is_compiled_where_that_is_worth_it(
    typed: list[list[str]], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(train_default, "find_compiler", lambda: "g++")
    train_default.train(flags_of(tmp_path / "run", steps=5000), tmp_path / "no vehicles")
    assert ["--compile" in one for one in typed] == [False, True]
    typed.clear()
    monkeypatch.setattr(train_default, "find_compiler", lambda: None)
    train_default.train(flags_of(tmp_path / "run", steps=5000), tmp_path / "no vehicles")
    assert ["--compile" in one for one in typed] == [False, False]


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
