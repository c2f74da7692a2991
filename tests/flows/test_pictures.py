"""From bytes to what can be embedded and stored."""

import asyncio
from collections.abc import Iterator

import numpy as np
import pytest
from PIL import Image, ImageFilter

from service.domain import Box, Quality
from service.errors import PictureTooLarge
from service.flows.pictures import Opened, PictureReader, Upload
from service.images.decode import PictureLimits, decode
from service.images.preprocess import resize
from service.images.quality import judge
from tests.pictures import encode, person

LIMITS = PictureLimits(max_bytes=10_000_000, max_pixels=10_000_000)
NETWORK = (128, 64)


@pytest.fixture
def reader() -> Iterator[PictureReader]:
    reader = PictureReader(LIMITS, NETWORK, threads=1)
    yield reader
    reader.close()


def photo(height: int, width: int) -> bytes:
    """A JPEG with as little detail as a camera's."""
    softened = Image.fromarray(person(3)).resize((width, height)).filter(ImageFilter.GaussianBlur(height / 128))
    return encode(np.asarray(softened), quality=92)


@pytest.mark.parametrize("size", [(128, 64), (256, 128), (700, 333), (96, 300)])
def test_a_jpeg_is_opened_as_if_all_of_it_had_been_decoded(reader: PictureReader, size: tuple[int, int]) -> None:
    picture = photo(*size)
    (opened,) = reader.open_now([Upload(picture)])
    whole = decode(picture, LIMITS)
    assert opened.prepared.shape == (*NETWORK, 3)
    assert np.abs(opened.prepared.astype(int) - resize(whole, *NETWORK)).mean() < 3
    assert (opened.quality.height, opened.quality.width) == size
    assert opened.quality.sharpness == pytest.approx(judge(whole).sharpness, abs=0.05)
    assert opened.stored is None


def test_a_part_that_is_stored_larger_than_a_picture_may_be_is_refused() -> None:
    """Noise has no smaller PNG: a picture of its own could not be sent so large."""
    noise = encode(np.random.default_rng(1).integers(0, 256, (400, 400, 3), dtype=np.uint8), quality=20)
    small = PictureReader(PictureLimits(max_bytes=len(noise), max_pixels=1_000_000), NETWORK, threads=1)
    whole, part = (Upload(noise, box=Box(0, 0, side, side)) for side in (400, 40))
    refused, opened = asyncio.run(small.open_to_store([whole, part]))
    small.close()
    assert isinstance(refused, PictureTooLarge)
    assert "send a smaller box" in refused.detail
    assert isinstance(opened, Opened)


def test_a_box_is_cut_from_the_whole_picture(reader: PictureReader) -> None:
    picture, box = photo(800, 600), Box(100, 50, 300, 700)
    (opened,) = asyncio.run(reader.open_to_store([Upload(picture, box=box)]))
    assert isinstance(opened, Opened)
    whole = decode(picture, LIMITS)[50:750, 100:400]
    assert opened.quality == judge(whole)
    assert opened.quality == Quality(300, 700, opened.quality.sharpness)
    assert (opened.prepared == resize(whole, *NETWORK)).all()
    assert opened.stored is not None
    assert (decode(opened.stored.picture, LIMITS) == whole).all()
