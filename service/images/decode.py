"""From uploaded bytes to an RGB array. Content is sniffed, never taken from a name or header of the request, and the
size is read from the picture's own header before a single pixel is decoded."""

import io
import threading
from contextlib import nullcontext
from dataclasses import dataclass
from math import inf

import numpy as np
import simplejpeg
from PIL import ExifTags, Image
from PIL.Image import Transpose

from service.domain import Box, ImageArray
from service.errors import (
    BadPicture,
    BoxOutside,
    CorruptPicture,
    EmptyPicture,
    Overloaded,
    PictureTooLarge,
    UnsupportedFormat,
)

ALPHA_BACKGROUND = 128  # transparent pixels become mid-grey: neither a dark nor a light garment
EXIF_WINDOW_BYTES = 65_536  # EXIF stands in the first segment after the JFIF header
MAX_SCANS = 100  # of a JPEG; encoders make about ten, and each is a pass over all pixels, however few bytes it has
SCAN = b"\xff\xda\x00"  # the marker of a scan, and the upper byte of its header's length
UPRIGHT = {  # how each EXIF orientation is turned upright
    2: Transpose.FLIP_LEFT_RIGHT, 3: Transpose.ROTATE_180, 4: Transpose.FLIP_TOP_BOTTOM, 5: Transpose.TRANSPOSE,
    6: Transpose.ROTATE_270, 7: Transpose.TRANSVERSE, 8: Transpose.ROTATE_90,
}  # fmt: skip


LARGE = 4_000_000  # pixels: from here on Pillow, which copies a picture several times, has one at a time
ONE_LARGE = threading.Lock()
MAX_SIDE = 16_384  # resizing takes memory by the side, not the area: 1 × 25 million pixels took 0.7 GB

Size = tuple[int, int]  # height, width
WHOLE = (MAX_SIDE, MAX_SIDE)  # no picture is twice as large


@dataclass(frozen=True, slots=True)
class PictureLimits:
    """What a picture may cost before it is decoded."""

    max_bytes: int
    max_pixels: int


def sniff(picture: bytes) -> str:
    """The media type that the first bytes of a picture say.

    Raises EmptyPicture for no bytes, UnsupportedFormat for anything that is not JPEG, PNG or WebP.
    """
    if not picture:
        raise EmptyPicture("the picture is empty (0 bytes); send the bytes of a JPEG, PNG or WebP file")
    if picture.startswith(b"\xff\xd8\xff"):
        return "image/jpeg"
    if picture.startswith(b"\x89PNG\r\n\x1a\n"):
        return "image/png"
    if picture[:4] == b"RIFF" and picture[8:12] == b"WEBP":
        return "image/webp"
    raise UnsupportedFormat("the content is not a JPEG, PNG or WebP picture, whatever its name says; convert it first")


def decode(picture: bytes, limits: PictureLimits) -> ImageArray:
    """Decode a JPEG, PNG or WebP picture into a (h, w, 3) uint8 RGB array, upright by its EXIF orientation.

    Grayscale, palette, 16-bit, CMYK and alpha pictures become RGB; of an animation the first frame is taken.
    Raises a BadPicture error that says what to do.
    """
    return decode_near(picture, limits, WHOLE)[0]


def decode_near(picture: bytes, limits: PictureLimits, least: Size) -> tuple[ImageArray, Size]:
    """As `decode`, and the size of the whole picture. A JPEG that is about twice as large as `least`, or more, comes at
    so many eighths of its size, a half at most, that it is not smaller than `least`: the decoder leaves out what would
    be averaged away afterwards.
    """
    if len(picture) > limits.max_bytes:
        raise PictureTooLarge(f"the picture has {len(picture):,} bytes; at most {limits.max_bytes:,} are allowed")
    media_type = sniff(picture)
    try:
        if media_type == "image/jpeg":
            return _decode_jpeg(picture, limits, least)
        image = _decode_with_pillow(picture, limits)
        return image, image.shape[:2]
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise _too_many_pixels(limits) from error
    except BadPicture:
        raise
    except MemoryError as error:  # no fault of the picture, which would be taken for damaged
        raise Overloaded("there is no memory for the picture now; send the request again later") from error
    except Exception as error:  # damaged files raise struct.error, KeyError, TypeError … from deep within Pillow
        raise CorruptPicture("the picture is damaged or cut short and cannot be decoded; send it again") from error


