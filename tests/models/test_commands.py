"""`python -m models ...` with bad input, end to end: status 3, one line that says what to do, nothing half-written."""

import resource
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import fields
from pathlib import Path

import pytest
import torch

from models.__main__ import app, one_line
from models.runs import option, pack, read_checkpoint, read_tensors, write_checkpoint, write_whole
from tests.models.foreign import Made, write
from tests.models.tiny import TINY, make_folder

SMALL = [
    word
    for one in fields(TINY)
    if one.name in ("people", "pictures", "steps", "height", "width", "dim", "stripes", "threads", "drawers", "watched")
    for word in (option(one.name), str(getattr(TINY, one.name)))
]
Refusal = Callable[..., str]


@pytest.fixture
def refusal(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Refusal:
    """Runs a command that must be refused, and gives the one line that it says; nothing new may be left."""

    def refuse(*words: str | Path, leaves: tuple[str, ...] = ()) -> str:
        before = listed(tmp_path)
        monkeypatch.setattr(sys, "argv", ["models", *map(str, words)])
        with pytest.raises(SystemExit) as ended:
            one_line(app)
        assert ended.value.code == 3
        said = [line for line in capsys.readouterr().err.splitlines() if line.startswith("models: ")]
        assert len(said) == 1
        left = {path for path in listed(tmp_path) - before if not path.startswith(leaves or "nothing")}
        assert left == set()
        return said[0]

    return refuse


def listed(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*")}


@contextmanager
def files_of_at_most(size: int) -> Iterator[None]:
    """The system refuses to write more than so many bytes into a file, as a full disk does."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def uses(pictures: Path, run: Path, out: Path) -> list[list[str | Path]]:
    """A command of every kind that reads pictures."""
    outside = out.parent / "outside.onnx"
    return [
        ["check-data", pictures, "--workers", "0", "--sheet", out],
        ["train", pictures, "--out", out, *SMALL],
        ["find-rate", pictures, "--out", out, *SMALL],
        ["evaluate", run, pictures, "--workers", "0", "--json", out],
        ["export", run, "--out", out, "--data", pictures],
        ["import", outside, "--out", out, "--name", "outside", "--data", pictures],
    ]


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    return write(Made(), tmp_path)


@pytest.mark.parametrize("which", range(6))
def test_a_missing_folder(which: int, run: Path, outside: Path, tmp_path: Path, refusal: Refusal) -> None:
    said = refusal(*uses(tmp_path / "nowhere", run, tmp_path / "out")[which])
    assert str(tmp_path / "nowhere") in said


@pytest.mark.parametrize("words", [["report"], ["evaluate", "histogram"], ["thresholds"], ["export", "--out", "out"]])
def test_a_missing_run_or_folder_to_judge_by(words: list[str], tmp_path: Path, refusal: Refusal) -> None:
    assert "nowhere" in refusal(*words, tmp_path / "nowhere")


@pytest.mark.parametrize("which", [0, 1, 2])
def test_an_identity_with_one_picture(which: int, run: Path, tmp_path: Path, refusal: Refusal) -> None:
    pictures = make_folder(tmp_path / "pictures", cameras=2, shots=1)
    for person in pictures.iterdir():
        (person / "c1_0.png").unlink()
    said = refusal(*uses(pictures, run, tmp_path / "out")[which])
    assert "has 1 picture(s) to train on and 2 are needed" in said
    assert "add pictures of the same person" in said


@pytest.mark.parametrize("which", [0, 3, 4, 5])
def test_one_camera_only(which: int, run: Path, outside: Path, tmp_path: Path, refusal: Refusal) -> None:
    pictures = make_folder(tmp_path / "pictures", cameras=1, shots=2)
    said = refusal(*uses(pictures, run, tmp_path / "out")[which])
    assert "one camera" in said or "two cameras" in said


@pytest.mark.parametrize("which", [1, 3, 5])
def test_an_unreadable_picture(which: int, run: Path, outside: Path, tmp_path: Path, refusal: Refusal) -> None:
    pictures = make_folder(tmp_path / "pictures", first=50)  # nobody whom the run was trained on
    broken = [person / "c0_0.png" for person in sorted(pictures.iterdir())]
    for path in broken:
        path.write_bytes(b"\x89PNG\r\n\x1a\n and nothing more")
    said = refusal(*uses(pictures, run, tmp_path / "out")[which])
    assert any(str(path) in said for path in broken)


def test_a_loss_that_is_not_finite(people: Path, tmp_path: Path, refusal: Refusal) -> None:
    fast = ["--rate", "1e30", "--optimiser", "sgd", "--warm-up", "0", "--note-every", "1"]
    said = refusal("train", people, "--out", tmp_path / "run", *SMALL, *fast, leaves=("run",))
    assert "lower --rate" in said
    assert not {"last.pt", "best.pt", "last.pt.part", "report.html"} & {
        one.name for one in (tmp_path / "run").iterdir()
    }


def test_a_full_disk_while_training(people: Path, tmp_path: Path, refusal: Refusal) -> None:
    for size in (20_000, 200_000):  # too little for what TensorBoard is told, and for weights
        run = tmp_path / f"run-{size}"
        with files_of_at_most(size):
            said = refusal("train", people, "--out", run, *SMALL, leaves=(run.name,))
        assert str(run) in said
        assert "make room for" in said
        assert "and start again" in said
        assert "--resume" not in said, "nothing was saved that could be resumed"
        assert not [path for path in run.iterdir() if path.suffix in (".pt", ".part")]


@pytest.mark.usefixtures("traced_once")
def test_a_full_disk_while_exporting_and_evaluating(run: Path, people: Path, tmp_path: Path, refusal: Refusal) -> None:
    with files_of_at_most(20_000):
        assert "nothing was written" in refusal("export", run, "--out", tmp_path / "mine", "--data", people)
    with files_of_at_most(100):
        refusal("evaluate", run, people, "--workers", "0", "--json", tmp_path / "found.json")


def test_a_checkpoint_of_another_shape(run: Path, people: Path, tmp_path: Path, refusal: Refusal) -> None:
    other = Path(shutil.copytree(run, tmp_path / "other"))
    write_whole(other / "best.pt", pack({**read_tensors(run / "best.pt"), "project.weight": torch.zeros(3, 3)}))
    for words in (
        ["evaluate", other, people, "--workers", "0"],
        ["export", other, "--out", tmp_path / "mine"],
        ["train", people, "--out", tmp_path / "finer", "--from", other, *SMALL],
    ):
        said = refusal(*words)
        assert "best.pt: not the weights of the network in run.json" in said
        assert "project.weight" in said


def test_resuming_from_a_checkpoint_of_another_shape(run: Path, people: Path, tmp_path: Path, refusal: Refusal) -> None:
    other = Path(shutil.copytree(run, tmp_path / "other"))
    checkpoint = read_checkpoint(other)
    checkpoint.network["project.weight"] = torch.zeros(3, 3)
    write_checkpoint(other, checkpoint)
    said = refusal("train", people, "--out", other, "--resume")
    assert "last.pt" in said
    assert "project.weight" in said
