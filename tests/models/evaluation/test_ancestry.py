"""What a network had learned from is followed back as far as it is known, and what is not known may be photographs."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from models.errors import Refused
from models.evaluation.ancestry import (
    ONLY_DRAWN,
    Start,
    check_same_start,
    note_start,
    read_start_of,
    saw_only_drawn,
    says_only_drawn,
)
from models.evaluation.trained import check_strange
from models.runs import Record, write_record

DEFAULT = Path(__file__).parents[3] / "models" / "default"


def leave(folder: Path, content: bytes = b"weights", **flags: Any) -> Path:
    """A run by what it was trained on and began from, with a file of weights."""
    folder.mkdir(exist_ok=True)
    (folder / "best.pt").write_bytes(content)
    told = {"data": "people", "identities": 9, "seed": 1, **flags}
    noted = note_start(told.get("start", ""))
    record = Record(told, {}, identities=5, parameters=1, commit="", environment={}, origin=noted)
    record.scores.append((10, "street", 0.1, 0.2, 0.3))
    write_record(folder, record)
    return folder


def test_photographs_are_remembered_over_any_number_of_trainings_on_drawn_people(tmp_path: Path) -> None:
    real = leave(tmp_path / "a", data="shop")
    second = leave(tmp_path / "b", start=str(real))
    third = leave(tmp_path / "c", start=str(second))
    drawn = leave(tmp_path / "d", start=str(leave(tmp_path / "e")))
    assert [read_start_of(one).only_drawn for one in (real, second, third, drawn)] == [False, False, False, True]
    start = read_start_of(third)
    assert (start.name, start.learned_from, start.identities, start.steps) == ("run c", "synthetic people", 9, 10)
    assert (read_start_of(real).learned_from, read_start_of(real).identities) == ("shop", 5)
    assert not saw_only_drawn({"data": "people", "weights": "osnet.pth"}, {})
    assert not saw_only_drawn({"data": "people", "start": str(tmp_path / "gone")}, {})


def test_a_run_knows_what_it_began_from_when_another_network_lies_there_later(tmp_path: Path) -> None:
    leave(tmp_path / "a", data="shop")
    run = leave(tmp_path / "b", start=str(tmp_path / "a"))
    leave(tmp_path / "a")
    assert not read_start_of(run).only_drawn


def test_an_exported_file_says_it_of_all_that_went_before() -> None:
    assert read_start_of(DEFAULT).only_drawn
    drawn = {"reappear.trained_on": "synthetic people"}
    assert says_only_drawn(drawn)
    assert not says_only_drawn(drawn | {ONLY_DRAWN: "False"})
    assert not says_only_drawn(drawn | {"reappear.started_from": "base"})
    assert says_only_drawn(drawn | {"reappear.started_from": "base", ONLY_DRAWN: "True"})
    assert not says_only_drawn({})


def test_what_alike_was_told_by_must_be_there_again(tmp_path: Path) -> None:
    start = leave(tmp_path / "start")
    grouped, alone = (
        Record(
            {"start": str(start), "alike": alike}, {}, 5, parameters=1, commit="", environment={},
            origin=note_start(str(start)),
        )
        for alike in (8, 0)
    )  # fmt: skip
    check_same_start(tmp_path / "run", grouped)
    leave(tmp_path / "start", content=b"others")
    check_same_start(tmp_path / "run", alone)
    with pytest.raises(Refused, match=r"start: .*run began from other weights, .* put those back"):
        check_same_start(tmp_path / "run", grouped)


def test_a_run_that_may_have_seen_those_to_judge_by_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    judged = [tmp_path / "a.png"]
    for run in (leave(tmp_path / "own"), leave(tmp_path / "on", start=str(tmp_path / "own"))):
        check_strange(run, judged, "set", "nothing")
    assert capsys.readouterr().err == ""
    for run in (leave(tmp_path / "given", weights="w.pth"), leave(tmp_path / "from", start="gone")):
        check_strange(run, judged, "set", "nothing")
        assert "did not note what it was trained on" in capsys.readouterr().err


def test_a_start_that_says_nothing_is_told_by_its_name_alone(tmp_path: Path) -> None:
    assert note_start("") == {}
    assert note_start(str(tmp_path / "gone")) == asdict(Start("gone"))
    assert "of which it is not known" in read_start_of(tmp_path / "gone").in_words()
