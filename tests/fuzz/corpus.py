"""Sound pictures of every kind that the decoder takes, small enough to be decoded by the thousand. Mutants and the
coverage-guided fuzzer begin with these."""

import io
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageCms

from tests.pictures import encode, person

ORIENTATION = 0x0112


def pictures() -> dict[str, bytes]:
    """Every kind by name, the same bytes in each run with the same Pillow."""
    image = person(1, height=96, width=48)
    return {**_jpegs(image), **_pngs(image), **_webps(image)}


def write(folder: Path) -> None:
    """One file for each picture."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, picture in pictures().items():
        (folder / name).write_bytes(picture)


def _jpegs(image: "np.ndarray") -> dict[str, bytes]:
    rgb = Image.fromarray(image)
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    made = {
        "plain.jpg": encode(image, quality=85),
        "no-subsampling.jpg": encode(image, quality=95, subsampling=0),
        "optimised.jpg": encode(image, optimize=True, quality=50),
        "progressive.jpg": encode(image, progressive=True),
        "restarts.jpg": encode(image, restart_marker_blocks=2),
        "comment.jpg": encode(image, comment=b"taken at the north gate"),
        "profile.jpg": encode(image, icc_profile=profile),
        "gray.jpg": _save(rgb.convert("L"), "JPEG"),
        "gray-progressive.jpg": _save(rgb.convert("L"), "JPEG", progressive=True),
        "cmyk.jpg": _save(rgb.convert("CMYK"), "JPEG"),
        "rgb.jpg": _save(rgb, "JPEG", keep_rgb=True),
        "tiny.jpg": encode(image[:1, :1]),
        "wide.jpg": encode(person(2, height=16, width=200)),
    }
    for turn in range(1, 9):
        made[f"turned-{turn}.jpg"] = _save(rgb, "JPEG", exif=_exif(turn))
    thumbnail = encode(image[::4, ::4])
    made["thumbnail.jpg"] = _save(rgb, "JPEG", exif=b"Exif\x00\x00II*\x00\x08\x00\x00\x00\x00\x00" + thumbnail)
    return made


def _pngs(image: "np.ndarray") -> dict[str, bytes]:
    rgb = Image.fromarray(image)
    alpha = np.dstack([image, image[:, :, 0]])
    deep = (image[:, :, 0].astype(np.uint16) << 8) + 77
    made = {
        "plain.png": encode(image, "PNG"),
        "alpha.png": encode(alpha, "PNG"),
        "gray.png": _save(rgb.convert("L"), "PNG"),
        "gray-alpha.png": _save(rgb.convert("LA"), "PNG"),
        "gray-16.png": _save(Image.fromarray(deep), "PNG"),
        "one-bit.png": _save(rgb.convert("1"), "PNG"),
        "palette.png": _save(rgb.quantize(200), "PNG"),
        "palette-16.png": _save(rgb.quantize(16), "PNG", bits=4),
        "palette-transparent.png": _save(rgb.quantize(16), "PNG", transparency=3),
        "gray-transparent.png": _save(rgb.convert("L"), "PNG", transparency=9),
        "rgb-transparent.png": _save(rgb, "PNG", transparency=(1, 2, 3)),
        "turned.png": _save(rgb, "PNG", exif=_exif(6)),
        "dense.png": _save(rgb, "PNG", compress_level=0),
        "animated.png": _save(rgb, "PNG", save_all=True, append_images=[rgb.rotate(180)], default_image=True),
    }
    for name, kind, depth, channels in (("rgb-16", 2, 16, 3), ("alpha-16", 6, 16, 4), ("gray-2", 0, 2, 1)):
        made[f"{name}.png"] = _raw_png(24, 12, kind, depth, channels, interlaced=False)
    for name, kind, depth, channels in (("rgb", 2, 8, 3), ("gray", 0, 8, 1), ("gray-1", 0, 1, 1), ("alpha", 6, 16, 4)):
        made[f"interlaced-{name}.png"] = _raw_png(24, 12, kind, depth, channels, interlaced=True)
    return made


def _webps(image: "np.ndarray") -> dict[str, bytes]:
    rgb = Image.fromarray(image)
    alpha = np.dstack([image, image[:, :, 0]])
    frames = [rgb.rotate(90 * turn) for turn in range(3)]
    return {
        "plain.webp": encode(image, "WEBP", quality=60),
        "lossless.webp": encode(image, "WEBP", lossless=True),
        "alpha.webp": encode(alpha, "WEBP"),
        "alpha-lossless.webp": encode(alpha, "WEBP", lossless=True, exact=True),
        "flat-lossless.webp": encode(np.full((40, 40, 3), 9, np.uint8), "WEBP", lossless=True),
        "turned.webp": _save(rgb, "WEBP", exif=_exif(8)),
        "animated.webp": _save(frames[0], "WEBP", save_all=True, append_images=frames[1:], duration=40),
        "animated-lossless.webp": _save(frames[0], "WEBP", save_all=True, append_images=frames[1:], lossless=True),
    }


def _save(picture: Image.Image, form: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, format=form, **options)
    return buffer.getvalue()


def _exif(turn: int) -> Image.Exif:
    exif = Image.Exif()
    exif[ORIENTATION] = turn
    exif[0x010F] = "a camera"
    return exif


def png_chunk(kind: bytes, content: bytes) -> bytes:
    """A PNG chunk with its length and checksum."""
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def png_header(width: int, height: int, *, depth: int = 8, kind: int = 2, interlaced: bool = False) -> bytes:
    """The signature and IHDR of a PNG."""
    fields = struct.pack(">IIBBBBB", width, height, depth, kind, 0, 0, interlaced)
    return b"\x89PNG\r\n\x1a\n" + png_chunk(b"IHDR", fields)


def _raw_png(height: int, width: int, kind: int, depth: int, channels: int, *, interlaced: bool) -> bytes:
    """A PNG of noise in a form that Pillow reads and does not write."""
    passes = (
        [(0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2)]
        if interlaced
        else [(0, 0, 1, 1)]
    )
    rng, rows = np.random.default_rng(kind * 100 + depth), b""
    for left, top, across, down in passes:
        columns, lines = len(range(left, width, across)), len(range(top, height, down))
        if columns:
            row_bytes = (columns * channels * depth + 7) // 8
            rows += b"".join(bytes([number % 5]) + rng.bytes(row_bytes) for number in range(lines))
    head = png_header(width, height, depth=depth, kind=kind, interlaced=interlaced)
    return head + png_chunk(b"IDAT", zlib.compress(rows)) + png_chunk(b"IEND", b"")
