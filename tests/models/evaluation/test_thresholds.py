"""Thresholds by gallery size: against plain counting, and refused where there are too few people."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from models.errors import Refused
from models.evaluation.features import open_model
from models.evaluation.thresholds import (
    Crowd,
    Threshold,
    at_fpir,
    check_sizes,
    draw_crowd,
    make_thresholds,
    search_galleries,
    thresholds,
)
from models.people.style import STREET
from service.domain import Thresholds as Limits
from service.embedding.manifest import sha256_of
from service.matching.decision import Decision, decide
from tests.models.golden import unit

Array = NDArray[Any]
DEFAULT = str(Path(__file__).parents[3] / "models" / "default")


def crowd(people: int, seed: int = 1, noise: float = 0.3) -> Crowd:
    """Random people, each with three vectors near a direction of their own."""
    rng = np.random.default_rng(seed)
    centres, others = rng.normal(size=(people, 1, 12)), rng.normal(size=(people, 12))
    crops = unit((centres + noise * rng.normal(size=(people, 3, 12))).reshape(-1, 12)).reshape(people, 3, 12)
    return Crowd(crops[:, 1:], crops[:, 0], unit(others))


def at(made: list[Threshold], gallery: int, fpir: float) -> Threshold:
    return next(one for one in made if (one.gallery, one.fpir) == (gallery, fpir))


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 1_000), st.integers(1, 9))
def test_searches_equal_comparing_everybody_with_everybody(seed: int, size: int) -> None:
    some = crowd(9, seed, noise=1.0)
    mates, strangers = search_galleries(some, size)
    used = 9 // size * size
    assert mates.identity.tolist() == list(range(used))
    for one in range(used):
        members = range(one // size * size, one // size * size + size)
        near = {who: min(1 - some.enrolled[who] @ some.mates[one]) for who in members}
        assert mates.own[one] == pytest.approx(near.pop(one))
        assert mates.other[one] == pytest.approx(min(near.values(), default=np.inf))
        assert strangers[one] == pytest.approx(
            min(min(1 - some.enrolled[who] @ some.strangers[one]) for who in members)
        )


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 1_000), st.sampled_from([0.01, 0.07, 0.1, 0.29]), st.booleans())
def test_at_most_the_share_asked_for_of_strangers_is_accepted_as_the_service_decides(
    seed: int, fpir: float, coarse: bool
) -> None:
    alike = np.random.default_rng(seed).random(1_000)
    strangers = np.sort(1 - (alike.round(4) if coarse else alike))
    similarity, _ = at_fpir(strangers, np.array([0.0]), np.array([1.0]), fpir)
    passed = [decide(float(1 - one), Limits(match=similarity, possible=similarity)) for one in strangers]
    share = passed.count(Decision.MATCH) / len(passed)
    assert fpir - 0.02 < share <= fpir
    assert similarity == round(similarity, 4)


def test_those_are_found_who_reach_the_threshold_and_are_nearest_of_all() -> None:
    strangers = np.sort(np.random.default_rng(2).random(1_000))
    _, tpir = at_fpir(strangers, np.array([0.0, 0.005, 0.5]), np.array([1.0, 0.001, 1.0]), 0.01)
    assert tpir == pytest.approx(1 / 3)  # the second is nearer to somebody else, the third too far from anybody


def test_larger_galleries_and_smaller_rates_need_higher_thresholds() -> None:
    made = make_thresholds(crowd(1_000), (10, 100, 1_000), (0.1, 0.01))
    for fpir in (0.1, 0.01):
        similarities = [at(made, gallery, fpir).similarity for gallery in (10, 100, 1_000)]
        assert similarities == sorted(similarities)
        assert len(set(similarities)) == 3
    assert at(made, 100, 0.01).similarity > at(made, 100, 0.1).similarity
    assert all(one.low < one.similarity < one.high and one.tpir_low <= one.tpir <= one.tpir_high for one in made)
    assert {(one.enrolled, one.strangers) for one in made} == {(1_000, 1_000)}


def test_intervals_hold_the_threshold_of_other_people_about_as_often_as_they_say() -> None:
    many = make_thresholds(crowd(4_000, seed=9), (20,), (0.05,))[0].similarity
    made = [make_thresholds(crowd(400, seed), (20,), (0.05,))[0] for seed in range(20)]
    assert sum(one.low <= many <= one.high for one in made) >= 15


def test_more_people_give_narrower_intervals() -> None:
    few, many = (make_thresholds(crowd(people), (50,), (0.05,))[0] for people in (300, 3_000))
    assert many.high - many.low < 0.7 * (few.high - few.low)


def test_the_same_seed_gives_the_same_thresholds() -> None:
    assert make_thresholds(crowd(200), (50,), (0.1,), seed=5) == make_thresholds(crowd(200), (50,), (0.1,), seed=5)


def test_too_few_people_for_a_gallery_or_a_rate_are_refused() -> None:
    check_sizes(10_000, (100, 1_000, 10_000), (0.01, 0.001))
    with pytest.raises(Refused, match="a gallery of 200 needs as many people, not 100"):
        check_sizes(100, (200,), (0.5,))
    with pytest.raises(Refused, match=r"an FPIR of 0\.001 cannot be told from 1000 strangers; ask for 0\.01"):
        check_sizes(1_000, (100,), (0.001,))


def test_a_rendered_crowd_is_the_same_whoever_draws_it() -> None:
    model = open_model("histogram")
    alone, helped = (draw_crowd(model, STREET, 12, workers, site=6) for workers in (0, 1))
    assert alone.enrolled.shape[:2] == (12, 2)
    assert alone.mates.shape == alone.strangers.shape == (12, alone.enrolled.shape[2])
    for part in ("enrolled", "mates", "strangers"):
        np.testing.assert_array_equal(getattr(alone, part), getattr(helped, part))
    another = draw_crowd(model, STREET, 12, 0, site=6, seed=1)
    assert not np.array_equal(alone.mates, another.mates)
    likeness = np.einsum("pcd,qd->pqc", alone.enrolled, alone.mates).max(axis=2)
    assert np.diag(likeness).mean() > likeness[~np.eye(12, dtype=bool)].mean()


def test_people_who_do_not_fill_a_site_are_refused() -> None:
    with pytest.raises(Refused, match="give a multiple of 100"):
        draw_crowd(open_model("histogram"), STREET, 150, 0)


def test_the_command_writes_its_table_with_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def draw(*_: Any, **__: Any) -> Crowd:
        return crowd(1_000)

    monkeypatch.setattr("models.evaluation.thresholds.draw_crowd", draw)  # rendering 2,000 people takes a minute
    thresholds(DEFAULT, people=1_000, gallery=[100, 1_000], fpir=[0.01], json_file=tmp_path / "t.json")
    written = json.loads((tmp_path / "t.json").read_text())
    assert [one["gallery"] for one in written["thresholds"]] == [100, 1_000]
    assert written["checksum"] == sha256_of(Path(DEFAULT) / "model.onnx")
    assert written["command"].startswith("python -m models")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["t.json"]
