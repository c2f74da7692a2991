"""Batches and blocks from disk: the same bytes whoever makes them, and from whichever step."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from models.data.augment import FULL, NONE, Augmentation
from models.data.images import load
from models.data.loader import Blocks, DiskBatches, stream
from models.data.sample import Sample
from models.errors import Refused
from models.evaluation.features import Files
from service.images.preprocess import resize
from tests.models.data.made import flat
from tests.pictures import jpeg


def batches(samples: list[Sample], seed: int = 0, augmentation: Augmentation = FULL, calm: float = 1.0) -> DiskBatches:
    return DiskBatches(
        samples, people=3, pictures=2, height=32, width=16, steps=8, seed=seed, augmentation=augmentation, calm=calm
    )  # fmt: skip


@pytest.fixture(scope="module")
def samples(tmp_path_factory: pytest.TempPathFactory) -> list[Sample]:
    return flat(tmp_path_factory.mktemp("pictures"), people=7, each=3)


def same(one: list[tuple[Tensor, Tensor]], other: list[tuple[Tensor, Tensor]]) -> bool:
    return len(one) == len(other) and all(
        torch.equal(a[0], b[0]) and torch.equal(a[1], b[1]) for a, b in zip(one, other, strict=True)
    )


def test_a_batch_is_uint8_images_and_labels_of_their_identities(samples: list[Sample]) -> None:
    drawn = batches(samples, augmentation=NONE)
    images, labels = drawn[2]
    assert images.shape == (6, 32, 16, 3)
    assert (images.dtype, labels.dtype) == (torch.uint8, torch.int64)
    assert len(drawn) == 8
    for image, label in zip(images, labels, strict=True):
        own = [resize(load(one.path), 32, 16) for one in samples if one.identity == drawn.identities[int(label)]]
        assert any(np.array_equal(image.numpy(), one) for one in own)


def test_worker_processes_make_the_same_batches(samples: list[Sample]) -> None:
    assert same(list(stream(batches(samples), workers=0)), list(stream(batches(samples), workers=2)))


@pytest.mark.parametrize("workers", [0, 1])
def test_a_run_that_resumes_goes_on_as_one_that_never_stopped(samples: list[Sample], workers: int) -> None:
    straight = list(stream(batches(samples)))
    resumed = [*stream(batches(samples), last=3), *stream(batches(samples), workers, first=3)]
    assert same(straight, resumed)
    assert not same(straight, list(stream(batches(samples, seed=1))))


@pytest.mark.parametrize("workers", [0, 1])
def test_loading_leaves_the_global_generator_alone(samples: list[Sample], workers: int) -> None:
    before = torch.get_rng_state()
    next(stream(batches(samples), workers))
    assert torch.equal(before, torch.get_rng_state())


def test_augmentation_grows_to_its_full_strength(samples: list[Sample]) -> None:
    drawn = batches(samples, calm=0.25)
    strengths = [drawn.augmentation_at(step).strength for step in range(8)]
    assert strengths == pytest.approx([0.25, 0.4375, 0.625, 0.8125, 1, 1, 1, 1])


def test_blocks_are_the_pictures_in_order_whoever_reads_them(samples: list[Sample]) -> None:
    first, again = (list(stream(Blocks(Files(samples), 32, 16, block=8), workers)) for workers in (0, 2))
    assert [len(block) for block in first] == [8, 8, 5]
    assert b"".join(block.tobytes() for block in first) == b"".join(block.tobytes() for block in again)
    for image, sample in zip(np.concatenate(first), samples, strict=True):
        assert np.array_equal(image, resize(load(sample.path), 32, 16))


@pytest.mark.parametrize("workers", [0, 1])
def test_an_unreadable_picture_is_refused_in_one_line_with_its_name(tmp_path: Path, workers: int) -> None:
    samples = flat(tmp_path)
    samples[3].path.write_bytes(jpeg(1)[:200])
    with pytest.raises(Refused, match=rf"^{samples[3].path}: the picture is damaged[^\n]*$"):
        list(stream(Blocks(Files(samples), 32, 16), workers))
    samples[3].path.unlink()
    with pytest.raises(Refused, match=rf"^{samples[3].path} cannot be read: No such file[^\n]*$"):
        list(stream(batches(samples), workers))


def test_steps_and_blocks_that_are_none_have_no_item(samples: list[Sample]) -> None:
    for items in (batches(samples), Blocks(Files(samples), 32, 16)):
        for number in (-1, len(items)):
            with pytest.raises(IndexError):
                items[number]
