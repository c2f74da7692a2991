"""The laws of P × K sampling."""

from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.data.sample import Sample
from models.data.sampler import IdentitySampler
from models.errors import Refused

PEOPLE = st.lists(st.lists(st.integers(1, 4), min_size=1, max_size=9), min_size=2, max_size=12)  # cameras of each


def draw(people: list[list[int]], per_batch: int, pictures: int, seed: int = 0) -> tuple[list[Sample], IdentitySampler]:
    samples = [
        Sample(Path(f"{who}_{k}"), 10 * who, camera) for who, seen in enumerate(people) for k, camera in enumerate(seen)
    ]
    return samples, IdentitySampler(samples, min(per_batch, len(people)), pictures, seed)


@settings(deadline=None)
@given(PEOPLE, st.integers(1, 8), st.integers(1, 6), st.integers(0, 3), st.integers(0, 40))
def test_a_batch_holds_k_pictures_of_each_of_p_people_spread_over_cameras(
    people: list[list[int]], per_batch: int, pictures: int, seed: int, step: int
) -> None:
    samples, sampler = draw(people, per_batch, pictures, seed)
    batch = sampler.batch(step)
    assert batch == draw(people, per_batch, pictures, seed)[1].batch(step)
    chosen = [[samples[index] for index in batch[k : k + pictures]] for k in range(0, len(batch), pictures)]
    assert [one[0].identity for one in chosen] == [sampler.identities[label] for label in sampler.labels(step)]
    assert len({one[0].identity for one in chosen}) == len(chosen) == sampler.people
    for one in chosen:
        seen = people[one[0].identity // 10]
        assert len({sample.identity for sample in one}) == 1
        assert len(one) == pictures
        assert len({sample.camera for sample in one}) == min(pictures, len(set(seen)))
        often = Counter(sample.path for sample in one)
        assert len(often) == min(pictures, len(seen))
        assert max(often.values()) - min(often.values()) <= 1


@settings(deadline=None)
@given(PEOPLE, st.integers(1, 8), st.integers(0, 3), st.integers(0, 3))
def test_every_identity_is_seen_once_or_twice_in_an_epoch(
    people: list[list[int]], per_batch: int, seed: int, epoch: int
) -> None:
    _, sampler = draw(people, per_batch, 2, seed)
    steps = range(epoch * sampler.steps_per_epoch, (epoch + 1) * sampler.steps_per_epoch)
    often = Counter(label for step in steps for label in sampler.labels(step))
    assert set(often) == set(range(len(people)))
    assert max(often.values()) <= 2
    assert sum(often.values()) == len(steps) * sampler.people < len(people) + sampler.people


def test_over_many_epochs_identities_and_pictures_are_seen_about_equally_often() -> None:
    _, sampler = draw([[1, 1, 2, 2]] * 10, 4, 2)
    steps = 300 * sampler.steps_per_epoch
    labels = Counter(label for step in range(steps) for label in sampler.labels(step))
    assert max(labels.values()) < 1.1 * min(labels.values())
    pictures = Counter(index for step in range(steps) for index in sampler.batch(step))
    assert len(pictures) == 40
    assert max(pictures.values()) < 1.5 * min(pictures.values())


def test_epochs_steps_and_seeds_differ() -> None:
    sampler, other = (draw([[1, 2, 3]] * 12, 4, 2, seed)[1] for seed in (0, 1))
    assert len({tuple(one.batch(step)) for one in (sampler, other) for step in range(12)}) == 24


@pytest.mark.parametrize(
    ("people", "pictures", "message"),
    [(4, 2, "there are 3 identities to train on, fewer than the 4"), (0, 2, "is empty"), (2, 0, "is empty")],
)
def test_a_batch_that_cannot_be_filled_is_refused(people: int, pictures: int, message: str) -> None:
    samples = [Sample(Path(f"{k}"), k, 1) for k in range(3)]
    with pytest.raises(Refused, match=message):
        IdentitySampler(samples, people, pictures, 0)
