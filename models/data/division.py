"""From the rows of a layout to a picture set: identities get numbers, and people are held out to evaluate by."""

import hashlib
import os
from collections.abc import Iterable
from pathlib import Path

from models.data.sample import PictureSet, Row, Sample

LEAST = 2  # people on either side of a division, or there is nobody to confuse a person with

SAYING_NOTHING = ("train", "test", "val", "images", "pictures")  # names of folders, of which there are many


def assemble(name: str, rows: list[Row], share: float, seed: int) -> PictureSet:
    """Numbers for identities (from 1, by name) and cameras, and a split for rows that have none.

    All pictures of `test` are gallery, and the first of each identity and camera is also a query: the Market-1501
    protocol leaves a query's own camera out of its answer, and with it the query itself.
    """
    people = ("", *sorted({row.identity for row in rows}))
    numbers = {person: number for number, person in enumerate(people)}
    cameras = number_cameras(row.camera for row in rows)
    held_out = hold_out({row.identity for row in rows if not row.split}, share, seed)
    parts: dict[str, list[Sample]] = {"train": [], "query": [], "gallery": [], "test": []}
    for row in rows:
        split = row.split or ("test" if row.identity in held_out else "train")
        parts[split].append(Sample(row.path, numbers[row.identity], cameras[row.camera]))
    query, gallery = [*parts["query"], *choose_queries(parts["test"])], [*parts["gallery"], *parts["test"]]
    return PictureSet(name, tuple(parts["train"]), tuple(query), tuple(gallery), people)


def hold_out(people: set[str], share: float, seed: int) -> set[str]:
    """About `share` of the people, chosen by name alone: who is held out stays so when others join.

    Of 4 people and more, at least 2 are held out and 2 kept, unless the share is 0 or 1.
    """
    places = {person: _place(seed, person) for person in people}
    count = sum(place < share for place in places.values())
    if 0 < share < 1 and len(people) >= 2 * LEAST:
        count = min(max(count, LEAST), len(people) - LEAST)
    return set(sorted(people, key=lambda person: (places[person], person))[:count])


def choose_queries(samples: list[Sample]) -> list[Sample]:
    """The first picture, by path, of each identity and camera, of identities that two cameras or more have seen."""
    first: dict[tuple[int, int], Sample] = {}
    for sample in sorted(samples, key=lambda sample: sample.path):
        first.setdefault((sample.identity, sample.camera), sample)
    cameras = dict[int, int]()
    for identity, _ in first:
        cameras[identity] = cameras.get(identity, 0) + 1
    return [sample for (identity, _), sample in sorted(first.items()) if cameras[identity] > 1]


def number_cameras(names: Iterable[str]) -> dict[str, int]:
    """A number for each camera: its name where all are numbers, else its place in the order of names, from 1."""
    ordered = sorted(set(names))
    if all(name.isdecimal() for name in ordered):
        return {name: int(name) for name in ordered}
    return {name: number for number, name in enumerate(ordered, 1)}


def _place(seed: int, person: str) -> float:
    """A number in [0, 1) that follows from seed and name."""
    digest = hashlib.sha256(os.fsencode(f"{seed}:{person}")).digest()
    return int.from_bytes(digest[:8], "big") / 2**64


def base_name(path: Path) -> str:
    """What a set is called: its folder's name, or its file's without the suffix; with those above that tell more where
    the name alone says nothing.

    >>> base_name(Path("/shop/images/test")), base_name(Path("/shop/cameras"))
    ('shop/images/test', 'cameras')
    """
    whole = path.resolve()
    parts = [whole.stem if whole.is_file() else whole.name]
    for above in whole.parents:
        if parts[0] not in SAYING_NOTHING or not above.name:
            break
        parts.insert(0, above.name)
    return "/".join(parts)
