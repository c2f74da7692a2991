"""From uploaded bytes to something that can be embedded and stored, in threads of its own."""

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from service.domain import Box, ImageArray, Quality
from service.errors import BadPicture
from service.images.decode import PictureLimits, cut, decode, encode_lossless, sniff
from service.images.quality import judge


@dataclass(frozen=True, slots=True)
class Upload:
    """A picture as it came, and the part of it that counts."""

    picture: bytes
    filename: str | None = None
    box: Box | None = None


@dataclass(frozen=True, slots=True)
class Opened:
    """A picture ready to be embedded and stored. Of a frame with a box only the cut-out is left, losslessly."""

    picture: bytes
    media_type: str
    prepared: ImageArray  # (height, width, 3), as the network takes it
    quality: Quality


class PictureReader:
    """Decodes pictures side by side, as many at once as there are threads."""

    def __init__(self, limits: PictureLimits, prepare: Callable[[ImageArray], ImageArray], *, threads: int) -> None:
        self._limits = limits
        self._prepare = prepare
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix="decode")

    async def open_all(self, uploads: Sequence[Upload]) -> list[Opened | BadPicture]:
        """Open pictures; each gives itself or the reason why it cannot be taken."""
        loop = asyncio.get_running_loop()
        return await asyncio.gather(*(loop.run_in_executor(self._threads, self._open, upload) for upload in uploads))

    async def open_each(self, uploads: Sequence[Upload]) -> list[Opened]:
        """Open pictures that must all be good. Raises the first one's BadPicture."""
        opened = await self.open_all(uploads)
        for picture in opened:
            if isinstance(picture, BadPicture):
                raise picture
        return [picture for picture in opened if isinstance(picture, Opened)]

    def close(self) -> None:
        """End the threads."""
        self._threads.shutdown()

    def _open(self, upload: Upload) -> Opened | BadPicture:
        try:
            image = decode(upload.picture, self._limits)
            if upload.box is None:
                return Opened(upload.picture, sniff(upload.picture), self._prepare(image), judge(image))
            image = cut(image, upload.box)
            return Opened(encode_lossless(image), "image/png", self._prepare(image), judge(image))
        except BadPicture as error:
            return error
