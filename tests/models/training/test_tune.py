"""The search: every method, going on with what was left, and what mattered."""

import doctest
import shutil
from dataclasses import replace
from pathlib import Path

import optuna
import pytest
import torch
from optuna.trial import TrialState

import models.training.axes
from models.errors import Refused
from models.network import Extractor
from models.training.axes import Axis, read_axis
from models.training.flags import Flags
from models.training.material import choose
from models.training.tune import Method, count_done, measure_importances, open_study, tune
from tests.models.tiny import TINY, make_folder

QUICK = replace(TINY, steps=1, note_every=1)


def test_the_examples_in_the_docstrings_hold() -> None:
    assert doctest.testmod(models.training.axes).failed == 0


def test_a_space_is_read_from_the_command_line() -> None:
    assert read_axis("neck=true,false").choices == (True, False)
    assert read_axis("warm-up=10..100") == Axis("warm_up", low=10, high=100, whole=True)
    assert read_axis("calm=0..0.5") == Axis("calm", low=0, high=0.5)
    assert read_axis("warm-up=1..3").points() == (1, 2, 3)
    assert read_axis("schedule=cosine,linear").choices == ("cosine", "linear")


@pytest.mark.parametrize(
    "text",
    ["rate", "nothing=1,2", "rate=2..1", "rate=0..1:log", "schedule=a..b", "neck=maybe", "rate=1..2:cube", "data=a,b"],
)
def test_a_space_that_cannot_be_searched_is_refused(text: str) -> None:
    with pytest.raises(Refused, match=f"--try {text}"):
        read_axis(text)


def test_a_grid_is_tried_once_and_going_on_with_it_tries_nothing_again(people: Path, tmp_path: Path) -> None:
    flags, axes = replace(QUICK, data=str(people)), [read_axis("smoothing=0,0.1"), read_axis("rate=1e-3,1e25")]
    study = tune(flags, axes, tmp_path / "grid", "grid", 1)
    tried = sorted((trial.params["smoothing"], trial.params["rate"]) for trial in study.trials)
    assert tried == [(0.0, 1e-3), (0.0, 1e25), (0.1, 1e-3), (0.1, 1e25)]
    page = (tmp_path / "grid" / "tune.html").read_text()
    assert "http" not in page
    assert {"Best", "What mattered", "Values", "Trials"} <= set(page.replace("<", ">").split(">"))
    assert len(tune(flags, axes, tmp_path / "grid", "grid", 1).trials) == 4


@pytest.mark.parametrize("method", ["random", "tpe"])
def test_a_search_goes_on_from_what_was_left(method: Method, people: Path, tmp_path: Path) -> None:
    flags, axes = replace(QUICK, data=str(people)), [read_axis("rate=1e-4..1e-2:log")]
    study = open_study(flags, axes, tmp_path, method)
    left = study.ask()
    rate = axes[0].suggest(left, grid=False)  # and killed here
    study = tune(flags, axes, tmp_path, method, 2)
    finished = study.get_trials(states=(TrialState.COMPLETE,))
    assert next(trial.params["rate"] for trial in finished) == rate
    assert len({trial.params["rate"] for trial in finished}) == count_done(study) == 2
    assert (tmp_path / "trial-0000" / "run.json").exists()
    with pytest.raises(Refused, match="another"):
        tune(replace(flags, seed=4), axes, tmp_path, method, 2)


def test_the_flag_that_mattered_is_the_one_the_value_follows() -> None:
    study = optuna.create_study(direction="maximize", sampler=optuna.samplers.RandomSampler(0))
    for _ in range(30):
        trial = study.ask()
        rate, _ = trial.suggest_float("rate", 0, 1), trial.suggest_float("decay", 0, 1)
        study.tell(trial, rate)
    shares = measure_importances(study)
    assert shares["rate"] > 0.8
    assert sum(shares.values()) == pytest.approx(1)


def test_one_trial_says_nothing_about_what_mattered() -> None:
    assert measure_importances(optuna.create_study()) == {}


def test_a_search_ends_on_what_no_flag_can_help_and_goes_on_when_it_is_helped(people: Path, tmp_path: Path) -> None:
    flags, axes = replace(QUICK, data=str(tmp_path / "later")), [read_axis("smoothing=0,0.1")]
    with pytest.raises(Refused, match="later"):
        tune(flags, axes, tmp_path / "search", "grid", 1)
    (tmp_path / "later").symlink_to(people)
    study = tune(replace(flags, device="cpu", threads=2), axes, tmp_path / "search", "grid", 1)
    assert [trial.value is not None for trial in study.get_trials(states=(TrialState.COMPLETE,))] == [True, True]
    assert not [trial for trial in study.trials if "refused" in trial.user_attrs]


