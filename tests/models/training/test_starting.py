"""Training that goes on from a run, or begins with given weights."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner

from models.__main__ import app
from models.errors import Refused
from models.runs import load_run, read_checkpoint, read_record
from models.training.flags import Flags, check_flags
from models.training.train import train
from models.widening import widen
from tests.models.tiny import TINY, make_folder


def test_fine_tuning_starts_from_a_run_and_sizes_the_classifier_by_the_folder(run: Path, tmp_path: Path) -> None:
    corrections = make_folder(tmp_path / "corrections", people=10, cameras=1, shots=3)
    flags = replace(
        TINY,
        data=str(corrections),
        start=str(run),
        early_factor=0.1,
        height=128,
        dim=512,
        rate=1e-9,
        steps=1,
        decay=0.0,
    )
    tuned = train(flags, tmp_path / "tuned")
    assert tuned.architecture == load_run(run).architecture
    assert read_record(tmp_path / "tuned").flags["height"] == 64
    before, after = load_run(run).state_dict(), tuned.state_dict()
    weights = [name for name, _ in tuned.named_parameters()]
    assert all(torch.allclose(before[name], after[name], atol=1e-6) for name in weights)
    assert read_checkpoint(tmp_path / "tuned").objective["classifier.weight"].shape == (8, 32)


@pytest.mark.parametrize("command", ["train", "find-rate", "tune"])
def test_a_flag_of_the_architecture_that_the_run_to_start_from_has_otherwise_is_refused(
    command: str, run: Path, people: Path, tmp_path: Path
) -> None:
    told = [command, str(people), "--out", str(tmp_path / "new"), "--from", str(run), "--dim", "512"]  # as is usual
    refused = CliRunner().invoke(app, [*told, *(["--try", "rate=1e-3,1e-2"] if command == "tune" else [])])
    assert isinstance(refused.exception, Refused)
    assert str(refused.exception).startswith(f"--dim 512: the network of --from {run} has 32; leave --dim out")
    with pytest.raises(Refused, match=r"--backbone resnet50: the network of --from .* has osnet-x0\.25"):
        check_flags(replace(TINY, start=str(run), backbone="resnet50"))
    assert not (tmp_path / "new").exists()


def test_fine_tuning_may_widen_the_network_it_starts_from(run: Path, people: Path, tmp_path: Path) -> None:
    wider = ("--backbone", "osnet-x0.5", "--people", "4", "--alike", "2", "--rate", "1e-9", "--decay", "0")
    told = ["train", str(people), "--out", str(tmp_path / "wide"), "--from", str(run), *wider, "--threads", "1"]
    told += ["--drawers", "0", "--steps", "1"]
    assert CliRunner().invoke(app, told).exit_code == 0
    wide, begun = load_run(tmp_path / "wide"), widen(load_run(run), "osnet-x0.5", Flags().seed)
    assert wide.architecture == begun.architecture
    learned, first = dict(wide.named_parameters()), dict(begun.named_parameters())
    assert all(torch.allclose(learned[name], first[name], atol=1e-6) for name in first)


def test_a_run_of_another_version_is_no_start(run: Path, people: Path, tmp_path: Path) -> None:
    old = Path(shutil.copytree(run, tmp_path / "old"))
    record = json.loads((old / "run.json").read_text())
    record["architecture"]["depth"] = 3
    (old / "run.json").write_text(json.dumps(record))
    with pytest.raises(Refused, match=r"old: training cannot go on from it: .*unknown field depth"):
        train(replace(TINY, data=str(people), start=str(old)), tmp_path / "new")


def test_what_was_loaded_of_a_file_of_weights_is_said_and_kept(
    run: Path, people: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    weights = str(run / "best.pt")
    train(replace(TINY, data=str(people), dim=64, weights=weights, steps=1), tmp_path / "new")
    (said,) = (line for line in capsys.readouterr().out.splitlines() if line.startswith(f"--weights {weights}: "))
    assert "weights loaded; left as drawn: project.weight, norm.weight, norm.bias and 2 more; unused: none" in said
    assert read_record(tmp_path / "new").loaded == said.partition(": ")[2]
    assert "left as drawn" in (tmp_path / "new" / "report.html").read_text()
