"""The log of a search outlives a full disk, and says where it is damaged."""

from pathlib import Path

import pytest

from models.errors import Outside, Refused
from models.training.axes import read_axis
from models.training.journal import Journal
from models.training.tune import open_study
from tests.models.test_runs import files_of_at_most
from tests.models.tiny import TINY

AXES = [read_axis("rate=1e-4..1e-2:log")]


def test_a_search_goes_on_after_a_full_disk_with_all_that_was_written_whole(tmp_path: Path) -> None:
    study, log = open_study(TINY, AXES, tmp_path, "random"), tmp_path / "trials.log"
    study.tell(study.ask(), 0.5)
    size = log.stat().st_size
    with files_of_at_most(size + 20), pytest.raises(Outside, match=r"trials\.log cannot be written: .*make room.*same"):
        study.ask()
    assert log.stat().st_size == size + 20, "a line that was cut short"
    study = open_study(TINY, AXES, tmp_path, "random")
    study.tell(study.ask(), 0.25)
    assert [trial.value for trial in open_study(TINY, AXES, tmp_path, "random").trials] == [0.5, 0.25]


@pytest.mark.parametrize("damage", [b'{"op_code":0,{"op_code":1}', b"\0\0\0", b"7"])
def test_a_log_that_is_damaged_in_its_middle_is_refused_by_its_line(damage: bytes, tmp_path: Path) -> None:
    path = tmp_path / "trials.log"
    whole = b'{"op_code":0}\n'
    path.write_bytes(whole + damage + b"\n" + whole)
    with pytest.raises(Refused, match=r"trials\.log: line 2 is damaged.*--out"):
        Journal(path)
    assert path.read_bytes() == whole + damage + b"\n" + whole
