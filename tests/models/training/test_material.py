"""What a training is judged by: people it does not know, each picture of them once."""

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from models.data.images import load
from models.errors import Refused
from models.evaluation.features import Model, extract, model_of
from models.evaluation.metrics import score
from models.runs import load_run, read_record
from models.training.material import ValidationSet, gather, judge_set
from models.training.train import train
from service.images.decode import Size
from tests.models.folders import write_market
from tests.models.tiny import TINY, make_folder


@pytest.mark.parametrize("elsewhere", [False, True])
def test_nobody_is_held_out_of_a_fine_tuning_whom_the_run_it_starts_from_was_trained_on(
    run: Path, people: Path, elsewhere: bool, tmp_path: Path
) -> None:
    flags = replace(TINY, data=str(people), start=str(run), steps=1, note_every=1)
    train(flags, tmp_path / "same")  # the same people are held out again
    if elsewhere:
        mine = make_folder(tmp_path / "mine", people=6, first=50)
        flags = replace(flags, data=str(mine), validate=str(people))
    else:
        flags = replace(flags, seed=TINY.seed + 2)
    with pytest.raises(Refused, match=r"was trained on \d+ of the \d+ pictures to judge by, such as .*png.*--hold-out"):
        train(flags, tmp_path / "other")
    assert not (tmp_path / "other").exists()


def test_a_picture_that_is_query_and_in_the_gallery_is_read_and_described_once(
    run: Path, people: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read, described = list[Path](), list[int]()

    def load_one(path: Path, least: Size) -> np.ndarray:
        read.append(path)
        return load(path, least)

    def describe(model: Model, images: list[np.ndarray]) -> np.ndarray:
        described.append(len(images))
        return extract(model, images)

    monkeypatch.setattr("models.training.material.load", load_one)
    monkeypatch.setattr("models.training.material.extract", describe)
    (own,) = gather(replace(TINY, data=str(people), watched=0)).validation
    assert (len(own.query), len(own.gallery)) == (4, 8)
    assert len(read) == len(set(read)) == 16, "8 of the training and as many that were held out"
    scores = judge_set(load_run(run), own, "cpu")
    assert described == [8]
    vectors = extract(model_of(load_run(run), "run"), [one.image for one in own.gallery])
    ids, cameras = (np.array([getattr(one, what) for one in own.gallery]) for what in ("identity", "camera"))
    asked = [k for k, one in enumerate(own.gallery) if any(one is query for query in own.query)]
    expected = score(1 - vectors[asked] @ vectors.T, ids[asked], cameras[asked], ids, cameras)
    assert (scores.mean_ap, scores.queries) == (pytest.approx(expected.mean_ap), 4)


def test_the_training_score_is_made_of_pictures_of_several_cameras(tmp_path: Path) -> None:
    tracks = make_folder(tmp_path / "tracks", people=8, cameras=2, shots=9)
    for path in sorted(tracks.glob("*/c?_[3-8].png")):
        if path.parent.name in ("p00", "p01", "p02"):
            path.unlink()
    judged = make_folder(tmp_path / "judged", people=2, cameras=3, shots=2, first=50)
    seen = gather(replace(TINY, data=str(tracks), hold_out=0.0, validate=str(judged))).train.gallery
    for person in {one.identity for one in seen}:
        assert sorted(one.camera for one in seen if one.identity == person) == [0, 0, 0, 1, 1, 1]


def test_a_network_that_knows_nobody_has_the_same_figures_on_people_to_train_on_and_on_others(tmp_path: Path) -> None:
    folder = make_folder(tmp_path / "many", people=40, cameras=2, shots=2)
    material = gather(replace(TINY, data=str(folder), watched=0))
    (own,) = material.validation
    sizes = [
        (len(one.query), len(one.gallery), len({shown.identity for shown in one.gallery}))
        for one in (own, material.train)
    ]
    assert sizes[0] == sizes[1]
    rng = np.random.default_rng(0)

    def guess(judged: ValidationSet) -> float:
        labels = [np.array([getattr(one, what) for one in part]) for part in (judged.query, judged.gallery)
                  for what in ("identity", "camera")]  # fmt: skip
        shape = len(judged.query), len(judged.gallery)
        return float(np.mean([score(rng.random(shape), *labels).mean_ap for _ in range(50)]))

    assert guess(material.train) == pytest.approx(guess(own), abs=0.03)


def test_a_picture_of_the_training_under_another_name_in_the_gallery_is_refused(tmp_path: Path) -> None:
    market = write_market(tmp_path / "market")
    shutil.copy(
        market / "bounding_box_train" / "0001_c1s1_000001_00.png",
        market / "bounding_box_test" / "0005_c3s1_000001_00.png",
    )
    with pytest.raises(Refused, match=r"0005_c3s1.*is the same picture as .*0001_c1s1.*check-data"):
        gather(replace(TINY, data=str(market)))


def test_pictures_of_one_camera_only_are_trained_on_and_that_is_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = make_folder(tmp_path / "one", people=8, cameras=1, shots=4)
    train(replace(TINY, data=str(folder), steps=1), tmp_path / "run")
    assert "nobody was seen by two cameras" in capsys.readouterr().out
    assert not read_record(tmp_path / "run").across
    assert "Nobody was seen by two cameras" in (tmp_path / "run" / "report.html").read_text()


def test_who_is_not_asked_for_stands_in_the_gallery_and_one_person_alone_is_refused(tmp_path: Path) -> None:
    mixed = make_folder(tmp_path / "mixed", people=6)
    judged = make_folder(tmp_path / "judged", people=1, first=50)
    make_folder(judged, people=3, first=60, cameras=1)
    flags = replace(TINY, data=str(mixed), hold_out=0.0, validate=str(judged), watched=0)
    (validation,) = gather(flags).validation
    assert {one.identity for one in validation.query} == {1}
    assert {one.identity for one in validation.gallery} == {1, 2, 3, 4}
    for path in judged.glob("p6?"):
        shutil.rmtree(path)
    with pytest.raises(Refused, match="one person in it"):
        gather(flags)
