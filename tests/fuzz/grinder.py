"""`python -m tests.fuzz.grinder`: mutated pictures through the service's own reader, in a process that may die of it.

It writes the number of each picture to a file before it opens it, and ends itself where one takes too long, so that
whoever started it knows which picture it was.
"""

import argparse
import asyncio
import ctypes
import faulthandler
import json
import os
import random
import statistics
import sys
import time
from collections import Counter
from itertools import cycle
from pathlib import Path

import numpy as np
from PIL import TiffImagePlugin

from service.config import Settings
from service.domain import Box
from service.errors import BadPicture
from service.flows.pictures import PictureReader, Upload
from service.images.decode import PictureLimits
from service.telemetry import configure_logging
from tests.fuzz.bombs import bombs
from tests.fuzz.corpus import pictures
from tests.fuzz.mutators import mutant

HANG_S = 20  # for one picture, on a machine that others use as well
BOMB_EVERY = 250
SAMPLE_EVERY = 50
PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
HEIGHT, WIDTH = 256, 128  # what a network may take; it changes nothing here


class Stream:
    """All pictures of a run by their number."""

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._sound = list(pictures().values())
        bomb = cycle(bombs().values())
        self._bombs = [next(bomb) for _ in range(100)]

    def picture(self, number: int) -> bytes:
        """A mutant, or now and then a bomb."""
        if number % BOMB_EVERY == 0:
            return self._bombs[number // BOMB_EVERY % len(self._bombs)]
        return mutant(self._seed, number, self._sound)


def resident_bytes(process: int | str = "self") -> int:
    """Resident memory of a process."""
    return int(Path(f"/proc/{process}/statm").read_text().split()[1]) * PAGE_BYTES


def growth(samples: list[int]) -> float:
    """The median of the last quarter over that of the second; the first is for warming up."""
    quarter = len(samples) // 4
    return statistics.median(samples[-quarter:]) / statistics.median(samples[quarter : 2 * quarter])


async def grind(seed: int, count: int, at: Path) -> dict[str, object]:
    """Open them all. Raises AssertionError, or whatever comes out that is neither an image nor a BadPicture."""
    settings = Settings(_env_file=None)
    limits = PictureLimits(settings.max_picture_bytes, settings.max_picture_pixels)
    reader = PictureReader(limits, (HEIGHT, WIDTH), threads=1)
    stream, outcomes, resident, longest_s = Stream(seed), Counter[str](), [], 0.0
    libc = ctypes.CDLL(None)
    place = os.open(at, os.O_WRONLY | os.O_CREAT)
    for number in range(count):
        picture = stream.picture(number)
        os.pwrite(place, b"%012d" % number, 0)
        box = Box(0, 0, 40, 40) if random.Random(number).random() < 0.1 else None
        faulthandler.dump_traceback_later(HANG_S, exit=True)
        started = time.perf_counter()
        (opened,) = await reader.open_to_store([Upload(picture, box=box)])
        longest_s = max(longest_s, time.perf_counter() - started)
        faulthandler.cancel_dump_traceback_later()
        if isinstance(opened, BadPicture):
            outcomes[type(opened).__name__] += 1
        else:
            assert opened.prepared.shape == (HEIGHT, WIDTH, 3), opened.prepared.shape
            assert opened.prepared.dtype == np.uint8, opened.prepared.dtype
            assert 0 <= opened.quality.sharpness <= 1, opened.quality
            outcomes["image"] += 1
        if number % SAMPLE_EVERY == 0:
            libc.malloc_trim(0)  # what is freed but kept by the allocator goes up and down with the sizes of pictures
            resident.append(resident_bytes())
    reader.close()
    return {
        "outcomes": outcomes, "growth": growth(resident), "resident_bytes": max(resident), "longest_s": longest_s,
        "warnings_kept": len(getattr(TiffImagePlugin, "__warningregistry__", {}).keys() - {"version"}),
    }  # fmt: skip


def main() -> int:
    """Prints a JSON report; any other exit status than 0 is a finding."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--count", type=int, required=True)
    parser.add_argument("--at", type=Path, required=True, help="file for the number of the picture in hand")
    arguments = parser.parse_args()
    faulthandler.enable()
    configure_logging("error")
    print(json.dumps(asyncio.run(grind(arguments.seed, arguments.count, arguments.at))))
    return 0


if __name__ == "__main__":
    sys.exit(main())
