"""A lone picture by two cores: the same vector, one picture at a time, and none where the cores are not free."""

import os
import threading
from collections.abc import Callable
from time import perf_counter, process_time, sleep

import numpy as np
import pytest

from service.config import Settings
from service.embedding.lone import REST, SLOW, Lone, spare_core
from service.embedding.onnx_model import OnnxModel
from tests.pictures import person

PATIENCE_S = 20
IMAGE = np.zeros((1, 2, 2, 3), np.uint8)
VECTOR = np.ones((1, 4), np.float32)

needs_two = pytest.mark.skipif(spare_core() is None, reason="this process has one core")


@pytest.fixture
def two_cores(monkeypatch: pytest.MonkeyPatch) -> list[set[int]]:
    """A machine of cores 0 and 1, and each choice of cores that is made there."""
    chosen: list[set[int]] = []
    monkeypatch.setattr(os, "sched_getaffinity", lambda whom: {0, 1} if whom == 0 else pytest.fail("not this thread"))
    monkeypatch.setattr(os, "sched_setaffinity", lambda whom, cores: chosen.append(set(cores)))
    return chosen


def lone(run: Callable[[np.ndarray], np.ndarray] = lambda images: VECTOR) -> Lone:
    return Lone(run, core=1)


def taking(seconds: float) -> Callable[[np.ndarray], np.ndarray]:
    def run(images: np.ndarray) -> np.ndarray:
        sleep(seconds)
        return VECTOR

    return run


def test_the_callers_thread_stays_off_the_others_core_while_a_picture_is_in_hand(two_cores: list[set[int]]) -> None:
    seen: list[list[set[int]]] = []

    def run(images: np.ndarray) -> np.ndarray:
        seen.append(list(two_cores))
        return VECTOR

    assert lone(run).run(IMAGE) is VECTOR
    assert seen == [[{0}]]
    assert two_cores == [{0}, {0, 1}]


def test_the_callers_thread_has_its_cores_back_after_a_failure_and_the_next_picture_is_taken(
    two_cores: list[set[int]],
) -> None:
    def run(images: np.ndarray) -> np.ndarray:
        raise RuntimeError("broken")

    broken = lone(run)
    for _ in range(2):
        with pytest.raises(RuntimeError, match="broken"):
            broken.run(IMAGE)
    assert two_cores == [{0}, {0, 1}] * 2


def test_a_second_picture_at_the_same_time_is_left_to_one_thread(two_cores: list[set[int]]) -> None:
    begun, go_on = threading.Event(), threading.Event()

    def run(images: np.ndarray) -> np.ndarray:
        begun.set()
        assert go_on.wait(PATIENCE_S)
        return VECTOR

    one = lone(run)
    found: list[np.ndarray | None] = []
    first = threading.Thread(target=lambda: found.append(one.run(IMAGE)))
    first.start()
    assert begun.wait(PATIENCE_S)
    assert one.run(IMAGE) is None
    go_on.set()
    first.join()
    assert found[0] is VECTOR
    assert one.run(IMAGE) is VECTOR


def rests(one: Lone) -> int:
    """How many pictures are left to one thread, before one is taken."""
    left = 0
    while one.run(IMAGE) is None:
        left += 1
    return left


def test_where_it_takes_long_ever_more_of_the_next_pictures_are_left_to_one_thread(two_cores: list[set[int]]) -> None:
    seconds = [0.0]
    one = lone(lambda images: taking(seconds[0])(images))
    one.learn(taking(0.02), IMAGE)
    seconds[0] = 2 * 0.02 * SLOW
    assert [rests(one) for _ in range(11)] == [0, 1, 2, 4, 8, 16, 32, 64, 128, REST, REST]
    seconds[0] = 0.0
    assert [rests(one) for _ in range(9)] == [REST] + 8 * [0]
    seconds[0] = 2 * 0.02 * SLOW
    assert [rests(one) for _ in range(3)] == [0, 1, 2], "what was slow a while ago counts no more"


