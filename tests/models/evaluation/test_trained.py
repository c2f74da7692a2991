"""Nobody whom a run was trained on is judged by as a stranger, wherever the pictures lie."""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from models.__main__ import app
from models.data.reading import read_set
from models.errors import NotFinite, Refused
from models.evaluation.trained import (
    check_strange,
    digest_all,
    division_of,
    find_same,
    is_trained_on,
    note_pictures,
    read_exam_of,
    read_trained,
)
from models.runs import read_record, write_record
from models.training.train import train
from tests.models.tiny import TINY, make_folder


def read_own(people: Path) -> list[Path]:
    found = read_set(people, share=TINY.hold_out, seed=TINY.seed)
    return [one.path for one in found.train]


def test_a_run_notes_where_its_pictures_lay_and_what_they_were(run: Path, people: Path) -> None:
    assert read_record(run).data == str(people.resolve())
    known = read_trained(run)
    assert known is not None
    assert (len(known.own), known.before) == (24, frozenset())
    assert (run / "trained_on.txt").stat().st_size == 24 * 17


def test_its_own_folder_is_known_by_name_from_anywhere_and_by_its_pictures_when_it_was_moved(
    run: Path, people: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(people.parent)
    record = replace(read_record(run), flags=read_record(run).flags | {"data": "eight"})
    (tmp_path / "run").mkdir()
    write_record(tmp_path / "run", record)
    monkeypatch.chdir(tmp_path)
    copy = Path(shutil.copytree(people, tmp_path / "moved"))
    for one, data in ((tmp_path / "run", people), (run, copy)):
        found = division_of(one, data)
        assert found is not None
        assert (found.share, found.seed) == (TINY.hold_out, TINY.seed)
        exam = read_exam_of(one, str(data))
        assert len(exam.queries) == 4, "those of two people who were held out"
        assert len(exam.train) == 24
    assert division_of(run, make_folder(tmp_path / "other", people=9)) is None


def test_a_table_of_the_same_pictures_under_other_names_is_refused(run: Path, people: Path, tmp_path: Path) -> None:
    lines = ["path,identity,camera"]
    for k, path in enumerate(sorted(people.rglob("*.png"))):
        shutil.copy(path, tmp_path / f"{k}.png")
        lines.append(f"{k}.png,somebody {path.parent.name},{path.name[1]}")
    table = tmp_path / "table.csv"
    table.write_text("\n".join(lines))
    with pytest.raises(Refused, match=r"table\.csv: .* was trained on 24 of the 32 pictures to judge by, such as"):
        read_exam_of(run, str(table))
    assert len(read_exam_of(run, str(table), anyway=True).images) == 32
    assert len(read_exam_of(None, str(table)).images) == 32


def test_a_picture_that_two_people_of_the_trainings_folder_share_is_refused_with_the_way_to_find_it(
    run: Path, people: Path, tmp_path: Path
) -> None:
    mine, out = Path(shutil.copytree(people, tmp_path / "mine")), Path(shutil.copytree(run, tmp_path / "run"))
    write_record(out, replace(read_record(run), data=str(mine)))
    held_out = read_exam_of(out, str(mine)).paths[0]
    shutil.copy(read_own(mine)[0], held_out)
    with pytest.raises(Refused, match=r"was trained on 1 of the 8 .*; .*or run check-data on .*mine"):
        read_exam_of(out, str(mine))


def test_a_share_that_reaches_into_the_training_is_refused(run: Path, people: Path) -> None:
    with pytest.raises(Refused, match="was trained on"):
        read_exam_of(run, str(people), share=0.8)
    with pytest.raises(Refused, match="was trained on"):
        read_exam_of(run, str(people), share=TINY.hold_out, seed=TINY.seed + 2)


def test_other_people_are_all_judged_by(run: Path, tmp_path: Path) -> None:
    other = make_folder(tmp_path / "other", people=5, shots=3)
    for path in sorted(other.rglob("*.png")):
        path.write_bytes(path.read_bytes() + b"\0")  # other bytes of the same look
    exam = read_exam_of(run, str(other))
    assert len(exam.images) == 30
    assert not is_trained_on(run, exam)


def test_what_a_run_was_fine_tuned_from_counts_as_well(run: Path, people: Path, tmp_path: Path) -> None:
    mine = make_folder(tmp_path / "mine", people=12)
    own = sorted((mine / "p11").iterdir())
    (tmp_path / "run").mkdir()
    note_pictures(tmp_path / "run", own, run, resumed=False)
    known, first = read_trained(tmp_path / "run"), read_trained(run)
    assert known is not None
    assert first is not None
    assert (len(known.own), known.before) == (4, first.own)
    record = read_record(run)
    write_record(tmp_path / "run", replace(record, data=str(mine)))
    with pytest.raises(Refused, match="was trained on 24 of the 32"):
        read_exam_of(tmp_path / "run", str(people))


def test_a_run_that_noted_nothing_says_so(
    run: Path, people: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_record(tmp_path, read_record(run))
    check_strange(tmp_path, read_exam_of(None, str(people)).paths, "other", "nothing")
    assert "did not note what it was trained on" in capsys.readouterr().err


def test_the_same_picture_is_found_by_its_place_and_by_its_bytes(people: Path, tmp_path: Path) -> None:
    own = read_own(people)
    other = make_folder(tmp_path / "other", people=2, shots=1)
    judged = sorted(other.rglob("*.png"))
    for path in judged:
        path.write_bytes(path.read_bytes() + b"\0")
    assert find_same(own, judged) is None
    assert find_same(own, [*judged, own[3].parent / ".." / own[3].parent.name / own[3].name]) is not None
    again = Path(shutil.copy(own[5], tmp_path / "renamed.png"))
    assert find_same(own, [*judged, again]) == (own[5], again)


def test_a_training_that_begins_anew_notes_anew_and_one_that_goes_on_must_have_the_same_pictures(
    people: Path, tmp_path: Path
) -> None:
    flags = replace(TINY, data=str(people), note_every=1)
    out = tmp_path / "run"
    with pytest.raises(NotFinite):
        train(replace(flags, rate=1e25), out)
    other = make_folder(tmp_path / "other", people=8, first=40)
    train(replace(flags, data=str(other)), out, until=1)
    known = read_trained(out)
    assert known is not None
    assert known.own.isdisjoint(digest_all(read_own(people)))
    (added,) = make_folder(tmp_path / "added", people=1, first=99, cameras=1, shots=1).rglob("*.png")
    whose = read_own(other)[0].parent
    added.rename(whose / "c1_9.png")
    with pytest.raises(Refused, match="0 of the pictures that it was trained on are gone or others, and 1 are new"):
        train(replace(flags, data=str(other)), out, resume=True)
    (whose / "c1_9.png").unlink()
    train(replace(flags, data=str(other)), out, resume=True)
    assert read_trained(out) == known


def test_an_exported_folder_says_that_it_does_not_know_its_people(
    run: Path, people: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    app(["export", str(run), "--out", str(tmp_path / "export"), "--data", str(people)], standalone_mode=False)
    capsys.readouterr()
    app(["evaluate", str(tmp_path / "export"), str(people)], standalone_mode=False)
    assert f"learned from pictures of {people.name}, and does not know of whom" in capsys.readouterr().err
    app(["evaluate", "models/default", str(people)], standalone_mode=False)
    app(["evaluate", "histogram", str(people)], standalone_mode=False)
    assert "does not know" not in capsys.readouterr().err
