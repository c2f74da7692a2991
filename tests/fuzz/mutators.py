"""Ways to spoil a picture. Each takes a source of chance, a picture and others to borrow from, and gives bytes."""

import random
import struct
import zlib
from collections.abc import Callable, Sequence

from tests.fuzz.pieces import length_field, resealed, split

MAX_BYTES = 200_000  # a mutant that was doubled again and again is cut here
EDGES = (0, 1, 2, 3, 7, 8, 127, 128, 255, 256, 32767, 32768, 65535, 2**24, 2**31 - 1, 2**31, 2**32 - 1)
SIZES = (0, 1, 2, 7, 16383, 16384, 65535)
MAGICS = (
    b"\xff\xd8\xff", b"\xff\xd8\xff\xe0\x00\x10JFIF\x00", b"\x89PNG\r\n\x1a\n", b"RIFF\x00\x00\x01\x00WEBP",
    b"RIFF\xff\xff\xff\xffWEBPVP8L", b"RIFF\x10\x00\x00\x00WEBPVP8X", b"RIFF\x10\x00\x00\x00WEBPVP8 ",
)  # fmt: skip

Others = Sequence[bytes]


def mutant(seed: int, number: int, pictures: Sequence[bytes]) -> bytes:
    """The picture with this number; the same for the same seed and pictures."""
    chance = random.Random(f"{seed}/{number}")
    picture = chance.choice(pictures)
    for _ in range(chance.choice((1, 1, 1, 2, 3, 5))):
        picture = chance.choice(MUTATORS)(chance, picture, pictures)[:MAX_BYTES]
    return picture


def flip_bits(chance: random.Random, picture: bytes, others: Others) -> bytes:
    """A few bits, anywhere."""
    spoilt = bytearray(picture)
    for _ in range(chance.choice((1, 2, 8, 64)) if spoilt else 0):
        spoilt[chance.randrange(len(spoilt))] ^= 1 << chance.randrange(8)
    return bytes(spoilt)


def flip_near_the_start(chance: random.Random, picture: bytes, others: Others) -> bytes:
    """Headers decide what is done with all the rest."""
    spoilt = bytearray(picture)
    for _ in range(chance.randint(1, 4) if spoilt else 0):
        spoilt[chance.randrange(min(len(spoilt), 200))] = chance.randrange(256)
    return bytes(spoilt)


def cut_short(chance: random.Random, picture: bytes, others: Others) -> bytes:
    """The end is missing."""
    return picture[: chance.randint(0, len(picture))]


def drop_bytes(chance: random.Random, picture: bytes, others: Others) -> bytes:
    """A part is missing."""
    start = chance.randint(0, len(picture))
    return picture[:start] + picture[start + chance.choice((1, 2, 16, 500)) :]


def insert_bytes(chance: random.Random, picture: bytes, others: Others) -> bytes:
    """Noise in between."""
    start = chance.randint(0, len(picture))
    return picture[:start] + chance.randbytes(chance.choice((1, 2, 16, 500))) + picture[start:]


def overwrite_edge(chance: random.Random, picture: bytes, others: Others) -> bytes:
    """A number at the edge of its range, of any width and byte order."""
    form = chance.choice((">B", ">H", "<H", ">I", "<I"))
    width = struct.calcsize(form)
    start = chance.randint(0, max(0, len(picture) - width))
    number = chance.choice(EDGES) % 256**width
    return picture[:start] + struct.pack(form, number) + picture[start + width :]


def rearrange_pieces(chance: random.Random, picture: bytes, others: Others) -> bytes:
    """Segments and chunks dropped, doubled, moved, repeated."""
    pieces = split(picture)
    place, other = chance.randrange(len(pieces) or 1), chance.randrange(len(pieces) or 1)
    match chance.randrange(5) if pieces else -1:
        case 0:
            del pieces[place]
        case 1:
            pieces.insert(other, pieces[place])
        case 2:
            pieces[place], pieces[other] = pieces[other], pieces[place]
        case 3:
            pieces[place : place + 1] = [pieces[place]] * chance.choice((2, 10, 300))
        case 4:
            chance.shuffle(pieces)
    return b"".join(pieces)


