"""Pictures that are refused, before they cost anything: of other kinds, cut short, damaged, or far too large."""

import struct
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from service.domain import Box
from service.errors import (
    BadPicture,
    BoxOutside,
    CorruptPicture,
    EmptyPicture,
    Overloaded,
    PictureTooLarge,
    ReappearError,
    UnsupportedFormat,
)
from service.images import decode as decoding
from service.images.decode import PictureLimits, cut, decode
from tests.fuzz.bombs import many_scans
from tests.images.samples import LIMITS, flag, png_of, saved
from tests.pictures import encode, person


@pytest.mark.parametrize(
    ("picture", "error"),
    [
        (b"", EmptyPicture),
        (b"text", UnsupportedFormat),
        (b"\xff\xd8", UnsupportedFormat),
        (encode(flag(), "GIF"), UnsupportedFormat),
        (encode(flag(), "BMP"), UnsupportedFormat),
        (encode(flag(), "TIFF"), UnsupportedFormat),
        (encode(flag(), "ICO"), UnsupportedFormat),
        (encode(flag(), "PPM"), UnsupportedFormat),
        (b"RIFF\x24\x00\x00\x00WAVEfmt ", UnsupportedFormat),
        (b"%PDF-1.7", UnsupportedFormat),
        (b"\xff\xd8\xff", CorruptPicture),
        (b"\x89PNG\r\n\x1a\n", CorruptPicture),
        (b"RIFF\x24\x00\x00\x00WEBPVP8 ", CorruptPicture),
    ],
    ids=lambda value: repr(value[:12]) if isinstance(value, bytes) else value.__name__,
)
def test_only_jpeg_png_and_webp_are_taken(picture: bytes, error: type[ReappearError]) -> None:
    with pytest.raises(error):
        decode(picture, LIMITS)


@pytest.mark.parametrize("share", [0.05, 0.3, 0.6, 0.9, 0.98])
@pytest.mark.parametrize(
    "picture",
    [
        saved(Image.fromarray(person(1)), "JPEG"), saved(Image.fromarray(person(1)), "JPEG", progressive=True),
        saved(Image.fromarray(person(1)).convert("CMYK"), "JPEG"), saved(Image.fromarray(person(1)), "PNG"),
        saved(Image.fromarray(person(1)), "WEBP"), saved(Image.fromarray(person(1)), "WEBP", lossless=True),
    ],
    ids=["JPEG", "progressive JPEG", "CMYK JPEG", "PNG", "WebP", "lossless WebP"],
)  # fmt: skip
def test_a_picture_cut_short_is_refused_wherever_it_ends(picture: bytes, share: float) -> None:
    with pytest.raises(CorruptPicture, match="cut short"):
        decode(picture[: int(len(picture) * share)], LIMITS)


@pytest.mark.parametrize(("width", "height"), [(30_000, 30_000), (12_000, 12_000), (1001, 1000), (2**31 - 1, 1)])
def test_a_png_header_that_promises_too_many_pixels_is_refused_before_any_is_decoded(width: int, height: int) -> None:
    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    with pytest.raises(PictureTooLarge, match="1,000,000"):
        decode(png_of([(b"IHDR", head), (b"IDAT", zlib.compress(b"\0" * 99))]), LIMITS)


def test_limits_hold_for_each_format_and_allow_exactly_what_they_say() -> None:
    exact = PictureLimits(max_bytes=1_000_000, max_pixels=96 * 64)
    less = PictureLimits(max_bytes=1_000_000, max_pixels=96 * 64 - 1)
    for form in ("JPEG", "PNG", "WEBP"):
        picture = encode(flag(), form)
        assert decode(picture, exact).shape == (96, 64, 3)
        with pytest.raises(PictureTooLarge, match="64×96"):
            decode(picture, less)
        assert decode(picture, PictureLimits(len(picture), 10_000)).shape == (96, 64, 3)
        with pytest.raises(PictureTooLarge, match="bytes"):
            decode(picture, PictureLimits(len(picture) - 1, 10_000))