def test_the_architecture_of_a_run_to_start_from_is_not_searched_for(run: Path, people: Path, tmp_path: Path) -> None:
    with pytest.raises(Refused, match=r"--try --dim: is the architecture's, which --from .* says"):
        tune(replace(QUICK, data=str(people), start=str(run)), [read_axis("dim=32,64")], tmp_path, "grid", 1)


def test_only_a_loss_that_is_not_finite_is_a_trial_that_is_done_with(people: Path, tmp_path: Path) -> None:
    study = tune(replace(QUICK, data=str(people)), [read_axis("rate=1e-3,1e25")], tmp_path, "grid", 1)
    (refused,) = (trial for trial in study.trials if "refused" in trial.user_attrs)
    assert refused.params["rate"] == 1e25
    assert count_done(study) == 2


def test_a_trial_that_refuses_or_fails_is_done_with_and_the_others_are_made(people: Path, tmp_path: Path) -> None:
    torch.save(Extractor(TINY.architecture()).state_dict(), tmp_path / "w.pt")
    flags = replace(QUICK, data=str(people), weights=str(tmp_path / "w.pt"))
    axes = [read_axis("backbone=osnet-x0.25,osnet-x0.5")]
    study = tune(flags, axes, tmp_path / "search", "grid", 1)
    (refused,) = (trial for trial in study.trials if "refused" in trial.user_attrs)
    assert refused.params == {"backbone": "osnet-x0.5"}
    assert "choose the backbone and width" in refused.user_attrs["refused"]
    assert "trial-0001" in (tmp_path / "search" / "tune.html").read_text()
    assert len(tune(flags, axes, tmp_path / "search", "grid", 1).trials) == 2


@pytest.mark.parametrize("error", [ValueError("what PyTorch cannot\ncompute"), RuntimeError("what PyTorch cannot")])
def test_what_pytorch_cannot_compute_is_a_trial_that_is_done_with(
    error: Exception, people: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(flags: Flags, folder: Path, resume: bool) -> None:
        raise error

    monkeypatch.setattr("models.training.tune.train", fail)
    study = tune(replace(QUICK, data=str(people)), [read_axis("smoothing=0,0.1")], tmp_path, "grid", 1)
    assert [trial.user_attrs["refused"] for trial in study.trials] == [str(error).splitlines()[0]] * 2


def test_a_picture_that_cannot_be_read_ends_the_search_and_counts_no_trial(people: Path, tmp_path: Path) -> None:
    mine = Path(shutil.copytree(people, tmp_path / "mine"))
    others, axes = make_folder(tmp_path / "others", people=3, first=50), [read_axis("smoothing=0,0.1")]
    flags = replace(QUICK, data=str(mine), validate=str(others), hold_out=0.0, people=8, watched=2, drawers=1)
    unwatched = min(set(range(1, 9)) - set(choose(flags, list(range(1, 9)))))  # read by the training alone
    for path in sorted(mine.iterdir())[unwatched - 1].iterdir():
        path.write_bytes(b"no picture")
    with pytest.raises(Refused, match=r"png.*or remove the file"):
        tune(flags, axes, tmp_path / "search", "grid", 1)
    shutil.rmtree(mine)
    shutil.copytree(people, mine)
    study = tune(flags, axes, tmp_path / "search", "grid", 1)
    assert len(study.get_trials(states=(TrialState.COMPLETE,))) == 2


def test_flags_that_do_not_go_together_are_a_trial_that_is_done_with(people: Path, tmp_path: Path) -> None:
    flags, axes = replace(QUICK, data=str(people)), [read_axis("dim=31,32"), read_axis("people=3,60")]
    study = tune(flags, axes, tmp_path / "grid", "grid", 1)
    reasons = sorted(trial.user_attrs["refused"] for trial in study.trials if "refused" in trial.user_attrs)
    assert [trial.params for trial in study.get_trials(states=(TrialState.COMPLETE,))] == [{"dim": 32, "people": 3}]
    assert len(reasons) == 3
    assert sum("cannot be shared out by stripes" in one for one in reasons) == 2
    assert sum("fewer than the 60 of a batch" in one for one in reasons) == 1
    assert len(tune(flags, axes, tmp_path / "grid", "grid", 1).trials) == 4
