"""Reads every picture of a set once, before hours are spent on it: which cannot be read, and which are the same."""

import hashlib
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

from tqdm import tqdm

from models.data.images import load
from models.data.sample import PictureSet, Sample
from models.errors import Refused

CHUNK = 64  # pictures that a worker takes at once


@dataclass(frozen=True, slots=True)
class Fault:
    """A picture that cannot be used, and why."""

    path: Path
    reason: str


def inspect(pictures: PictureSet, workers: int = 0) -> tuple[Fault, ...]:
    """Faults of a whole set: unreadable pictures, and files of equal bytes under two identities, which are one person.

    That is how people who are both trained on and evaluated by are found where the two have numbers of their own.
    """
    samples = list({one.path: one for one in (*pictures.train, *pictures.query, *pictures.gallery)}.values())
    faults, owners = [], dict[str, Sample]()
    for sample, digest, reason in _examine_all(samples, workers):
        if reason:
            faults.append(Fault(sample.path, reason))
            continue
        owner = owners.setdefault(digest, sample)
        if owner.identity != sample.identity and min(owner.identity, sample.identity) > 0:
            one, other = pictures.called(owner.identity), pictures.called(sample.identity)
            twins = f"{sample.path} (identity {other}) is the same picture as {owner.path} (identity {one})"
            faults.append(Fault(sample.path, f"{twins}; remove one, or give both the same identity"))
    return tuple(faults)


def examine(path: Path) -> tuple[str, str]:
    """The SHA-256 of a picture's file and why it cannot be used, which is empty where it can."""
    try:
        load(path)
        return hashlib.sha256(path.read_bytes()).hexdigest(), ""
    except (Refused, OSError) as error:
        return "", str(error)


def _examine_all(samples: Sequence[Sample], workers: int) -> Iterator[tuple[Sample, str, str]]:
    paths = [sample.path for sample in samples]
    with ExitStack() as stack:
        results: Iterator[tuple[str, str]] = map(examine, paths)
        if workers:
            pool = stack.enter_context(ProcessPoolExecutor(workers, mp_context=get_context("spawn")))
            results = pool.map(examine, paths, chunksize=CHUNK)
        found = tqdm(results, total=len(paths), desc="reading pictures", disable=None)
        for sample, (digest, reason) in zip(samples, found, strict=True):
            yield sample, digest, reason
