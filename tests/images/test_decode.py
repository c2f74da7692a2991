"""Pictures of every kind become the same upright RGB array, as large as they must be."""

import math
import struct
import threading
import zlib
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import ExifTags, Image

import service.images.decode
from service.domain import Box, ImageArray
from service.errors import (
    CorruptPicture,
)
from service.images.decode import WHOLE, PictureLimits, cut, decode, decode_near, encode_lossless, jpeg_pixels, sniff
from service.images.preprocess import resize
from tests.images.samples import LIMITS, flag, png_of, saved
from tests.pictures import encode, person

JPEG_ERROR = 12  # mean difference in 8-bit levels that a JPEG of quality 92 may make


def difference(a: NDArray[np.uint8], b: NDArray[np.uint8]) -> float:
    assert a.shape == b.shape
    return float(np.abs(a.astype(int) - b.astype(int)).mean())


FLAG = Image.fromarray(flag())
GRAY = np.asarray(FLAG.convert("L"))


@pytest.mark.parametrize(
    ("picture", "media_type", "error"),
    [
        (saved(FLAG, "JPEG", quality=95), "image/jpeg", 4),
        (saved(FLAG, "JPEG", quality=95, progressive=True), "image/jpeg", 4),
        (saved(FLAG, "JPEG", quality=95, subsampling=2), "image/jpeg", 4),
        (saved(FLAG, "JPEG", quality=95, keep_rgb=True), "image/jpeg", 4),
        (saved(FLAG, "PNG"), "image/png", 0),
        (saved(FLAG, "PNG", interlace=1), "image/png", 0),
        (saved(FLAG.convert("RGBA"), "PNG"), "image/png", 0),
        (saved(FLAG.quantize(16), "PNG"), "image/png", 3),
        (saved(FLAG, "WEBP", quality=95), "image/webp", 6),
        (saved(FLAG, "WEBP", lossless=True), "image/webp", 0),
        (saved(FLAG.convert("RGBA"), "WEBP", lossless=True), "image/webp", 0),
        (saved(FLAG, "WEBP", lossless=True, save_all=True, append_images=[FLAG.rotate(180)]), "image/webp", 0),
        (saved(FLAG, "PNG", save_all=True, append_images=[FLAG.rotate(180)]), "image/png", 0),
        (saved(FLAG, "JPEG", quality=95) + b"what follows the picture", "image/jpeg", 4),
    ],
    ids=[
        "JPEG", "progressive JPEG", "subsampled JPEG", "RGB JPEG", "PNG", "interlaced PNG", "opaque RGBA PNG",
        "palette PNG", "WebP", "lossless WebP", "RGBA WebP", "animated WebP", "animated PNG", "JPEG and more",
    ],
)  # fmt: skip
def test_every_kind_of_picture_shows_the_same_flag(picture: bytes, media_type: str, error: float) -> None:
    image = decode(picture, LIMITS)
    assert image.dtype == np.uint8
    assert difference(image, flag()) <= error
    assert sniff(picture) == media_type


@pytest.mark.parametrize(
    ("picture", "expected", "error"),
    [
        (saved(FLAG.convert("L"), "JPEG", quality=95), GRAY, 3),
        (saved(FLAG.convert("L"), "PNG"), GRAY, 0),
        (saved(FLAG.convert("LA"), "PNG"), GRAY, 0),
        (saved(Image.fromarray(GRAY.astype(np.uint16) * 257), "PNG"), GRAY, 0),
        (saved(FLAG.convert("1", dither=Image.Dither.NONE), "PNG"), np.where(GRAY > 127, 255, 0), 0),
    ],
    ids=["JPEG", "PNG", "PNG with alpha", "16-bit PNG", "1-bit PNG"],
)
def test_a_grey_picture_has_three_equal_channels_in_its_own_brightness(
    picture: bytes, expected: NDArray[np.uint8], error: float
) -> None:
    image = decode(picture, LIMITS)
    assert (image[..., 0] == image[..., 1]).all()
    assert (image[..., 0] == image[..., 2]).all()
    assert difference(image[..., 0], expected.astype(np.uint8)) <= error


def test_a_16_bit_colour_png_keeps_its_colours() -> None:
    head = struct.pack(">IIBBBBB", 2, 1, 16, 2, 0, 0, 0)
    row = b"\x00" + struct.pack(">6H", 0xFF00, 0x8000, 0x0100, 0x0000, 0xFFFF, 0x4242)
    image = decode(png_of([(b"IHDR", head), (b"IDAT", zlib.compress(row)), (b"IEND", b"")]), LIMITS)
    assert difference(image, np.array([[[255, 128, 1], [0, 255, 66]]], np.uint8)) <= 1