def test_a_text_chunk_that_unpacks_to_much_more_than_it_weighs_is_refused() -> None:
    head = struct.pack(">IIBBBBB", 1, 1, 8, 2, 0, 0, 0)
    bomb = b"comment\0\0" + zlib.compress(b"\0" * 100_000_000)
    assert len(bomb) < 200_000
    chunks = [(b"IHDR", head), (b"zTXt", bomb), (b"IDAT", zlib.compress(b"\0\1\2\3")), (b"IEND", b"")]
    with pytest.raises(CorruptPicture):
        decode(png_of(chunks), LIMITS)


EXIF = Image.Exif()
EXIF[0x0112], EXIF[0x010E] = 6, "hello"
SMALL = Image.fromarray(person(1, height=24, width=12))
SEEDS = [
    saved(SMALL, "JPEG", exif=EXIF), saved(SMALL, "JPEG", progressive=True), saved(SMALL.convert("CMYK"), "JPEG"),
    saved(SMALL, "PNG", exif=EXIF), saved(SMALL.quantize(8), "PNG", transparency=0), saved(SMALL, "WEBP", exif=EXIF),
    saved(SMALL, "WEBP", lossless=True),
]  # fmt: skip


@pytest.mark.filterwarnings("ignore::UserWarning")  # Pillow warns of what it repairs
@settings(max_examples=300, deadline=None)
@given(
    seed=st.sampled_from(SEEDS),
    changes=st.lists(st.tuples(st.floats(0, 1), st.integers(0, 255), st.integers(0, 3)), min_size=1, max_size=8),
)
def test_a_damaged_picture_is_decoded_or_refused_and_never_fails(
    seed: bytes, changes: list[tuple[float, int, int]]
) -> None:
    picture = bytearray(seed)
    for place, value, removed in changes:
        at = int(place * (len(picture) - 1))
        picture[at : at + 1 + removed] = bytes([value])
    try:
        image = decode(bytes(picture), LIMITS)
    except BadPicture:
        return
    assert image.dtype == np.uint8
    assert image.ndim == 3
    assert image.shape[2] == 3


def test_a_jpeg_of_more_scans_than_any_camera_makes_is_refused_before_it_takes_minutes() -> None:
    """3,200 scans of 42 bytes each took twelve seconds; ten megabytes of them would hold a decoder for ten minutes."""
    limits = PictureLimits(max_bytes=10_485_760, max_pixels=25_000_000)
    with pytest.raises(CorruptPicture, match="100 scans"):
        decode(many_scans(101), limits)
    assert decode(many_scans(3), limits).shape == (5000, 5000, 3)


def test_a_jpeg_of_as_many_scans_as_encoders_make_is_taken_with_scans_in_its_thumbnail_too() -> None:
    image = flag()
    progressive = encode(image, progressive=True, quality=95)
    exif = Image.Exif()
    exif[0x010E] = "thumbnail " + progressive.decode("latin-1") * 4
    picture = saved(Image.fromarray(image), "JPEG", progressive=True, exif=exif)
    assert decode(picture, LIMITS).shape == image.shape


@pytest.mark.parametrize(
    "box", [Box(60, 0, 5, 5), Box(0, 92, 5, 5), Box(-1, 0, 5, 5), Box(0, -1, 5, 5), Box(64, 0, 1, 1)]
)
def test_a_box_that_leaves_the_image_is_refused(box: Box) -> None:
    with pytest.raises(BoxOutside, match="64×96"):
        cut(flag(), box)


@pytest.mark.parametrize("size", [(1, 16_385), (16_385, 1)], ids=["wide", "high"])
def test_a_side_that_would_take_memory_out_of_all_proportion_is_refused(size: tuple[int, int]) -> None:
    with pytest.raises(PictureTooLarge, match="no side may be over 16,384"):
        decode(encode(np.zeros((*size, 3), np.uint8), "PNG"), LIMITS)


@pytest.mark.parametrize("form", ["PNG", "JPEG"])
def test_a_lack_of_memory_is_not_taken_for_damage(form: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_memory(*arguments: object, **more: object) -> None:
        raise MemoryError

    monkeypatch.setattr(decoding, "_decode_with_pillow", no_memory)
    monkeypatch.setattr(decoding, "_decode_jpeg", no_memory)
    with pytest.raises(Overloaded, match="no memory for the picture now"):
        decode(encode(flag(), form), LIMITS)
