"""Training, in miniature: exact resume, what is refused, what every flag does."""

import json
import shutil
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn
from typer.testing import CliRunner

from models.__main__ import app
from models.errors import Refused, Unfit
from models.network import Extractor
from models.people.crowd import Picture
from models.people.style import HELD_OUT
from models.runs import load_run, read_checkpoint, read_record
from models.training.flags import Flags
from models.training.material import ValidationSet, gather, judge_set
from models.training.train import Stopped, train
from tests.models.tiny import TINY, make_folder

SYNTHETIC = replace(TINY, steps=2, identities=4, views=2, scenes=2, watched=2, seed=5)


def same(one: nn.Module, other: nn.Module) -> bool:
    """Whether all weights and statistics are the same bit for bit."""
    pairs = zip(one.state_dict().values(), other.state_dict().values(), strict=True)
    return all(torch.equal(a, b) for a, b in pairs)


def test_twelve_steps_are_six_and_six_more_to_the_last_bit(people: Path, tmp_path: Path) -> None:
    flags = replace(
        TINY, data=str(people), steps=12, note_every=4, average=0.9, accumulate=2, erase=0.5, resize="0.3@32x32",
        losses="identity=1,triplet=1,center=0.01", freeze_steps=2,
    )  # fmt: skip
    straight = train(flags, tmp_path / "straight")
    train(flags, tmp_path / "parts", until=6)
    resumed = train(flags, tmp_path / "parts", resume=True)
    assert same(straight, resumed)
    ends = [read_checkpoint(tmp_path / name) for name in ("straight", "parts")]
    assert all(torch.equal(ends[0].network[name], ends[1].network[name]) for name in ends[0].network)
    assert ends[0].record["losses"] == ends[1].record["losses"]
    assert ends[0].record["scores"] == ends[1].record["scores"]
    assert not all(torch.equal(ends[0].network[name], value) for name, value in straight.state_dict().items())


def test_synthetic_people_are_drawn_on_the_fly_and_validated_in_styles_that_are_not_theirs(tmp_path: Path) -> None:
    first, again = train(SYNTHETIC, tmp_path / "first"), train(SYNTHETIC, tmp_path / "again")
    assert same(first, again)
    record = read_record(tmp_path / "first")
    foreign = [style.name for style in HELD_OUT]
    assert [name for _, name, *_ in record.scores] == ["train", "street", *foreign]
    scores = [mean_ap for _, name, mean_ap, *_ in record.scores if name in foreign]
    assert record.best["set"] == ",".join(foreign)
    assert record.best["value"] == pytest.approx(sum(scores) / len(scores), abs=1e-4)


def test_a_run_holds_all_that_is_promised(run: Path) -> None:
    names = {path.name for path in run.iterdir()}
    assert {"last.pt", "best.pt", "run.json", "curves.png", "tensorboard", "report.html"} <= names
    assert not [name for name in names if name.endswith(".part")]
    record = json.loads((run / "run.json").read_text())
    assert record["flags"]["seed"] == TINY.seed
    assert record["architecture"]["height"] == 64
    assert record["identities"] == 6
    assert record["environment"]["torch"] == torch.__version__
    assert [(step, name) for step, name, *_ in record["scores"]] == [
        (2, "train"), (2, "validation"), (4, "train"), (4, "validation")
    ]  # fmt: skip
    assert record["seconds"] > 0


def test_the_best_checkpoint_is_chosen_by_the_metric_and_set_asked_for(people: Path, tmp_path: Path) -> None:
    other = make_folder(tmp_path / "elsewhere", people=5, first=20)
    flags = replace(TINY, data=str(people), validate=str(other), choose_by="mINP", choose_on="elsewhere")
    train(flags, tmp_path / "run")
    record = read_record(tmp_path / "run")
    values = {step: minp for step, name, _, _, minp in record.scores if name == "elsewhere"}
    assert (record.best["metric"], record.best["set"]) == ("mINP", "elsewhere")
    assert record.best["value"] == pytest.approx(max(values.values()), abs=1e-4)


