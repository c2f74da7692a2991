"""The commands behind `make train-default`, one after the other."""

import argparse
import json
from pathlib import Path
from typing import Any

import pytest
import typer

from models import train_default
from models.widening import widens


def flags_of(run: Path, steps: int = 20) -> argparse.Namespace:
    return argparse.Namespace(run=run, steps=(10, steps), identities=(4, 6), scenes=(3, 5), watched=2)


def leave(run: Path, scores: list[Any]) -> None:
    run.mkdir()
    (run / "last.pt").touch()
    (run / "run.json").write_text(json.dumps({"scores": scores}))


@pytest.fixture
def typed(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """What was typed."""
    commands: list[list[str]] = []

    def app(words: list[str], **how: Any) -> None:
        commands.append(words)

    monkeypatch.setattr(train_default, "app", app)
    return commands


FIRST_ENDED = [[10, "street", 0.1, 0.2, 0.3]]


@pytest.mark.parametrize(
    ("first", "second", "typed_for"),
    [
        (None, None, [("first", False), ("second", False)]),
        ([], None, [("first", True), ("second", False)]),
        (FIRST_ENDED, None, [("second", False)]),
        (FIRST_ENDED, [[10, "street", 0.1, 0.2, 0.3]], [("second", True)]),
        (FIRST_ENDED, [[20]], []),
    ],
)
def test_a_run_that_was_stopped_goes_on_and_one_that_has_ended_is_left(
    first: list[Any] | None, second: list[Any] | None, typed_for: list[tuple[str, bool]], typed: list[list[str]],
    tmp_path: Path,
) -> None:  # fmt: skip
    folders = {"first": tmp_path / "run-first", "second": tmp_path / "run"}
    for name, scores in (("first", first), ("second", second)):
        if scores is not None:
            leave(folders[name], scores)
    train_default.train(flags_of(folders["second"]), tmp_path / "no vehicles")
    assert [(one[3], "--resume" in one) for one in typed] == [
        (str(folders[name]), goes_on) for name, goes_on in typed_for
    ]


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
