"""`python -m models evaluate` from pictures to tables, files and refusals."""

import csv
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from typer.testing import CliRunner

from models.__main__ import app
from models.data.reading import read_set
from models.errors import Refused
from models.evaluation.assessment import assess
from models.evaluation.distances import Vectors, cosine_blocks
from models.evaluation.evaluate import shared_data
from models.evaluation.exam import Exam, read_exam
from models.evaluation.features import extract, open_model
from models.evaluation.graphs import count_cores
from models.evaluation.ranked import draw_row
from tests.models.folders import TINY, picture, write_flat, write_market, write_run

DEFAULT = str(Path(__file__).parents[3] / "models" / "default")


def run(*words: object) -> str:
    result = CliRunner().invoke(app, ["evaluate", *map(str, words), "--workers", "0"], env={"COLUMNS": "160"})
    if result.exception:
        raise result.exception
    return result.stdout


def describe(exam: Exam) -> tuple[Vectors, Vectors]:
    vectors = extract(open_model("histogram"), exam.images)
    return vectors[exam.queries], vectors[exam.gallery]


def figures(place: Path, *words: object) -> dict[str, Any]:
    run(*words, "--json", place / "figures.json")
    return dict(json.loads((place / "figures.json").read_text()))


def test_people_of_one_colour_each_are_all_found(tmp_path: Path) -> None:
    said = run("histogram", write_flat(tmp_path / "set", 8), "--json", tmp_path / "f.json", "--csv", tmp_path / "q.csv")
    found = json.loads((tmp_path / "f.json").read_text())
    assert (found["mean_ap"], found["cmc"]["1"], found["queries"]) == (1, 1, 16)
    assert set(found["cmc"]) == {"1", "5", "10", "20"}
    assert [point["fpr"] for point in found["tpr_at_fpr"]] == [1e-4, 1e-3, 1e-2]
    assert {one["gallery_identities"] for one in found["open_set"]} == {4}
    assert [(one["query_camera"], one["gallery_camera"]) for one in found["camera_pairs"]] == [(1, 2), (2, 1)]
    assert found["command"].startswith("python -m models")
    lines = list(csv.DictReader((tmp_path / "q.csv").read_text().splitlines()))
    assert len(lines) == 16
    assert {line["first_rank"] for line in lines} == {"1"}
    assert "rank-20" in said
    assert "by pair of cameras" in said


def test_junk_is_left_out_and_distractors_stay(tmp_path: Path) -> None:
    exam = read_exam(str(write_market(tmp_path / "market")))
    assert sorted(set(exam.labels.ids.tolist())) == [0, 5, 6, 7, 8]
    assert len(exam.gallery) == 8 + 3
    assert len(exam.images) == 8 + 8 + 3
    assert exam.own.tolist() == [-1] * 8
    assert len(exam.train) == 8


def test_synthetic_people_of_a_style_are_drawn_and_judged(tmp_path: Path) -> None:
    found = figures(tmp_path, DEFAULT, "people:street", "--identities", 4)
    assert (found["data"], found["queries"]) == ("synthetic people, street", 8)
    assert found["mean_ap"] > 0.6  # chance is about 0.3
    assert {(one["query_camera"], one["gallery_camera"]) for one in found["camera_pairs"]} == {(0, 1), (0, 2), (0, 3)}


@pytest.mark.parametrize(
    "options",
    [
        ("--flip",),
        ("--augment-database", "1,3"),
        ("--expand", "2"),
        ("--binarise", "sign"),
        ("--binarise", "round"),
        ("--rerank", "auto"),
        ("--rerank", "3,2,0.3", "--expand", "1", "--flip"),
    ],
)
def test_every_method_finds_the_people_too(tmp_path: Path, options: tuple[str, ...]) -> None:
    model = DEFAULT if "sign" in options else "histogram"  # no number of a histogram is below 0
    found = figures(tmp_path, model, write_flat(tmp_path / "set", 6, cameras=3), *options)
    assert found["mean_ap"] > 0.95
    assert [value for value in found["method"].values() if value]


def test_the_neighbourhood_follows_the_pictures_per_identity(tmp_path: Path) -> None:
    found = figures(tmp_path, "histogram", write_flat(tmp_path / "set", 4, cameras=5), "--rerank", "auto")
    assert found["method"]["rerank"] == [5, 2, 0.3]


def test_the_ranked_lists_have_green_and_red_frames(tmp_path: Path) -> None:
    run("histogram", write_market(tmp_path / "market"), "--ranked", tmp_path / "lists.png")
    sheet = np.asarray(Image.open(tmp_path / "lists.png")).reshape(-1, 3)
    for colour in ((30, 160, 60), (205, 40, 40), (40, 90, 200)):
        assert (sheet == colour).all(axis=1).sum() > 1_000
    assert not list(tmp_path.glob("*.part"))


def test_a_ranked_list_has_its_ten_ranks_though_more_crops_than_that_are_ignored(tmp_path: Path) -> None:
    place = write_flat(tmp_path / "set", 15)
    for shot in range(30):  # of the same person on the same camera, nearer than anybody else
        Image.fromarray(picture(0, 100 + shot)).save(place / f"p00_c1_{shot}.png")
    exam = read_exam(str(place))
    found = assess(cosine_blocks(*describe(exam)), exam.labels)
    assert found.ranked.shape == (len(exam.queries), 10)
    assert (found.ranked >= 0).all()
    ids, cameras = exam.labels.ids[found.ranked], exam.labels.cameras[found.ranked]
    same = (ids == exam.labels.query_ids[:, None]) & (cameras == exam.labels.query_cameras[:, None])
    assert not same.any()
    row = draw_row(0, found, exam.labels, exam.images, exam.queries, exam.gallery)
    frames = (np.asarray(row)[0, :, None] == ((30, 160, 60), (205, 40, 40))).all(-1).any(-1)
    assert np.count_nonzero(np.diff(frames.astype(int)) == 1) == 10


