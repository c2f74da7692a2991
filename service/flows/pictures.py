"""From uploaded bytes to something that can be embedded and stored, in threads of its own."""

import asyncio
import hashlib
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import chain

from service.domain import Box, ImageArray, Quality
from service.errors import BadPicture, PictureTooLarge
from service.flows.admission import Lane
from service.images.decode import WHOLE, PictureLimits, Size, cut, decode_near, encode_lossless, jpeg_pixels, sniff
from service.images.preprocess import needed, resize
from service.images.quality import judge

SMALL_BYTES, SMALL_PIXELS = 64 << 10, 512 << 10
AT_ONCE = 8  # pictures that a thread opens before others have their turn; a hop for each costs more than it gives


@dataclass(frozen=True, slots=True)
class Upload:
    """A picture as it came, and the part of it that counts."""

    picture: bytes
    filename: str | None = None
    box: Box | None = None


def opens_soon(upload: Upload) -> bool:
    """Whether a picture is sure to be decoded within some 10 ms: a small JPEG with few pixels by its header."""
    return len(upload.picture) <= SMALL_BYTES and jpeg_pixels(upload.picture) <= SMALL_PIXELS


@dataclass(frozen=True, slots=True)
class Stored:
    """The bytes to store, what they are and their SHA-256: of a frame with a box only the cut-out, losslessly."""

    picture: bytes
    media_type: str
    sha256: str


@dataclass(frozen=True, slots=True)
class Opened:
    """A picture ready to be embedded, and to be stored where that was asked for."""

    prepared: ImageArray  # (height, width, 3), as the network takes it
    quality: Quality
    stored: Stored | None


class PictureReader:
    """Decodes pictures side by side, as many at once as there are threads; bulk has threads of its own, so that it
    never stands before a query."""

    def __init__(self, limits: PictureLimits, network: Size, *, threads: int) -> None:
        """`network` is the size of the images that the network takes."""
        self._limits = limits
        self._network = network
        self._least = needed(*network)
        self._threads = threads
        self._lanes = {lane: ThreadPoolExecutor(threads, thread_name_prefix=f"decode-{lane.name}") for lane in Lane}

    async def open_to_store(self, uploads: Sequence[Upload]) -> list[Opened | BadPicture]:
        """Open pictures to enrol; each gives itself or the reason why it cannot be taken."""
        return await self._open_all(uploads, Lane.BULK)

    async def open_to_query(self, uploads: Sequence[Upload]) -> list[Opened]:
        """Open pictures that must all be good. Raises the first one's BadPicture."""
        return _all_good(await self._open_all(uploads, Lane.QUERY))

    def open_now(self, uploads: Sequence[Upload]) -> list[Opened]:
        """`open_to_query` on the caller's thread."""
        return _all_good(self._open_part(uploads, Lane.QUERY))

    def close(self) -> None:
        """End the threads."""
        for threads in self._lanes.values():
            threads.shutdown()

    async def _open_all(self, uploads: Sequence[Upload], lane: Lane) -> list[Opened | BadPicture]:
        loop, threads = asyncio.get_running_loop(), self._lanes[lane]
        size = max(1, min(AT_ONCE, -(-len(uploads) // self._threads)))
        parts = [uploads[start : start + size] for start in range(0, len(uploads), size)]
        if len(parts) == 1:
            return await loop.run_in_executor(threads, self._open_part, parts[0], lane)
        opened = await asyncio.gather(*(loop.run_in_executor(threads, self._open_part, one, lane) for one in parts))
        return list(chain.from_iterable(opened))

    def _open_part(self, uploads: Sequence[Upload], lane: Lane) -> list[Opened | BadPicture]:
        return [self._open(upload, lane) for upload in uploads]

    def _open(self, upload: Upload, lane: Lane) -> Opened | BadPicture:
        try:
            least = self._least if upload.box is None else WHOLE
            image, size = decode_near(upload.picture, self._limits, least)
            if upload.box is not None:
                image = cut(image, upload.box)
                size = image.shape[:2]
            stored = self._to_store(upload, image) if lane is Lane.BULK else None
            return Opened(resize(image, *self._network), judge(image, size), stored)
        except BadPicture as error:
            return error

    def _to_store(self, upload: Upload, image: ImageArray) -> Stored:
        picture = upload.picture if upload.box is None else encode_lossless(image)
        if len(picture) > self._limits.max_bytes:
            raise PictureTooLarge(
                f"the part in the box has {len(picture):,} bytes as a PNG; at most {self._limits.max_bytes:,} are "
                "allowed; send a smaller box, or the part as a picture of its own"
            )
        return Stored(picture, sniff(picture), hashlib.sha256(picture).hexdigest())


def _all_good(opened: list[Opened | BadPicture]) -> list[Opened]:
    for picture in opened:
        if isinstance(picture, BadPicture):
            raise picture
    return [picture for picture in opened if isinstance(picture, Opened)]
