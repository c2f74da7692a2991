"""The folder of a run: read back whole, written whole or not at all."""

import random
import resource
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from models.errors import Refused
from models.files import write_whole
from models.runs import (
    collect_randomness,
    load_run,
    pack,
    read_checkpoint,
    read_record,
    restore_randomness,
    write_checkpoint,
    write_record,
)


@contextmanager
def files_of_at_most(size: int) -> Iterator[None]:
    """The system refuses to write more than so many bytes into a file, as a full disk does."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_best_and_last_are_loaded_by_the_architecture_of_the_run(run: Path) -> None:
    best, last = load_run(run), load_run(run, "last")
    assert not best.training
    assert best.architecture == last.architecture
    assert best.architecture.dim == 32
    assert best(torch.zeros(1, 64, 32, 3, dtype=torch.uint8)).shape == (1, 32)


def test_the_last_network_is_the_average_where_one_was_kept(run: Path) -> None:
    checkpoint, last = read_checkpoint(run), load_run(run, "last").state_dict()
    assert torch.equal(last["project.weight"], checkpoint.average["module.project.weight"])
    assert not torch.equal(last["project.weight"], checkpoint.network["project.weight"])


def test_a_record_is_read_as_it_was_written(run: Path, tmp_path: Path) -> None:
    record = read_record(run)
    write_record(tmp_path, record)
    assert read_record(tmp_path) == record


def test_a_full_disk_is_refused_and_the_checkpoint_before_stays(run: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(run, tmp_path / "run"))
    before = (folder / "last.pt").read_bytes()
    with files_of_at_most(200_000), pytest.raises(Refused, match=r"last\.pt.*make room.*--resume"):
        write_checkpoint(folder, read_checkpoint(folder))
    assert (folder / "last.pt").read_bytes() == before
    assert not list(folder.glob("*.part"))
    with files_of_at_most(200_000), pytest.raises(Refused, match=r"make room for .* MB and start again$"):
        write_checkpoint(tmp_path, read_checkpoint(folder))


def test_weights_that_are_not_finite_are_not_saved(run: Path, tmp_path: Path) -> None:
    checkpoint = read_checkpoint(run)
    broken = {**checkpoint.network, "project.weight": torch.full((1,), torch.nan)}
    with pytest.raises(Refused, match=r"project\.weight holds NaN.*lower --rate"):
        write_checkpoint(tmp_path, replace(checkpoint, network=broken))
    assert not list(tmp_path.iterdir())


def test_a_folder_without_a_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Refused, match=r"run\.json: no such file"):
        load_run(tmp_path)
    (tmp_path / "run.json").write_text("[]")
    with pytest.raises(Refused, match="not the record of a run"):
        load_run(tmp_path)


def test_damaged_weights_and_weights_of_another_shape_are_refused(run: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(run, tmp_path / "run"))
    (folder / "best.pt").write_bytes(b"no weights")
    with pytest.raises(Refused, match=r"best\.pt: cannot be read as weights"):
        load_run(folder)
    other = {**load_run(run).state_dict(), "project.weight": torch.zeros(3, 3)}
    write_whole(folder / "best.pt", pack(other))
    with pytest.raises(Refused, match=r"best\.pt: not the weights of the network.*project\.weight"):
        load_run(folder)


def test_generators_go_on_where_they_were() -> None:
    before = collect_randomness()
    first = (torch.rand(3).tolist(), random.random(), np.random.rand())
    restore_randomness(before)
    assert (torch.rand(3).tolist(), random.random(), np.random.rand()) == first
