"""Pictures that cannot be taken, sent in every way to every route that takes one."""

import io
import struct
import zlib
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.api.conftest import Filled
from tests.api.sending import base64_of, form, json_images, raw
from tests.pictures import encode, jpeg, person


def png_header(width: int, height: int) -> bytes:
    """The first bytes of a PNG that says it is this large."""
    head = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    data = b"IDAT" + zlib.compress(b"\x00" * 64)
    chunks = [
        struct.pack(">I", len(chunk) - 4) + chunk + struct.pack(">I", zlib.crc32(chunk)) for chunk in (head, data)
    ]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


def jpeg_header(width: int, height: int) -> bytes:
    """A small JPEG whose frame header was changed to say that it is this large."""
    picture = bytearray(jpeg(1))
    frame = picture.index(b"\xff\xc0")
    picture[frame + 5 : frame + 9] = struct.pack(">HH", height, width)
    return bytes(picture)


def turned_jpeg() -> bytes:
    """A JPEG that lies on its side, as its EXIF says."""
    exif = Image.Exif()
    exif[0x0112] = 6
    buffer = io.BytesIO()
    Image.fromarray(person(1)).save(buffer, format="JPEG", exif=exif)
    return buffer.getvalue()


PNG = encode(person(1), "PNG")
WEBP = encode(person(1), "WEBP")

