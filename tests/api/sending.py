"""Requests as clients send them, as keyword arguments of a test client's call."""

import base64
import json
from collections.abc import Mapping, Sequence
from typing import Any

BOUNDARY = "a-boundary"
JPEG = {"Content-Type": "image/jpeg"}

Part = tuple[str, bytes] | tuple[str, bytes, str]  # field, content, and for a file its name


def base64_of(picture: bytes) -> str:
    return base64.b64encode(picture).decode()


def raw(picture: bytes, media_type: str = "image/jpeg", **parameters: Any) -> dict[str, Any]:
    """A picture as the whole body, everything else in the query string."""
    return {"content": picture, "headers": {"Content-Type": media_type}, "params": parameters}


def form(field: str, pictures: Sequence[bytes], **fields: Any) -> dict[str, Any]:
    """A multipart form with files named 0.jpg, 1.jpg, …"""
    files = [(field, (f"{place}.jpg", picture, "image/jpeg")) for place, picture in enumerate(pictures)]
    return {"files": files, "data": fields}


def form_of(parts: Sequence[Part], *, boundary: str = BOUNDARY, charset: str | None = None) -> dict[str, Any]:
    """A multipart form byte by byte, for what no proper client sends."""
    lines = []
    for field, content, *filename in parts:
        named = f'; filename="{filename[0]}"' if filename else ""
        head = f'--{boundary}\r\nContent-Disposition: form-data; name="{field}"{named}\r\n\r\n'
        lines.append(head.encode() + content + b"\r\n")
    content_type = f"multipart/form-data; boundary={boundary}" + (f"; charset={charset}" if charset else "")
    return {"content": b"".join(lines) + f"--{boundary}--\r\n".encode(), "headers": {"Content-Type": content_type}}


def json_text(text: str | bytes) -> dict[str, Any]:
    """A JSON body byte by byte, for what no proper client sends."""
    return {"content": text, "headers": {"Content-Type": "application/json"}}


def json_images(*pictures: bytes, **fields: Any) -> dict[str, Any]:
    """An enrolment as JSON."""
    return {"json": {"images": [{"image": base64_of(picture)} for picture in pictures], **fields}}


def as_parameters(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Fields as a form or query string carries them: objects and lists as JSON text."""
    return {
        name: json.dumps(value) if isinstance(value, dict | list | bool) else value for name, value in fields.items()
    }