def lie_about_length(chance: random.Random, picture: bytes, others: Others) -> bytes:
    """A piece says that it is longer or shorter than it is."""
    pieces = split(picture)
    places = [place for place, piece in enumerate(pieces) if length_field(picture, piece)]
    if not places:
        return picture
    place = chance.choice(places)
    piece = pieces[place]
    offset, form = length_field(picture, piece) or (0, ">H")
    width = struct.calcsize(form)
    (true,) = struct.unpack_from(form, piece, offset)
    said = chance.choice((true - 1, true + 1, true // 2, true * 2, *EDGES)) % 256**width
    pieces[place] = piece[:offset] + struct.pack(form, said) + piece[offset + width :]
    return b"".join(pieces)


def spoil_a_piece(chance: random.Random, picture: bytes, others: Others) -> bytes:
    """Bytes within one piece; those of a PNG with a true checksum again."""
    pieces = split(picture)
    place = chance.randrange(len(pieces) or 1)
    if not pieces or len(pieces[place]) < 13:
        return picture
    spoilt = bytearray(pieces[place])
    for _ in range(chance.choice((1, 1, 3, 10))):
        spoilt[chance.randrange(4, len(spoilt) - 4)] = chance.choice((0, 1, 127, 128, 255, chance.randrange(256)))
    pieces[place] = resealed(bytes(spoilt)) if picture.startswith(b"\x89PNG") else bytes(spoilt)
    return b"".join(pieces)


def spoil_rows(chance: random.Random, picture: bytes, others: Others) -> bytes:
    """The rows of a PNG, below their compression: too few, too many, odd filters."""
    pieces = split(picture)
    places = [place for place, piece in enumerate(pieces) if piece[4:8] == b"IDAT"]
    try:
        rows = bytearray(zlib.decompress(b"".join(pieces[place][8:-4] for place in places)))
    except zlib.error:
        return picture
    if not rows:
        return picture
    for _ in range(chance.randint(0, 20)):
        rows[chance.randrange(len(rows))] = chance.randrange(256)
    rows = rows[: chance.randint(0, len(rows))] if chance.random() < 0.3 else rows * chance.choice((1, 1, 5))
    packed = zlib.compress(bytes(rows), chance.choice((0, 6)))
    chunk = resealed(struct.pack(">I", len(packed)) + b"IDAT" + packed + bytes(4))
    return b"".join(pieces[: places[0]]) + chunk + b"".join(pieces[places[-1] + 1 :])


def lie_about_size(chance: random.Random, picture: bytes, others: Others) -> bytes:
    """Another width or height in the header of the frame."""
    size = chance.choice((*SIZES, chance.randrange(20_000)))
    if picture.startswith(b"\x89PNG") and len(picture) > 33:
        place = chance.choice((16, 20))
        head = picture[8:33]
        head = head[: place - 8] + struct.pack(">I", chance.choice((size, 2**31 - 1, 2**31))) + head[place - 4 :]
        return picture[:8] + resealed(head) + picture[33:]
    if picture.startswith(b"RIFF") and len(picture) > 30:
        place = chance.choice((21, 24, 26, 27, 28))
        return picture[:place] + struct.pack("<H", size) + picture[place + 2 :]
    frames = [picture.find(b"\xff" + bytes([marker])) for marker in (0xC0, 0xC2)]
    place = max(frames) + chance.choice((5, 7))
    return picture[:place] + struct.pack(">H", size) + picture[place + 2 :] if max(frames) >= 0 else picture


def splice(chance: random.Random, picture: bytes, others: Others) -> bytes:
    """The head of one picture on the body of another, also of another format."""
    other = chance.choice(others)
    if chance.random() < 0.5:
        pieces, foreign = split(picture), split(other)
        return b"".join(pieces[: chance.randint(0, len(pieces))] + foreign[chance.randint(0, len(foreign)) :])
    return picture[: chance.randint(0, len(picture))] + other[chance.randint(0, len(other)) :]


def add_metadata(chance: random.Random, picture: bytes, others: Others) -> bytes:
    """EXIF, a profile or text of noise, in a place of its own."""
    noise = chance.choice((b"II*\x00\x08\x00\x00\x00", b"MM\x00*\x00\x00\x00\x08", b"")) + chance.randbytes(
        chance.choice((0, 12, 100, 2000))
    )
    pieces = split(picture)
    if picture.startswith(b"\xff\xd8"):
        kind, content = chance.choice(
            ((b"\xe1", b"Exif\x00\x00"), (b"\xe2", b"ICC_PROFILE\x00\x01\x01"), (b"\xe2", b"MPF\x00"),
             (b"\xed", b"Photoshop 3.0\x008BIM"), (b"\xee", b"Adobe\x00\x64"))
        )  # fmt: skip
        pieces.insert(1, b"\xff" + kind + struct.pack(">H", len(content + noise) + 2) + content + noise)
    elif picture.startswith(b"\x89PNG"):
        kind = chance.choice((b"eXIf", b"iCCP", b"zTXt", b"iTXt", b"tRNS", b"PLTE", b"pHYs", b"acTL", b"fcTL", b"gAMA"))
        content = chance.choice((b"", b"x\x00\x00")) + chance.choice((noise, zlib.compress(noise)))
        chunk = resealed(struct.pack(">I", len(content)) + kind + content + bytes(4))
        pieces.insert(chance.randint(min(2, len(pieces)), len(pieces)), chunk)
    else:
        kind = chance.choice((b"EXIF", b"ICCP", b"XMP ", b"ALPH", b"ANIM", b"ANMF", b"VP8X"))
        pieces.insert(
            chance.randint(min(1, len(pieces)), len(pieces)),
            kind + struct.pack("<I", len(noise)) + noise + bytes(len(noise) % 2),
        )
    return b"".join(pieces)


def noise_with_a_magic(chance: random.Random, picture: bytes, others: Others) -> bytes:
    """Nothing but the first bytes is true."""
    return chance.choice(MAGICS) + chance.randbytes(chance.choice((0, 5, 40, 3000)))


def append(chance: random.Random, picture: bytes, others: Others) -> bytes:
    """Something behind the end."""
    return picture + chance.choice((chance.randbytes(1000), chance.choice(others), bytes(5000), b"\xff" * 999))


MUTATORS: tuple[Callable[[random.Random, bytes, Others], bytes], ...] = (
    flip_bits, flip_near_the_start, cut_short, drop_bytes, insert_bytes, overwrite_edge, rearrange_pieces,
    lie_about_length, spoil_a_piece, spoil_a_piece, spoil_rows, lie_about_size, splice, add_metadata,
    noise_with_a_magic, append,
)  # fmt: skip