@pytest.mark.parametrize("copied", [False, True])
def test_validating_on_people_of_the_training_is_refused(people: Path, tmp_path: Path, copied: bool) -> None:
    other = Path(shutil.copytree(people, tmp_path / "copy")) if copied else people
    with pytest.raises(Refused, match=r"--validate .* is trained on"):
        train(replace(TINY, data=str(people), validate=str(other)), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_cameras_are_found_by_the_pattern_in_training_and_in_validation_sets_of_its_layout(tmp_path: Path) -> None:
    folder, other = make_folder(tmp_path / "set"), make_folder(tmp_path / "other", people=2, first=8)
    flat = tmp_path / "flat"
    flat.mkdir()
    for path in sorted(other.rglob("*.png")):
        shutil.copy(path, flat / f"{path.parent.name}_{path.name}")
    for path in [*sorted(folder.rglob("*.png")), *sorted(other.rglob("*.png"))]:
        path.rename(path.with_name(path.name.replace("c", "gate")))
    flags = replace(TINY, data=str(folder), steps=2, validate=f"{other},{flat}")
    with pytest.raises(Refused, match="camera pattern"):
        train(flags, tmp_path / "run")
    train(replace(flags, pattern=r"gate(\d)"), tmp_path / "run")
    assert gather(replace(flags, pattern=r"gate(\d)"), judged=False).identities == 6, "as to find a rate"
    assert {name for _, name, *_ in read_record(tmp_path / "run").scores} == {"train", "validation", "other", "flat"}
    shell = CliRunner()
    told = ["--pattern", r"gate(\d)", "--workers", "0"]
    judged = shell.invoke(app, ["evaluate", "histogram", str(folder), *told])
    assert judged.exit_code == 0, judged.output
    assert isinstance(shell.invoke(app, ["evaluate", "histogram", str(folder)]).exception, Refused)
    own = shell.invoke(app, ["evaluate", str(tmp_path / "run"), str(folder), "--workers", "0"])
    assert own.exit_code == 0, "the run knows the pattern of its own pictures"


def test_a_validation_set_that_is_not_there_is_refused(people: Path, tmp_path: Path) -> None:
    with pytest.raises(Refused, match=r"--choose-on nowhere.*validation"):
        train(replace(TINY, data=str(people), choose_on="nowhere"), tmp_path / "run")


def test_a_loss_that_is_not_finite_is_refused_and_the_last_checkpoint_kept(
    run: Path, people: Path, tmp_path: Path
) -> None:
    flags = replace(TINY, data=str(people), rate=1e25, optimiser="sgd", note_every=8, steps=8, warm_up=0)
    train(flags, tmp_path / "run", until=1)
    before = (tmp_path / "run" / "last.pt").read_bytes()
    with pytest.raises(Refused, match=r"the loss is nan at step \d .*identity nan.*lower --rate, in another --out$"):
        train(flags, tmp_path / "run", resume=True)
    shutil.copy(run / "best.pt", tmp_path / "run" / "best.pt")
    with pytest.raises(Refused, match=r"in another --out; or begin from the best of this run: --from .*run --out NEW"):
        train(flags, tmp_path / "run", resume=True)
    with pytest.raises(Refused, match=r"lower --rate$"):
        train(flags, tmp_path / "nothing saved")
    assert (tmp_path / "run" / "last.pt").read_bytes() == before
    assert not list((tmp_path / "run").glob("*.part"))


def test_a_training_that_needs_more_memory_than_there_is_says_which_flags_need_less(
    people: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Extractor, "embed", lambda network, images: torch.empty(1 << 60))
    with pytest.raises(Unfit, match=r"^this needs more memory than there is: lower --people.*--accumulate[^\n]*$"):
        train(replace(TINY, data=str(people)), tmp_path / "run")


def test_a_network_that_gives_no_numbers_is_refused_in_validation(people: Path, tmp_path: Path) -> None:
    flags = replace(TINY, data=str(people), rate=1e30, optimiser="sgd", note_every=1, warm_up=0)
    with pytest.raises(Refused, match=r"NaN or infinity.*lower --rate"):
        train(flags, tmp_path / "run")
    assert not (tmp_path / "run" / "best.pt").exists()


@contextmanager
def interrupted(folder: Path) -> Iterator[None]:
    """Ctrl-C as soon as the loop runs."""

    def press() -> None:
        while not list(folder.glob("tensorboard/*")):
            time.sleep(0.01)
        signal.raise_signal(signal.SIGINT)

    thread = threading.Thread(target=press)
    thread.start()
    yield
    thread.join()


def test_ctrl_c_saves_and_says_how_to_go_on(people: Path, tmp_path: Path) -> None:
    flags = replace(TINY, data=str(people), steps=100_000, note_every=100_000)
    before = signal.getsignal(signal.SIGINT)
    with interrupted(tmp_path / "run"), pytest.raises(Stopped, match=r"stopped after step \d+ of 100000.*--resume"):
        train(flags, tmp_path / "run")
    assert signal.getsignal(signal.SIGINT) is before
    done = read_checkpoint(tmp_path / "run").step
    train(flags, tmp_path / "run", resume=True, until=done + 1)
    assert read_checkpoint(tmp_path / "run").step == done + 1


def test_workers_make_the_same_batches_as_the_training_itself(people: Path, tmp_path: Path) -> None:
    flags = replace(TINY, data=str(people), steps=2)
    one = train(flags, tmp_path / "none")
    other = train(replace(flags, drawers=1), tmp_path / "one")
    assert same(one, other)


def test_a_folder_with_a_run_is_refused_and_so_is_resuming_where_there_is_none(run: Path, tmp_path: Path) -> None:
    flags = Flags(**read_record(run).flags)
    with pytest.raises(Refused, match=r"holds a run already.*--resume"):
        train(flags, run)
    with pytest.raises(Refused, match="nothing to resume"):
        train(flags, tmp_path, resume=True)


def test_resuming_with_other_flags_is_refused_by_name(run: Path) -> None:
    flags = Flags(**read_record(run).flags)
    with pytest.raises(Refused, match=r"--rate 0\.001 \(now 0\.5\), .*seed"):
        train(replace(flags, rate=0.5, seed=9), run, resume=True)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"data": "/nowhere/at/all"}, "/nowhere/at/all"),
        ({"people": 7}, "6 identities to train on, fewer than the 7 of a batch"),
        ({"precision": "fp16"}, "bf16"),
        ({"rate": 0.0}, "--rate 0.0"),
        ({"losses": "identity"}, "NAME=WEIGHT"),
        ({"losses": "identity=1,magic=1"}, "no loss magic"),
        ({"resize": "64x32"}, "SHARE@HEIGHTxWIDTH"),
        ({"resize": "0.5@16x16", "backbone": "osnet-ain-x0.25"}, "16x16 is too small for osnet-ain-x0.25"),
        ({"resize": "0.5@64x32,0.4@32x32"}, "shares must rise"),
        ({"average": 1.0}, "--average"),
        ({"early_factor": 0.0}, "--early-factor"),
        ({"steps": 0}, "--steps 0"),
        ({"start": "/nowhere"}, "/nowhere"),
        ({"data": "people", "seed": 500_000}, "--seed 500000: seeds from 500000 on"),
    ],
)
def test_what_cannot_be_trained_is_refused_with_the_remedy(
    change: dict[str, object], said: str, people: Path, tmp_path: Path
) -> None:
    with pytest.raises(Refused, match=said.replace("(", r"\(")):
        train(replace(TINY, **{"data": str(people), **change}), tmp_path / "run")  # type: ignore[arg-type]
    assert not (tmp_path / "run").exists()