BAD_PICTURES = {  # what is sent, the code of its refusal, its status where it is the only picture
    "no bytes": (b"", "EMPTY", 422),
    "text": (b"this is no picture, whatever its name", "UNSUPPORTED_FORMAT", 415),
    "a GIF": (encode(person(1), "GIF"), "UNSUPPORTED_FORMAT", 415),
    "a BMP": (encode(person(1), "BMP"), "UNSUPPORTED_FORMAT", 415),
    "a TIFF": (encode(person(1), "TIFF"), "UNSUPPORTED_FORMAT", 415),
    "an SVG": (b'<svg xmlns="http://www.w3.org/2000/svg"/>', "UNSUPPORTED_FORMAT", 415),
    "half a JPEG": (jpeg(1)[: len(jpeg(1)) // 2], "CORRUPT", 422),
    "half a turned JPEG": (turned_jpeg()[:-400], "CORRUPT", 422),
    "half a PNG": (PNG[: len(PNG) // 2], "CORRUPT", 422),
    "half a WebP": (WEBP[: len(WEBP) // 2], "CORRUPT", 422),
    "only the first bytes of a JPEG": (b"\xff\xd8\xff", "CORRUPT", 422),
    "a JPEG full of noise": (b"\xff\xd8\xff" + np.random.default_rng(1).bytes(4000), "CORRUPT", 422),
    "a PNG header of 30,000 × 30,000": (png_header(30_000, 30_000), "TOO_LARGE", 413),
    "a PNG header of 10,000 × 10,000": (png_header(10_000, 10_000), "TOO_LARGE", 413),
    "a JPEG header of 60,000 × 60,000": (jpeg_header(60_000, 60_000), "TOO_LARGE", 413),
    "more bytes than a picture may have": (jpeg(1) + b"\x00" * 10_485_760, "TOO_LARGE", 413),
}


def pair(picture: bytes, place: str) -> dict[str, bytes]:
    return {"a": jpeg(1), "b": jpeg(1), place: picture}


WAYS = {
    "POST /gallery as a raw body": lambda bad: ("/gallery", raw(bad, identity="p-1")),
    "POST /gallery as a form": lambda bad: ("/gallery", form("images", [bad], identity="p-9")),
    "POST /gallery as JSON": lambda bad: ("/gallery", json_images(bad, identity="p-9")),
    "POST /query as a raw body": lambda bad: ("/query", raw(bad, "image/png")),
    "POST /query as a form": lambda bad: ("/query", form("image", [bad])),
    "POST /query as one of three": lambda bad: ("/query", form("image", [jpeg(1), bad, jpeg(2)])),
    "POST /query as JSON": lambda bad: ("/query", {"json": {"image": base64_of(bad)}}),
    "POST /embed as a raw body": lambda bad: ("/embed", raw(bad, "image/webp")),
    "POST /embed as a form": lambda bad: ("/embed", form("image", [bad])),
    "POST /embed as JSON": lambda bad: ("/embed", {"json": {"image": base64_of(bad)}}),
    "POST /compare as a form": lambda bad: (
        "/compare", {"files": [(name, ("x.jpg", one)) for name, one in pair(bad, "a").items()]}
    ),
    "POST /compare as JSON": lambda bad: (
        "/compare", {"json": {name: {"image": base64_of(one)} for name, one in pair(bad, "b").items()}}
    ),
}  # fmt: skip


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("bad", BAD_PICTURES)
def test_a_bad_picture_is_refused_with_its_reason_and_nothing_is_stored(bad: str, way: str, filled: Filled) -> None:
    picture, code, status = BAD_PICTURES[bad]
    path, sent = WAYS[way](picture)
    answer = filled.client.post(path, **sent)
    content: dict[str, Any] = answer.json()
    if path == "/gallery":
        assert (answer.status_code, content["error"]) == (422, "ALL_REJECTED")
        assert content["identity"] is None
        assert content["accepted"] == []
        assert [one["reasons"] for one in content["rejected"]] == [[code]]
        assert content["rejected"][0]["detail"] in content["detail"]
    else:
        assert (answer.status_code, content["error"]) == (status, code)
        assert set(content) == {"error", "detail"}
        assert content["detail"]
    filled.assert_untouched()


@pytest.mark.parametrize(
    ("picture", "code"),
    [
        (jpeg(1, height=40, width=64), "TOO_SMALL"),
        (jpeg(1, height=128, width=20), "TOO_SMALL"),
        (encode(np.full((128, 64, 3), 90, np.uint8)), "TOO_BLURRY"),
    ],
)
def test_a_poor_crop_is_not_enrolled_but_may_be_asked_for(picture: bytes, code: str, filled: Filled) -> None:
    refused = filled.client.post("/gallery", **form("images", [picture], identity="p-1"))
    assert refused.status_code == 422
    assert refused.json()["rejected"][0]["reasons"] == [code]
    assert filled.client.post("/query", **raw(picture)).status_code == 200
    filled.assert_untouched()


def test_one_bad_picture_among_good_ones_spoils_a_query_but_not_an_enrolment(filled: Filled) -> None:
    refused = filled.client.post("/query", **form("image", [jpeg(1), b"text"]))
    assert (refused.status_code, refused.json()["error"]) == (415, "UNSUPPORTED_FORMAT")
    filled.assert_untouched()


@pytest.mark.parametrize("route", ["/gallery", "/query", "/embed"])
@pytest.mark.parametrize("box", ["60,0,5,10", "0,120,10,9", "0,0,65,128", "64,128,1,1", "999999,0,1,1"])
def test_a_box_that_leaves_the_picture_is_refused(route: str, box: str, filled: Filled) -> None:
    answer = filled.client.post(route, **raw(jpeg(1), box=box))
    assert answer.status_code == 422
    assert "64×128" in answer.json()["detail"], "the detail says how large the picture is"
    code = answer.json()["rejected"][0]["reasons"] if route == "/gallery" else [answer.json()["error"]]
    assert code == ["BOX_OUTSIDE"]
    filled.assert_untouched()


@pytest.mark.parametrize("route", ["/gallery", "/query", "/embed", "/compare"])
@pytest.mark.parametrize("declared", [True, False], ids=["with its length", "in chunks"])
def test_a_body_of_50_mb_is_refused(route: str, declared: bool, filled: Filled) -> None:
    body = b"\xff\xd8\xff" + bytes(50_000_000)
    content = body if declared else (body[start : start + 5_000_000] for start in range(0, len(body), 5_000_000))
    answer = filled.client.post(route, content=content, headers={"Content-Type": "image/jpeg"})
    assert ("content-length" in answer.request.headers) is declared
    assert (answer.status_code, answer.json()["error"]) == (413, "BODY_TOO_LARGE")
    assert "33,554,432" in answer.json()["detail"]
    filled.assert_untouched()
