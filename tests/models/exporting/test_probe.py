"""The probe finds the right way to feed an outside network, and names each of the mistakes that raise no error."""

from pathlib import Path

import numpy as np
import pytest
from onnx import TensorProto

from models.errors import Refused
from models.evaluation.exam import Exam, read_exam
from models.exporting.probe import (
    Told,
    Trial,
    choose,
    find_fault,
    find_layout,
    find_size,
    is_better,
    must_run_alone,
    normalises_inside,
    try_ways,
    ways,
)
from models.exporting.surgery import Feeding, Foreign, read_foreign
from tests.models.foreign import DEVIATION, HEIGHT, MEAN, WIDTH, Made, draw_set, write

SIZE = (HEIGHT, WIDTH)
RIGHT = Feeding(mean=MEAN, deviation=DEVIATION)


@pytest.fixture(scope="module")
def exam(tmp_path_factory: pytest.TempPathFactory) -> Exam:
    return read_exam(str(draw_set(tmp_path_factory.mktemp("probe") / "people")))


@pytest.fixture
def make(tmp_path: Path):  # type: ignore[no-untyped-def]
    def foreign(made: Made) -> Foreign:
        return read_foreign(write(made, tmp_path))

    return foreign


def trials(foreign: Foreign, exam: Exam, told: Told) -> list[Trial]:
    found = ways(foreign, find_layout(foreign, told.layout), told)
    return try_ways(foreign, found, SIZE, exam, alone=foreign.shape[0] is not None)


@pytest.mark.parametrize(
    ("made", "right"),
    [
        (Made(), RIGHT),
        (Made(colour="bgr"), Feeding(colour="bgr", mean=MEAN[::-1], deviation=DEVIATION[::-1])),
        (Made(inside="0-1"), Feeding()),
        (Made(inside="0-255"), Feeding(range="0-255")),
        (Made(inside="0-255", layout="nhwc", colour="bgr"), Feeding("nhwc", "bgr", "0-255")),
        (Made(element=TensorProto.UINT8, inside="0-255", colour="bgr"), Feeding("nchw", "bgr", "0-255")),
        (Made(batch=1, baked="squeeze"), RIGHT),
    ],
    ids=str,
)
def test_the_way_a_network_was_trained_is_found_without_being_told(made: Made, right: Feeding, make, exam) -> None:  # type: ignore[no-untyped-def]
    found = trials(make(made), exam, Told())
    best = choose(found, Told(), as_told=False)
    assert best.feeding == right
    others = [one for one in found if one is not best]
    assert all(is_better(best, one) for one in others if not one.fault), "the wrong ways are clearly worse"


@pytest.mark.parametrize(
    ("made", "told", "word"),
    [
        (Made(), Told(colour="bgr"), "the colours are in RGB order"),
        (Made(colour="bgr"), Told(None, "rgb", "0-1", MEAN, DEVIATION), "the colours are in BGR order"),
        (Made(inside="0-1"), Told(mean=MEAN, deviation=DEVIATION), "normalised twice"),
        (Made(), Told(range="0-255", mean=MEAN, deviation=DEVIATION), "pixels range over 0-1"),
        (Made(), Told(mean=(0.0, 0.0, 0.0), deviation=(1.0, 1.0, 1.0)), "mean and std are others"),
    ],
    ids=lambda one: str(one),
)
def test_a_setting_that_is_clearly_worse_is_refused_with_the_likely_right_one(  # type: ignore[no-untyped-def]
    made: Made, told: Told, word: str, make, exam: Exam
) -> None:
    found = trials(make(made), exam, told)
    with pytest.raises(Refused, match=r"on the same pictures|likely right") as refusal:
        choose(found, told, as_told=False)
    assert word in str(refusal.value)
    best = choose(found, Told(), as_told=False)
    assert best.feeding.flags in str(refusal.value)
    assert told.fits(choose(found, told, as_told=True).feeding)


def test_settings_that_are_right_are_taken_and_unusual_ones_are_possible(make, exam: Exam) -> None:  # type: ignore[no-untyped-def]
    told = Told("nchw", "rgb", "0-1", MEAN, DEVIATION)
    assert choose(trials(make(Made()), exam, told), told, as_told=False).feeding == RIGHT
    near = Told(mean=(0.48, 0.46, 0.41), deviation=(0.23, 0.22, 0.23))
    chosen = choose(trials(make(Made()), exam, near), near, as_told=False)
    assert chosen.feeding == Feeding("nchw", "rgb", "0-1", (0.48, 0.46, 0.41), (0.23, 0.22, 0.23))


