"""Pictures that promise little and cost much: of a few bytes, or of as many as may be sent, and made to use up memory
or time."""

import io
import struct
import zlib

import numpy as np
from PIL import Image

from tests.fuzz.corpus import pictures, png_chunk, png_header
from tests.fuzz.pieces import split
from tests.pictures import encode

SIDE = 5000  # its square is the most pixels that the default settings take
MOST_BYTES = 10_485_760


def bombs() -> dict[str, bytes]:
    """Every bomb by name."""
    return {**_huge_headers(), **_swelling(), **_many_pieces(), "scans.jpg": many_scans(20_000)}


def many_scans(scans: int) -> bytes:
    """A progressive JPEG in which each scan takes 42 bytes and a pass over 25 million pixels."""
    pieces = split(encode(np.full((SIDE, SIDE, 3), 128, np.uint8), progressive=True))
    place = next(place for place, piece in enumerate(pieces) if piece[1] == 0xDA and piece[4] == 1)
    scan = pieces[place][:9] + b"\x00" + pieces[place][10:]  # all bits at once, which may be said again and again
    return b"\xff\xd8" + b"".join(pieces[1:place]) + scan * scans + b"\xff\xd9"


def _huge_headers() -> dict[str, bytes]:
    rows = png_chunk(b"IDAT", zlib.compress(bytes(1000)))
    made = {
        f"{width}x{height}.png": png_header(width, height) + rows
        for width, height in ((2**31, 2**31), (2**31 - 1, 2**31 - 1), (2**31 - 1, 1), (0, 0), (0, 7), (65536, 65536))
    }
    jpeg = pictures()["plain.jpg"]
    frame = jpeg.index(b"\xff\xc0") + 5
    for width, height in ((65535, 65535), (65535, 1), (0, 96), (48, 0), (SIDE, SIDE)):
        made[f"{width}x{height}.jpg"] = jpeg[:frame] + struct.pack(">HH", height, width) + jpeg[frame + 4 :]
    canvas = struct.pack("<I", 0) + (2**24 - 1).to_bytes(3, "little") * 2
    made["canvas.webp"] = b"RIFF\x16\x00\x00\x00WEBPVP8X" + struct.pack("<I", 10) + canvas
    made["lossless-header.webp"] = b"RIFF\x11\x00\x00\x00WEBPVP8L\x05\x00\x00\x00\x2f\xff\xff\xff\x0f\x00"
    return made


def _swelling() -> dict[str, bytes]:
    """What unpacks to a thousand times its size."""
    head, rest = pictures()["plain.png"][:33], pictures()["plain.png"][33:]
    packed = zlib.compress(bytes(50_000_000), 9)
    text = zlib.compress(bytes(1_000_000), 9)
    rows = zlib.compress(bytes(SIDE * (SIDE * 8 + 1)), 9)
    end = png_chunk(b"IEND", b"")
    flat = Image.new("RGB", (SIDE, SIDE), (9, 9, 9))
    lossless = io.BytesIO()
    flat.save(lossless, "WEBP", lossless=True)
    return {
        "text.png": head + png_chunk(b"zTXt", b"a\x00\x00" + packed) * 10 + rest,
        "texts.png": head + png_chunk(b"zTXt", b"a\x00\x00" + text) * 500 + rest,
        "profile.png": head + png_chunk(b"iCCP", b"a\x00\x00" + packed) * 10 + rest,
        "deep.png": png_header(SIDE, SIDE, depth=16, kind=6) + png_chunk(b"IDAT", rows) + end,
        "surplus-rows.png": png_header(8, 8) + png_chunk(b"IDAT", packed) + end,
        "line.png": png_header(SIDE * SIDE, 1) + png_chunk(b"IDAT", rows) + end,
        "low.png": png_header(SIDE * SIDE // 128, 128) + png_chunk(b"IDAT", rows) + end,
        "flat.webp": lossless.getvalue(),
    }


def _many_pieces() -> dict[str, bytes]:
    """As many bytes as may be sent, each of them work."""
    png, cmyk, turned = (pictures()[name] for name in ("plain.png", "cmyk.jpg", "turned-6.jpg"))
    nothing, room = png_chunk(b"abCd", b""), MOST_BYTES - 20_000
    exif = 4 + struct.unpack_from(">H", turned, 4)[0]
    return {
        "chunks.png": png[:33] + nothing * (room // len(nothing)) + png[33:],
        "segments.jpg": cmyk[:2] + b"\xff\xef\x00\x02" * (room // 4) + cmyk[2:],
        "fill.jpg": cmyk[:2] + b"\xff" * room + cmyk[2:],
        "turned-segments.jpg": turned[:exif] + b"\xff\xef\x00\x02" * (room // 4) + turned[exif:],
    }