def test_a_gallery_of_less_than_ten_gives_a_shorter_list(tmp_path: Path) -> None:
    exam = read_exam(str(write_flat(tmp_path / "set", 3)))
    found = assess(cosine_blocks(*describe(exam)), exam.labels)
    assert ((found.ranked < 0).sum(axis=1) == 1).all()  # all six but the query itself
    run("histogram", tmp_path / "set", "--ranked", tmp_path / "lists.png")


def test_a_network_has_the_threads_asked_for_and_else_one_a_core(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_run(tmp_path / "run")
    before, found = torch.get_num_threads(), list[int]()

    def read(*_: object, **__: object) -> None:
        found.append(torch.get_num_threads())
        raise Refused("that is all that was asked")

    monkeypatch.setattr("models.evaluation.command.read_exam_of", read)
    try:
        for words in (("--threads", "1"), ("--threads", "2"), ()):
            with pytest.raises(Refused, match="that is all"):
                run(tmp_path / "run", tmp_path, *words)
    finally:
        torch.set_num_threads(before)
    assert found == [1, 2, count_cores()]


def test_files_that_cannot_be_written_are_refused_before_anything_is_judged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("models.evaluation.command.read_exam_of", lambda *_: pytest.fail("pictures were read"))
    for option in ("--json", "--csv", "--ranked"):
        with pytest.raises(Refused, match=r"missing/f cannot be written: there is no folder .*missing; make it"):
            run("histogram", tmp_path, option, tmp_path / "missing" / "f")


def test_a_run_is_judged_by_the_people_it_held_out(tmp_path: Path) -> None:
    torch.set_num_threads(1)
    data = write_flat(tmp_path / "set", 8)
    known = read_set(data, share=0.5, seed=4)  # what write_run says the run was made with
    paths = [one.path for one in known.train]
    write_run(tmp_path / "run", str(data), torch.eye(len(known.train) // 2, TINY.dim), paths)
    found = figures(tmp_path, tmp_path / "run", data)
    assert found["queries"] == len(known.query) < 16
    assert 0 <= found["classification"]["accuracy"] <= 1
    with pytest.raises(Refused, match="was trained on"):  # the same pictures, and more people
        run(tmp_path / "run", write_flat(tmp_path / "other", 9))


def test_a_classifier_is_not_asked_for_as_many_people_whom_it_never_saw(tmp_path: Path) -> None:
    torch.set_num_threads(1)
    pictures = sorted(write_flat(tmp_path / "set", 4).iterdir())
    write_run(tmp_path / "run", str(tmp_path / "set"), torch.eye(4, TINY.dim), pictures)
    other = write_market(tmp_path / "market")  # with a training part of as many people
    for path in other.rglob("*.png"):
        path.write_bytes(path.read_bytes() + b"\0")
    assert figures(tmp_path, tmp_path / "run", other)["classification"] is None
    copy = Path(shutil.copytree(tmp_path / "set", tmp_path / "copy"))
    with pytest.raises(Refused, match="was trained on 8 of the 8 pictures"):
        run(tmp_path / "run", copy, "--hold-out", 1)
    assert figures(tmp_path, tmp_path / "run", copy, "--hold-out", 1, "--anyway")["queries"] == 8


def test_the_shipped_model_beats_the_histogram_on_real_vehicles(tmp_path: Path) -> None:
    vehicles = shared_data() / "vehicle-reid" / "images" / "test"
    if not vehicles.is_dir():
        pytest.skip(f"no pictures below {shared_data()}; set REAPPEAR_SHARED_DATA to the folder with the shared data")
    network, histogram = (figures(tmp_path, model, vehicles) for model in (DEFAULT, "histogram"))
    assert network["queries"] == histogram["queries"] == 120
    assert network["mean_ap"] > histogram["mean_ap"]


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (("histogram", "/nowhere"), "/nowhere is not there"),
        (("histogram", "people:mars"), "no style mars; choose one of street"),
        (("/nowhere", "SET"), "/nowhere is not a model"),
        (("histogram", "SET", "--rerank", "20"), "give K1,K2,LAMBDA"),
        (("histogram", "SET", "--rerank", "5,9,0.3"), "give k1 ≥ k2 ≥ 1"),
        (("histogram", "SET", "--expand", "many"), "give K or K,ALPHA"),
        (("histogram", "SET", "--binarise", "half"), "choose one of sign, round"),
        (("histogram", "SET", "--device", "tpu"), "choose one of cpu, cuda"),
        (("histogram", "SET", "--enrolled", "8"), "a gallery of 8 identities cannot be drawn"),
        (("histogram", "SET", "--json", "/nowhere/f.json"), "/nowhere/f.json cannot be written"),
        (("histogram", "ONE"), "are of one camera"),
    ],
)
def test_what_cannot_be_judged_is_refused(tmp_path: Path, words: tuple[str, ...], reason: str) -> None:
    places = {"SET": write_flat(tmp_path / "set", 8), "ONE": write_flat(tmp_path / "one", 4, cameras=1)}
    with pytest.raises(Refused) as refused:
        run(*(places.get(word, word) for word in words))
    assert reason in str(refused.value)
    assert "\n" not in str(refused.value)
