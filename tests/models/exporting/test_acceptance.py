"""Figures on a given set are those of the protocol, and thresholds say what they rest on."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from models.data.sample import PictureSet, Sample
from models.errors import Refused
from models.evaluation.distances import cosine_blocks
from models.evaluation.exam import Exam, exam_of, read_exam
from models.evaluation.histogram import describe_colours
from models.evaluation.metrics import rank
from models.exporting.acceptance import (
    accept,
    check_enough,
    embed,
    examine,
    guess,
    measure_thresholds,
    precisions,
    rank_all,
    threshold,
)
from models.people.crowd import Picture
from service.embedding.onnx_model import OnnxModel
from tests.models.foreign import draw_set
from tests.models.judging import describe_by, judge

FOLDER = Path(__file__).parents[3] / "models" / "default"


@pytest.fixture(scope="module")
def people(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return draw_set(tmp_path_factory.mktemp("acceptance") / "people", identities=30)


def samples(*rows: tuple[int, int]) -> tuple[Sample, ...]:
    return tuple(Sample(Path(f"{identity}_{camera}.png"), identity, camera) for identity, camera in rows)


def make(name: str, query: tuple[Sample, ...], gallery: tuple[Sample, ...]) -> Exam:
    return exam_of(PictureSet(name, (), query, gallery))


def test_the_figures_are_those_of_the_evaluation(people: Path) -> None:
    exam = read_exam(str(people))
    vectors = embed(describe_colours, exam, "histogram")
    mine = examine(exam, vectors)
    pictures = [Picture(exam.images[k], *who) for k, who in enumerate(zip(exam.identities, exam.cameras, strict=True))]
    theirs = judge(describe_colours, pictures, query_camera=None)
    assert (mine.mean_ap, mine.rank(1), mine.queries) == (theirs.mean_ap, theirs.rank(1), 60)
    assert precisions(exam, vectors).mean() == pytest.approx(mine.mean_ap)


def test_real_vehicles_are_judged_as_in_the_evaluation(vehicles: Path) -> None:
    model = OnnxModel(FOLDER, provider="cpu", threads=1)
    exam = read_exam(str(vehicles))
    mine = rank_all(exam, embed(describe_by(model), exam, "default"))
    colours = rank_all(exam, embed(describe_colours, exam, "histogram"))
    assert mine.counted.sum() == 120
    assert accept(exam, mine, colours, at_least=0.1).mean_ap == pytest.approx(mine.ap.mean(), abs=1e-4)


def test_too_low_a_figure_is_refused_and_so_is_one_that_colours_alone_reach(people: Path) -> None:
    exam = read_exam(str(people))
    colours = rank_all(exam, embed(describe_colours, exam, "histogram"))
    noise = np.random.default_rng(0).normal(size=(len(exam.images), 8)).astype(np.float32)
    poor = rank_all(exam, noise / np.linalg.norm(noise, axis=1, keepdims=True))
    with pytest.raises(Refused, match=r"mAP 0\.900 is asked for"):
        accept(exam, poor, colours, at_least=0.9)
    with pytest.raises(Refused, match=f"histogram of colours has mAP {colours.ap.mean():.3f}"):
        accept(exam, poor, colours, at_least=0.0)
    with pytest.raises(Refused, match=r"a ranking at random has mAP 0\.0"):
        accept(exam, poor, replace(colours, ap=0 * colours.ap), at_least=0.0)


def test_a_network_that_is_better_by_chance_alone_is_refused(people: Path) -> None:
    exam = read_exam(str(people))
    colours = rank_all(exam, embed(describe_colours, exam, "histogram"))
    luck = np.where(np.arange(len(colours.ap)) == 0, 1.0, colours.ap)
    assert luck.mean() > colours.ap.mean()
    with pytest.raises(Refused, match=f"histogram of colours has mAP {colours.ap.mean():.3f}"):
        accept(exam, replace(colours, ap=luck), colours, at_least=0.0)


def test_the_average_precision_of_chance_is_what_random_rankings_have_in_the_mean() -> None:
    query = samples((1, 1), (2, 2), (3, 1))
    gallery = samples((1, 1), (1, 2), (1, 3), (2, 1), (2, 2), (0, 1), (0, 2), (3, 1))
    exam, rng = make("few", query, gallery), np.random.default_rng(0)
    drawn = [rank(rng.random((3, 8)), *exam.labels.of(slice(0, 3))).ap for _ in range(4000)]
    assert guess(exam) == pytest.approx(np.mean(drawn, axis=0), abs=0.02, nan_ok=True)


def test_a_part_has_whole_people_of_two_cameras_and_no_junk(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("models.data.images.load", lambda path, least: np.zeros((2, 1, 3), np.uint8))
    exam = make(
        "all", samples((1, 1), (2, 1), (3, 1)), samples((1, 1), (1, 2), (2, 1), (2, 3), (3, 1), (-1, 2), (0, 2), (0, 3))
    )
    part = exam.part(100)
    assert part.identities.tolist() == [1, 1, 2, 2]
    assert part.cameras.tolist() == [1, 2, 1, 3]
    part = make("many", *[samples(*[(k, camera) for k in range(1, 100) for camera in (1, 2)])] * 2).part(20)
    assert len(part.images) == 20
    assert len(set(part.identities.tolist())) == 10


def test_a_block_of_queries_at_a_time_gives_the_same_figures(people: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    exam = read_exam(str(people))
    vectors = embed(describe_colours, exam, "histogram")
    whole = examine(exam, vectors)
    shapes = list[tuple[int, ...]]()

    def blocks(queries: np.ndarray, gallery: np.ndarray) -> Iterator[np.ndarray]:
        for distances in cosine_blocks(queries, gallery, block=200):
            shapes.append(distances.shape)
            yield distances

    monkeypatch.setattr("models.exporting.acceptance.cosine_blocks", blocks)
    parts = examine(exam, vectors)
    assert max(shapes) == (3, 60)
    assert (parts.mean_ap, parts.cmc.tolist()) == (pytest.approx(whole.mean_ap), whole.cmc.tolist())


def test_a_set_without_two_people_on_two_cameras_is_refused(tmp_path: Path) -> None:
    folder = draw_set(tmp_path / "people", identities=3)
    for name in ("0001_c2.png", "0002_c2.png"):
        (folder / name).unlink()
    with pytest.raises(Refused, match="at least 2 such identities"):
        check_enough(read_exam(str(folder)), folder)
    (folder / "0000_c2.png").unlink()
    with pytest.raises(Refused):
        read_exam(str(folder))


def test_a_picture_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    folder = draw_set(tmp_path / "people", identities=3)
    (folder / "0001_c2.png").write_bytes(b"no picture")
    with pytest.raises(Refused, match=r"0001_c2\.png"):
        embed(describe_colours, read_exam(str(folder)), "histogram")


def test_thresholds_of_many_are_measured_and_hold_on_others() -> None:
    rng = np.random.default_rng(0)
    strangers = np.sort(rng.normal(0.4, 0.1, 1000))
    for fpir in (0.01, 0.1):
        value, told = threshold(strangers, fpir)
        assert told == "is measured"
        assert (strangers >= value).mean() == pytest.approx(fpir, abs=0.002)


@pytest.mark.parametrize(("count", "fpir"), [(1000, 0.01), (777, 0.1), (345, 0.07), (100, 0.29)])
def test_a_measured_threshold_is_the_smallest_that_at_most_the_share_reaches_also_where_many_are_equal(
    count: int, fpir: float
) -> None:
    alike = np.random.default_rng(count).normal(0.4, 0.1, count).astype(np.float32)
    for strangers in (np.sort(alike), np.sort(alike.round(2))):
        value, told = threshold(strangers, fpir)
        assert told == "is measured"
        exact, allowed = strangers.astype(np.float64), int(fpir * count + 1e-6)
        assert (exact >= value).sum() <= allowed < (exact > value - 1.001e-4).sum()


def test_strangers_who_are_the_equal_of_somebody_are_no_ground_for_a_threshold() -> None:
    equal = np.sort(np.append(np.linspace(0, 0.9, 90), np.ones(11)))
    with pytest.raises(Refused, match=r"more than 10\.0% of strangers have the vectors of somebody enrolled"):
        threshold(equal, 0.1)
    assert threshold(equal[1:], 0.05)[0] == 1.0, "too few to be measured: nobody but an equal is a match"


@pytest.mark.parametrize(
    ("count", "fpir", "word"), [(500, 0.01, "upper bound"), (60, 0.1, "upper bound"), (60, 0.01, "guess")]
)
def test_thresholds_of_few_err_to_the_side_of_unknown(count: int, fpir: float, word: str) -> None:
    rng = np.random.default_rng(1)
    truth = np.quantile(rng.normal(0.4, 0.1, 1_000_000), 1 - fpir)
    found = [threshold(np.sort(rng.normal(0.4, 0.1, count)), fpir) for _ in range(200)]
    assert all(word in told and "too few" in told for _, told in found)
    assert np.mean([value >= truth for value, _ in found]) >= 0.92


def test_thresholds_are_of_each_person_as_a_stranger_to_the_others() -> None:
    exam = make("two each", *[samples(*[(k, camera) for k in range(1, 5) for camera in (1, 2)])] * 2)
    vectors = np.repeat(np.eye(4, dtype=np.float32), 2, axis=0)
    found = measure_thresholds(exam, vectors)
    assert (found.identities, found.gallery) == (4, 3)
    assert found.match == found.possible == pytest.approx(0.5), "halfway between strangers, at 0, and 1"
    assert "4 identities of two each" in found.made_from
    assert "too few by far" in found.made_from