def test_a_cmyk_jpeg_shows_its_colours_and_not_their_negative() -> None:
    image = decode(saved(FLAG.convert("CMYK"), "JPEG", quality=95), LIMITS)
    assert difference(image, flag()) <= JPEG_ERROR


@pytest.mark.parametrize("form", ["PNG", "WEBP"])
def test_what_is_transparent_becomes_mid_grey(form: str) -> None:
    picture = FLAG.convert("RGBA")
    alpha = np.full((96, 64), 255, np.uint8)
    alpha[:, :32] = 0
    picture.putalpha(Image.fromarray(alpha))
    image = decode(saved(picture, form, lossless=True) if form == "WEBP" else saved(picture, form), LIMITS)
    assert (image[:, :32] == 128).all()
    assert (image[:, 32:] == flag()[:, 32:]).all()


def test_large_transparent_pictures_are_decoded_one_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each takes several copies of itself."""
    at_once, most, lock = 0, 0, threading.Lock()
    plain = service.images.decode._upright

    def watched(opened: Image.Image) -> ImageArray:
        nonlocal at_once, most
        with lock:
            at_once += 1
            most = max(most, at_once)
        try:
            return plain(opened)
        finally:
            with lock:
                at_once -= 1

    monkeypatch.setattr(service.images.decode, "_upright", watched)
    picture = saved(Image.new("RGBA", (2100, 2000), (10, 20, 30, 128)), "PNG")
    limits = PictureLimits(max_bytes=10**7, max_pixels=10**7)
    with ThreadPoolExecutor(4) as threads:
        found = list(threads.map(lambda one: decode(one, limits), [picture] * 4))
    assert most == 1
    assert all((one == (69, 74, 79)).all() for one in found)


def test_half_transparent_pixels_are_blended_and_palettes_may_be_transparent() -> None:
    half = Image.new("RGBA", (4, 4), (0, 0, 0, 127))
    assert np.abs(decode(saved(half, "PNG"), LIMITS).astype(int) - 64).max() <= 1
    palette = Image.new("P", (4, 4), 1)
    palette.putpalette([250, 0, 0, 0, 250, 0])
    palette.putpixel((0, 0), 0)
    image = decode(saved(palette, "PNG", transparency=0), LIMITS)
    assert image[0, 0].tolist() == [128, 128, 128]
    assert image[1, 1].tolist() == [0, 250, 0]


@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP"])
@pytest.mark.parametrize(
    ("orientation", "stored"),
    [
        (1, flag()),
        (2, flag()[:, ::-1]),
        (3, flag()[::-1, ::-1]),
        (4, flag()[::-1]),
        (5, flag().transpose(1, 0, 2)),
        (6, np.rot90(flag())),  # the camera was turned clockwise, so the picture lies counter-clockwise
        (7, flag()[::-1, ::-1].transpose(1, 0, 2)),
        (8, np.rot90(flag(), 3)),
    ],
)
def test_a_picture_stands_upright_by_each_of_the_eight_orientations(
    orientation: int, stored: NDArray[np.uint8], form: str
) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    options = {"quality": 95} if form != "PNG" else {}
    picture = saved(Image.fromarray(np.ascontiguousarray(stored)), form, exif=exif, **options)
    assert difference(decode(picture, LIMITS), flag()) <= JPEG_ERROR


def test_a_turned_grey_or_cmyk_or_transparent_picture_stands_upright_too() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    lying = Image.fromarray(np.ascontiguousarray(np.rot90(flag())))
    assert decode(saved(lying.convert("L"), "JPEG", exif=exif), LIMITS).shape == (96, 64, 3)
    cmyk = decode(saved(lying.convert("CMYK"), "JPEG", exif=exif, quality=95), LIMITS)
    assert difference(cmyk, flag()) <= JPEG_ERROR
    assert difference(decode(saved(lying.convert("RGBA"), "PNG", exif=exif), LIMITS), flag()) == 0


def with_exif(entries: list[tuple[int, int, int, bytes]]) -> bytes:
    """A JPEG with an EXIF segment of our own making: entries of tag, kind, count and value."""
    fields = b"".join(struct.pack("<HHI4s", *entry) for entry in entries)
    segment = b"Exif\0\0II*\0\x08\0\0\0" + struct.pack("<H", len(entries)) + fields + b"\0\0\0\0"
    picture = saved(Image.fromarray(np.ascontiguousarray(np.rot90(flag()))), "JPEG", quality=95)
    return picture[:2] + b"\xff\xe1" + struct.pack(">H", len(segment) + 2) + segment + picture[2:]


LIES_ON_ITS_SIDE = (0x0112, 3, 1, b"\6\0\0\0")
ODD_TAGS = {
    "a width in bytes": (0x0100, 1, 1, b"\6\0\0\0"),
    "a width below zero": (0x0100, 6, 1, b"\xff\xff\xff\xff"),
    "a width of 64 bits": (0x0100, 16, 1, b"\6\0\0\0"),
    "a description that is a number": (0x010E, 11, 1, b"\6\0\0\0"),
    "a resolution that is a text": (0x011A, 2, 1, b"\6\0\0\0"),
    "XMP that is a number": (0x02BC, 11, 1, b"\6\0\0\0"),
}


@pytest.mark.parametrize("odd", ODD_TAGS)
def test_one_odd_exif_tag_does_not_keep_a_picture_from_standing_upright(odd: str) -> None:
    entries = sorted([LIES_ON_ITS_SIDE, ODD_TAGS[odd]])
    assert difference(decode(with_exif(entries), LIMITS), flag()) <= JPEG_ERROR


@pytest.mark.parametrize("orientation", [b"\0\0\0\0", b"\x09\0\0\0", b"\xff\xff\0\0"])
def test_an_orientation_that_does_not_exist_turns_nothing(orientation: bytes) -> None:
    assert decode(with_exif([(0x0112, 3, 1, orientation)]), LIMITS).shape == (64, 96, 3)


@pytest.mark.parametrize("box", [Box(0, 0, 64, 96), Box(10, 20, 30, 40), Box(63, 95, 1, 1), Box(0, 0, 1, 1)])
def test_a_box_cuts_exactly_its_pixels_and_they_survive_being_stored(box: Box) -> None:
    image = person(3, height=96, width=64)
    part = cut(image, box)
    assert (part == image[box.y : box.y + box.height, box.x : box.x + box.width]).all()
    assert (decode(encode_lossless(part), LIMITS) == part).all()
    assert sniff(encode_lossless(part)) == "image/png"


def test_the_pixels_of_a_jpeg_are_told_by_its_header() -> None:
    assert jpeg_pixels(encode(person(1), "JPEG")) == 128 * 64
    assert jpeg_pixels(encode(person(1), "PNG")) == math.inf
    assert jpeg_pixels(b"\xff\xd8\xff cut short") == math.inf
    assert jpeg_pixels(b"") == math.inf


@pytest.mark.parametrize(
    ("size", "least", "decoded"),
    [
        ((256, 128), (128, 64), (128, 64)),
        ((254, 128), (128, 64), (254, 128)),  # half would be too small
        ((512, 256), (128, 64), (128, 64)),
        ((700, 350), (128, 64), (175, 88)),
        ((700, 130), (128, 64), (350, 65)),  # the width allows no quarter
        ((192, 96), (128, 64), (192, 96)),  # three quarters would save little
        ((96, 48), (128, 64), (96, 48)),  # never larger than it is
        ((512, 256), WHOLE, (512, 256)),
    ],
)
def test_a_jpeg_comes_smaller_where_so_much_is_not_needed(
    size: tuple[int, int], least: tuple[int, int], decoded: tuple[int, int]
) -> None:
    image = flag(*size)
    small, whole = decode_near(saved(Image.fromarray(image), "JPEG", quality=92), LIMITS, least)
    assert (small.shape[:2], whole) == (decoded, size)
    assert difference(resize(small, 64, 32), resize(image, 64, 32)) < JPEG_ERROR


def test_other_pictures_and_turned_ones_come_whole() -> None:
    image = Image.fromarray(flag(512, 256))
    turned = Image.Exif()
    turned[ExifTags.Base.Orientation] = 6
    for picture, size in ((saved(image, "PNG"), (512, 256)), (saved(image, "JPEG", exif=turned), (256, 512))):
        small, whole = decode_near(picture, LIMITS, (128, 64))
        assert small.shape[:2] == whole == size


@pytest.mark.parametrize("share", [0.3, 0.9, 0.99])
def test_a_jpeg_cut_short_is_refused_as_well_where_it_comes_smaller(share: float) -> None:
    picture = encode(person(1, height=512, width=256), "JPEG")
    with pytest.raises(CorruptPicture):
        decode_near(picture[: int(share * len(picture))], LIMITS, (128, 64))
