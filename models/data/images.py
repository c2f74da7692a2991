"""Pictures from disk, decoded as the service does it, and the search for pictures in folders."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from models.data.sample import Sample
from models.errors import Outside, Refused
from service.errors import BadPicture
from service.images.decode import WHOLE, PictureLimits, Size, decode_near
from service.images.preprocess import needed

LIMITS = PictureLimits(max_bytes=64_000_000, max_pixels=64_000_000)  # whole frames are allowed, bombs are not
SUFFIXES = (".jpg", ".jpeg", ".png", ".webp")


class Images(Protocol):
    """Pictures by number, uint8 RGB (h, w, 3)."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int, /) -> NDArray[np.uint8]: ...


def load(path: Path, least: Size = WHOLE) -> NDArray[np.uint8]:
    """The picture as uint8 RGB (h, w, 3), upright; where it is a much larger JPEG maybe smaller, but not than `least`.
    Raises Outside, which names the file."""
    try:
        return decode_near(path.read_bytes(), LIMITS, least)[0]
    except BadPicture as error:
        raise Outside(f"{path}: {error.detail}; or remove the file") from error
    except OSError as error:
        raise Outside(f"{path} cannot be read: {error.strerror or error}") from error


@dataclass(frozen=True, slots=True)
class Files:
    """The pictures of samples, decoded when they are asked for."""

    samples: Sequence[Sample]
    least: Size = WHOLE  # in what size they are wanted

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, index: int, /) -> NDArray[np.uint8]:
        return load(self.samples[index].path, self.least)

    def shrunk(self, height: int, width: int) -> "Files":
        """The same, as large as a network of that input needs them."""
        return replace(self, least=needed(height, width))


def is_picture(path: Path) -> bool:
    """Whether the name is that of a picture; hidden files are not (some systems leave ._NAME.jpg beside NAME.jpg)."""
    return path.suffix.lower() in SUFFIXES and not path.name.startswith(".")


def list_pictures(folder: Path) -> list[Path]:
    """The pictures directly in a folder, by name. Raises Refused where there is no such folder or none in it."""
    check_folder(folder)
    found = sorted(path for path in folder.iterdir() if is_picture(path))
    if not found:
        raise Refused(f"{folder} holds no pictures ({', '.join(SUFFIXES)}); put some in or give another folder")
    return found


def check_folder(folder: Path) -> None:
    """Raises Refused where there is no such folder."""
    if not folder.is_dir():
        what = "is not a folder" if folder.exists() else "is not there"
        raise Refused(f"{folder} {what}; give the folder that holds the pictures")