def test_a_picture_that_a_worker_cannot_read_is_named_in_one_line(tmp_path: Path) -> None:
    folder = make_folder(tmp_path / "pictures")
    flags = replace(
        TINY, data=str(folder), drawers=1, hold_out=0.0, validate=str(make_folder(tmp_path / "others", first=20))
    )
    (folder / "p03" / "c0_0.png").write_bytes(b"\x89PNG\r\n\x1a\n and nothing more")
    with pytest.raises(Refused, match=r"^[^\n]*p03/c0_0\.png[^\n]*$"):
        train(replace(flags, steps=50, note_every=50, watched=2, seed=3), tmp_path / "run")


def test_stopping_after_a_step_that_is_done_already_is_refused(run: Path) -> None:
    flags = Flags(**read_record(run).flags)
    with pytest.raises(Refused, match="--until 4: 4 steps are done already"):
        train(flags, run, resume=True, until=4)


def test_validation_sets_of_one_name_are_refused(people: Path, tmp_path: Path) -> None:
    twins = [str(make_folder(tmp_path / place / "shop", people=3, first=50)) for place in ("a", "b")]
    with pytest.raises(Refused, match="2 sets would be called shop"):
        train(replace(TINY, data=str(people), validate=",".join(twins)), tmp_path / "run")
    street = make_folder(tmp_path / "street", people=3, first=50)
    with pytest.raises(Refused, match="2 sets would be called street"):
        gather(replace(SYNTHETIC, validate=str(street)))


def test_watching_everybody_watches_as_many_synthetic_people_as_are_trained_on() -> None:
    material = gather(replace(SYNTHETIC, watched=0))
    assert {len(one.query) for one in (material.train, *material.validation)} == {SYNTHETIC.identities}


def test_a_validation_set_in_which_nobody_can_be_found_is_named(run: Path) -> None:
    picture = Picture(np.zeros((64, 32, 3), np.uint8), 1, 0)
    with pytest.raises(Refused, match="validation set shop: no query has a positive"):
        judge_set(load_run(run), ValidationSet("shop", [picture], [picture]), "cpu")


def test_the_command_trains_resumes_without_repeating_flags_and_reports(people: Path, tmp_path: Path) -> None:
    out = str(tmp_path / "run")
    flags = "--people 3 --pictures 2 --steps 4 --height 64 --width 32 --dim 32 --stripes 2 --threads 1 --drawers 0"
    flags += " --note-every 2 --watched 4"
    shell = CliRunner()
    first = shell.invoke(app, ["train", str(people), "--out", out, *flags.split(), "--until", "1"])
    assert first.exit_code == 0, first.output
    assert read_checkpoint(tmp_path / "run").step == 1
    other = shell.invoke(app, ["train", str(people), "--out", out, "--resume", "--dim", "64"])
    assert isinstance(other.exception, Refused)
    assert "--dim 32 (now 64)" in str(other.exception)
    second = shell.invoke(app, ["train", str(people), "--out", out, "--resume"])
    assert second.exit_code == 0, second.output
    assert read_checkpoint(tmp_path / "run").step == 4
    (tmp_path / "run" / "report.html").unlink()
    assert shell.invoke(app, ["report", out]).exit_code == 0
    assert (tmp_path / "run" / "report.html").exists()
