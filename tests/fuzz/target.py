"""`python -m tests.fuzz.target [libFuzzer's options] CORPUS`: the coverage-guided fuzzer.

The first byte of an input chooses what it is sent to: mostly the decoder, sometimes the readers of fields. Whatever is
neither an answer nor an error of ours is a finding, and so is an input that takes longer than `-timeout`.
"""

import sys
import warnings
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["service", "PIL"]):
    import orjson
    from PIL import ImageFile, JpegImagePlugin, PngImagePlugin, TiffImagePlugin, WebPImagePlugin  # noqa: F401

    from service.api.fields import check_id, decode_base64, parse_box
    from service.api.filters import parse_filter
    from service.domain import Box
    from service.errors import BadInput, BadPicture
    from service.images.decode import PictureLimits, cut, decode, encode_lossless, sniff
    from service.images.preprocess import resize
    from service.images.quality import judge

LIMITS = PictureLimits(max_bytes=1_000_000, max_pixels=1_000_000)
FIELDS = 0xF0  # first bytes from here on go to the readers of fields


def try_picture(content: bytes) -> None:
    """All the way of an enrolled picture with a box."""
    try:
        sniff(content)
        image = decode(content, LIMITS)
        assert image.ndim == 3, image.shape
        assert image.shape[2] == 3, image.shape
        assert 0 <= judge(image).sharpness <= 1
        assert resize(image, 32, 16).shape == (32, 16, 3)
        if image.size < 10_000:
            part = cut(image, Box(content[0] % 8, content[-1] % 8, 5, 9))
            assert (decode(encode_lossless(part), LIMITS) == part).all()
    except BadPicture:
        return


def try_fields(content: bytes) -> None:
    """Each reader of a field; what it takes, both databases and JSON must hold."""
    text = content.decode("utf-8", "surrogateescape")
    for read in (check_id, parse_box, decode_base64):
        try:
            read(text)
        except ValueError:
            continue
    try:
        wanted = orjson.loads(content)
        if isinstance(wanted, dict):
            parse_filter(wanted, on_crops=True)
            parse_filter(wanted, on_crops=False)
    except (orjson.JSONDecodeError, BadInput):
        return


def try_input(content: bytes) -> None:
    """One input of the fuzzer."""
    if content and content[0] >= FIELDS:
        try_fields(content[1:])
    else:
        try_picture(content[1:])


def write_corpus(folder: Path) -> None:
    """Sound pictures and fields as inputs."""
    from tests.fuzz.corpus import pictures

    fields = (b'{"camera": ["c1"], "attributes.age": {"gte": 18}}', b'{"captured_at": {"lt": "2026-05-01T00:00:00Z"}}',
              b"1,2,30,40", b"aGVsbG8=", "Zoë".encode())  # fmt: skip
    folder.mkdir(parents=True, exist_ok=True)
    for name, picture in pictures().items():
        (folder / name).write_bytes(b"\x00" + picture)
    for number, field in enumerate(fields):
        (folder / f"field-{number}").write_bytes(bytes([FIELDS]) + field)


def main() -> None:
    """Runs until its options say that it is enough, or something is found."""
    warnings.filterwarnings("ignore", module=r"PIL\.")
    write_corpus(Path(sys.argv[-1]))
    atheris.Setup(sys.argv, try_input)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