def jpeg_pixels(picture: bytes) -> float:
    """How many pixels a JPEG has by its header; infinity for what is none."""
    try:
        height, width, _, _ = simplejpeg.decode_jpeg_header(picture)
    except ValueError:
        return inf
    return int(height * width)


def cut(image: ImageArray, box: Box) -> ImageArray:
    """The part of a (h, w, 3) image inside a box in pixels. Raises BoxOutside where it does not lie within."""
    height, width = image.shape[:2]
    if box.x < 0 or box.y < 0 or box.x + box.width > width or box.y + box.height > height:
        raise BoxOutside(
            f"the box {box.x},{box.y},{box.width},{box.height} (x, y, width, height) "
            f"does not lie within the picture of {width}×{height} px"
        )
    return np.ascontiguousarray(image[box.y : box.y + box.height, box.x : box.x + box.width])


def encode_lossless(image: ImageArray) -> bytes:
    """A PNG of a (h, w, 3) uint8 image; used for the cut-out of a frame, which must decode to the very same pixels."""
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, format="PNG", compress_level=1)
    return buffer.getvalue()


def _decode_jpeg(picture: bytes, limits: PictureLimits, least: Size) -> tuple[ImageArray, Size]:
    height, width, colorspace, _ = simplejpeg.decode_jpeg_header(picture)
    _check_pixels(width, height, limits)
    if picture.count(SCAN) > MAX_SCANS:
        raise CorruptPicture(f"the picture has more than {MAX_SCANS} scans, which no camera makes; save it anew")
    turned = b"Exif\x00\x00" in picture[:EXIF_WINDOW_BYTES]
    if turned or colorspace not in ("YCbCr", "RGB", "Gray"):  # CMYK and YCCK need Pillow's conversion
        image = _decode_with_pillow(picture, limits)
        return image, image.shape[:2]
    image = simplejpeg.decode_jpeg(picture, "RGB", min_height=least[0], min_width=least[1], min_factor=2)
    return image, (height, width)


def _decode_with_pillow(picture: bytes, limits: PictureLimits) -> ImageArray:
    with Image.open(io.BytesIO(picture), formats=("JPEG", "PNG", "WEBP")) as opened:
        _check_pixels(*opened.size, limits)
        with ONE_LARGE if opened.width * opened.height > LARGE else nullcontext():
            return _upright(opened)


def _upright(picture: Image.Image) -> ImageArray:
    # ImageOps.exif_transpose also writes all of the EXIF anew, and fails where one odd tag cannot be written
    turn = UPRIGHT.get(picture.getexif().get(ExifTags.Base.Orientation, 1))
    return _as_rgb(picture if turn is None else picture.transpose(turn))


def _as_rgb(picture: Image.Image) -> ImageArray:
    if picture.mode.startswith("I"):  # 16-bit grayscale: Pillow's own conversion clips instead of scaling
        gray = (np.asarray(picture).astype(np.uint32) >> 8).clip(0, 255).astype(np.uint8)
        return np.repeat(gray[:, :, None], 3, axis=2)
    if picture.has_transparency_data:
        whole = picture if picture.mode == "RGBA" else picture.convert("RGBA")
        rgb = Image.new("RGB", picture.size, (ALPHA_BACKGROUND,) * 3)
        rgb.paste(whole, mask=whole)
        return np.asarray(rgb)
    return np.asarray(picture.convert("RGB"))


def _check_pixels(width: int, height: int, limits: PictureLimits) -> None:
    if width * height > limits.max_pixels:
        raise _too_many_pixels(limits, f"{width}×{height}")
    if max(width, height) > MAX_SIDE:
        raise PictureTooLarge(f"the picture is {width}×{height}; no side may be over {MAX_SIDE:,} pixels; scale it")


def _too_many_pixels(limits: PictureLimits, size: str = "too many") -> PictureTooLarge:
    return PictureTooLarge(f"the picture has {size} pixels; at most {limits.max_pixels:,} in all are allowed; scale it")