def test_a_way_that_is_no_faster_rests_before_it_is_taken(two_cores: list[set[int]]) -> None:
    seconds = [0.02]
    one = lone(lambda images: taking(seconds[0])(images))
    one.learn(taking(0.001), IMAGE)
    seconds[0] = 0.0
    assert all(one.run(IMAGE) is None for _ in range(REST))
    assert one.run(IMAGE) is VECTOR
    one.learn(taking(0.02), IMAGE)
    assert one.run(IMAGE) is VECTOR


def test_where_a_thread_may_not_choose_its_cores_it_does_not_try(
    two_cores: list[set[int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(whom: int, cores: set[int]) -> None:
        raise PermissionError("Operation not permitted")

    monkeypatch.setattr(os, "sched_setaffinity", refuse)
    one = lone()
    one.learn(lambda images: VECTOR, IMAGE)
    assert all(one.run(IMAGE) is None for _ in range(2 * REST + 2))


def test_a_vector_is_not_lost_where_the_cores_change_meanwhile(
    two_cores: list[set[int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse_both(whom: int, cores: set[int]) -> None:
        if cores == {0, 1}:
            raise OSError("Invalid argument")

    monkeypatch.setattr(os, "sched_setaffinity", refuse_both)
    assert lone().run(IMAGE) is VECTOR


@pytest.mark.parametrize("cores", [{1}, {0}, {0, 2}])
def test_a_core_that_is_not_ours_any_more_is_left_alone(cores: set[int], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda whom: cores)
    monkeypatch.setattr(os, "sched_setaffinity", lambda whom, cores: pytest.fail("nothing to choose"))
    assert lone().run(IMAGE) is None


def test_one_core_has_none_to_spare(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda whom: {3, 5})
    assert spare_core() == 5
    monkeypatch.setattr(os, "sched_getaffinity", lambda whom: {3})
    assert spare_core() is None


def opened(monkeypatch: pytest.MonkeyPatch) -> tuple[OnnxModel, Lone]:
    """The network with both ways, whichever is faster while other tests run."""
    monkeypatch.setattr(Lone, "learn", lambda self, alone, images: None)
    network = OnnxModel(Settings().model_dir, provider="cpu", threads=2)
    assert network._lone is not None
    return network, network._lone


@needs_two
def test_the_network_gives_a_lone_picture_to_both_cores_only_where_they_are_said_to_be_free(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    network, inner = opened(monkeypatch)
    shared: list[np.ndarray | None] = []

    def run(images: np.ndarray) -> np.ndarray | None:
        shared.append(Lone.run(inner, images))
        return shared[-1]

    monkeypatch.setattr(inner, "run", run)
    cores = os.sched_getaffinity(0)
    images = np.stack([network.prepare(person(seed)) for seed in range(2)])
    by_one = network.run(images)
    for threads in (None, 1):
        network.run(images[:1], threads)
    network.run(images, 2)
    assert shared == []
    found = network.run(images[:1], 2)
    assert np.abs(found - by_one[:1]).max() < 1e-4
    assert shared[0] is found
    assert os.sched_getaffinity(0) == cores


@needs_two
def test_the_second_thread_does_not_spin_once_a_picture_is_done(monkeypatch: pytest.MonkeyPatch) -> None:
    network, inner = opened(monkeypatch)
    image = network.prepare(person(1))[None]
    slept = spun = 0.0
    for _ in range(30):
        assert inner.run(image) is not None
        began, before = perf_counter(), process_time()
        sleep(0.005)
        slept, spun = slept + perf_counter() - began, spun + process_time() - before
    assert spun < slept / 20


def test_one_thread_or_none_to_spare_opens_no_second_session(monkeypatch: pytest.MonkeyPatch) -> None:
    assert OnnxModel(Settings().model_dir, provider="cpu", threads=1)._lone is None
    monkeypatch.setattr("service.embedding.onnx_model.spare_core", lambda: None)
    network = OnnxModel(Settings().model_dir, provider="cpu", threads=2)
    assert network._lone is None
    assert network.run(network.prepare(person(1))[None], 2).shape == (1, network.manifest.output.dim)
