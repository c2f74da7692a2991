"""The pictures that are sent: 256 × 128 JPEGs of the tests' people, softened until they are as large as a camera's
crops (about 9 KB; what the noise of the tests makes of them is twice that), and requests made of them beforehand."""

from pathlib import Path

import numpy as np
from PIL import Image, ImageFilter

from tests.pictures import encode, person

HEIGHT, WIDTH = 256, 128
SOFTNESS_PX = 0.8
QUALITY = 90
BOUNDARY = "reappear-bench"
KINDS = ("raw", "multipart")


def make_pictures(count: int, *, view: int = 0) -> list[bytes]:
    """JPEGs of as many people."""
    return [
        encode(
            np.asarray(
                Image.fromarray(person(seed, view=view, height=HEIGHT, width=WIDTH)).filter(
                    ImageFilter.GaussianBlur(SOFTNESS_PX)
                )
            ),
            quality=QUALITY,
        )
        for seed in range(count)
    ]


def raw_request(path: str, picture: bytes) -> bytes:
    """A whole HTTP request with a raw picture as its body."""
    return _request(path, "image/jpeg", picture)


def form_request(path: str, field: str, pictures: list[bytes]) -> bytes:
    """A whole HTTP request with a form of pictures in one field."""
    parts = [
        f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{field}"; filename="{place}.jpg"\r\n'
        "Content-Type: image/jpeg\r\n\r\n".encode()
        + picture
        + b"\r\n"
        for place, picture in enumerate(pictures)
    ]
    return _request(path, f"multipart/form-data; boundary={BOUNDARY}", b"".join(parts) + f"--{BOUNDARY}--\r\n".encode())


def json_request(path: str, body: bytes) -> bytes:
    """A whole HTTP request with JSON as its body."""
    return _request(path, "application/json", body)


def write_requests(folder: Path, requests: list[bytes]) -> Path:
    """One file for each; what was there before goes."""
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.glob("*.http"):
        old.unlink()
    for place, request in enumerate(requests):
        (folder / f"{place:05d}.http").write_bytes(request)
    return folder


def query_requests(pictures: list[bytes], kind: str, path: str = "/query?k=10") -> list[bytes]:
    """A query for each picture, as a raw body or a form."""
    if kind == "raw":
        return [raw_request(path, picture) for picture in pictures]
    return [form_request(path, "image", [picture]) for picture in pictures]


def _request(path: str, content_type: str, body: bytes) -> bytes:
    lines = (
        f"POST {path} HTTP/1.1",
        "Host: 127.0.0.1",
        f"Content-Type: {content_type}",
        f"Content-Length: {len(body)}",
    )
    return "\r\n".join((*lines, "", "")).encode() + body
