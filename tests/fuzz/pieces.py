"""A picture as the pieces its format is made of: JPEG segments, PNG chunks, RIFF chunks. Joined again they are the
same bytes, whatever the picture was."""

import struct
import zlib
from collections.abc import Callable

STANDALONE = (0x01, *range(0xD0, 0xDA))  # JPEG markers without a length
RIFF_HEAD = 12
PNG_HEAD = 8


def split(picture: bytes) -> list[bytes]:
    """The pieces; a tail that is none is the last of them."""
    if picture.startswith(b"\xff\xd8"):
        return _split(picture, 0, _segment_bytes)
    if picture.startswith(b"\x89PNG"):
        return _split(picture, PNG_HEAD, _png_chunk_bytes)
    if picture.startswith(b"RIFF"):
        return _split(picture, RIFF_HEAD, _riff_chunk_bytes)
    return [picture]


def length_field(picture: bytes, piece: bytes) -> tuple[int, str] | None:
    """Where in a piece its length stands, and its struct format; None where it has none."""
    if picture.startswith(b"\xff\xd8"):
        return (2, ">H") if len(piece) >= 4 and piece[1] not in (*STANDALONE, 0xD8, 0xD9) else None
    if picture.startswith(b"\x89PNG"):
        return (0, ">I") if len(piece) >= 12 else None
    if picture.startswith(b"RIFF"):
        return (4, "<I") if len(piece) >= 8 else None
    return None


def resealed(piece: bytes) -> bytes:
    """A PNG chunk with the checksum of what it holds now, so that a change gets past the first check."""
    return piece[:-4] + struct.pack(">I", zlib.crc32(piece[4:-4])) if len(piece) >= 12 else piece


def _split(picture: bytes, head: int, measure: Callable[[bytes, int], int]) -> list[bytes]:
    pieces, place = [picture[:head]] if head else [], head
    while place < len(picture):
        size = measure(picture, place)
        if size <= 0:
            return [*pieces, picture[place:]]
        pieces.append(picture[place : place + size])
        place += size
    return pieces


def _segment_bytes(picture: bytes, place: int) -> int:
    """A marker with its content; a scan with its coded data as well."""
    if place + 2 > len(picture) or picture[place] != 0xFF:
        return 0
    marker = picture[place + 1]
    if marker in STANDALONE or marker == 0xD8:
        return 2
    if place + 4 > len(picture):
        return 0
    end = place + 2 + int(struct.unpack_from(">H", picture, place + 2)[0])
    if marker == 0xDA:
        while (end := picture.find(b"\xff", end)) >= 0 and picture[end + 1 : end + 2] in _within_scans():
            end += 2
        end = len(picture) if end < 0 else end
    return end - place


def _within_scans() -> tuple[bytes, ...]:
    return (b"", b"\x00", *(bytes([marker]) for marker in range(0xD0, 0xD8)))


def _png_chunk_bytes(picture: bytes, place: int) -> int:
    return 12 + int(struct.unpack_from(">I", picture, place)[0]) if place + 12 <= len(picture) else 0


def _riff_chunk_bytes(picture: bytes, place: int) -> int:
    if place + 8 > len(picture):
        return 0
    size = int(struct.unpack_from("<I", picture, place + 4)[0])
    return 8 + size + size % 2