@pytest.mark.parametrize(
    ("made", "word"),
    [
        (Made(wrong="constant"), "the same vector"),
        (Made(wrong="nan"), "not finite"),
        (Made(dim=15), "a vector of 15 numbers, 16 are needed"),
    ],
)
def test_a_network_that_tells_nothing_apart_is_refused_however_it_is_fed(made: Made, word: str, make, exam) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(Refused, match=rf"{word}, however the pictures are fed"):
        choose(trials(make(made), exam, Told()), Told(), as_told=False)


def test_vectors_that_are_of_no_use_are_told_by_their_fault() -> None:
    good = np.eye(3, dtype=np.float32)
    assert find_fault(good) == ""
    assert "not finite" in find_fault(np.where(good > 0, np.nan, good))
    assert "zeros" in find_fault(good * [[1], [1], [0]])
    assert "same vector" in find_fault(np.repeat(good[:1], 3, axis=0))


@pytest.mark.parametrize(
    ("made", "word"),
    [
        (Made(), ""),
        (Made(batch=1), ""),
        (Made(batch=1, baked="reshape"), ""),
        (Made(batch=1, baked="squeeze"), "fixed inside"),
        (Made(baked="squeeze"), "fixed inside"),
        (Made(baked="reshape"), "fixed inside"),
        (Made(wrong="neighbours"), "depend on the other pictures"),
        (Made(output="squeezed"), "lost the batch"),
        (Made(wrong="nan"), ""),
    ],
    ids=str,
)
def test_a_network_that_must_see_one_picture_at_a_time_is_found(made: Made, word: str, make, exam: Exam) -> None:  # type: ignore[no-untyped-def]
    foreign = make(made)
    reason = must_run_alone(foreign, ways(foreign, "nchw", Told()), SIZE, exam)
    assert (word in reason) if word else reason == ""


def test_arithmetic_before_the_first_layer_is_seen(make) -> None:  # type: ignore[no-untyped-def]
    assert normalises_inside(make(Made())) == []
    assert normalises_inside(make(Made(inside="0-255", layout="nhwc"))) == ["Sub", "Div"]


def test_the_layout_is_where_the_colours_stand(make) -> None:  # type: ignore[no-untyped-def]
    assert find_layout(make(Made()), None) == "nchw"
    nhwc = make(Made(layout="nhwc"))
    assert find_layout(nhwc, None) == "nhwc"
    with pytest.raises(Refused, match="which is not nchw; leave --layout out, or say nhwc"):
        find_layout(nhwc, "nchw")
    free = Foreign(nhwc.model, nhwc.put, nhwc.got, nhwc.element, (None,) * 4)
    with pytest.raises(Refused, match="any × any × any × any, which may be nchw or nhwc; say which with --layout"):
        find_layout(free, None)
    assert find_layout(free, "nhwc") == "nhwc"
    grey = Foreign(nhwc.model, nhwc.put, nhwc.got, nhwc.element, (None, 1, HEIGHT, WIDTH))
    with pytest.raises(Refused, match="any × 1 × 48 × 24; 3 colours are needed"):
        find_layout(grey, None)


def test_the_size_is_the_graphs_or_must_be_told(make) -> None:  # type: ignore[no-untyped-def]
    fixed, free = make(Made()), make(Made(size=(None, None)))
    assert find_size(fixed, "nchw", None) == find_size(fixed, "nchw", SIZE) == SIZE
    with pytest.raises(Refused, match=r"takes 48x24 pixels, --size says 24x48 \(height first\)"):
        find_size(fixed, "nchw", (24, 48))
    assert find_size(free, "nchw", (96, 48)) == (96, 48)
    with pytest.raises(Refused, match="HEIGHTxWIDTH"):
        find_size(free, "nchw", None)


def test_arithmetic_on_bytes_is_refused(make) -> None:  # type: ignore[no-untyped-def]
    raw = make(Made(element=TensorProto.UINT8, inside="0-255"))
    with pytest.raises(Refused, match="takes uint8"):
        ways(raw, "nchw", Told(mean=MEAN))


def test_a_small_difference_or_one_by_chance_is_none() -> None:
    def trial(*precisions: float) -> Trial:
        return Trial(RIGHT, mean_ap=float(np.mean(precisions)), precisions=precisions)

    assert not is_better(trial(*[0.51] * 20), trial(*[0.5] * 20)), "too small"
    assert not is_better(trial(1, 0, 1, 0.5), trial(0, 1, 0, 0.5)), "too few to tell"
    assert is_better(trial(*[0.6] * 20), trial(*[0.5] * 20))
