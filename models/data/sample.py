"""One picture and what is known about it, and a set of pictures divided into training, query and gallery."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Sample:
    """A picture on disk. In Market-1501 naming identity −1 is junk and 0 a distractor; everybody else is positive."""

    path: Path
    identity: int
    camera: int


@dataclass(frozen=True, slots=True)
class PictureSet:
    """Pictures to train on, and queries and gallery to evaluate by. An identity has one number in all three.

    `people[i]` is the name of identity i where the layout has names, with `people[0]` empty; else `people` is empty.
    """

    name: str
    train: tuple[Sample, ...]
    query: tuple[Sample, ...]
    gallery: tuple[Sample, ...]
    people: tuple[str, ...] = ()

    def called(self, identity: int) -> str:
        """The name of an identity, or its number where the layout has no names."""
        return self.people[identity] if 0 < identity < len(self.people) else str(identity)


@dataclass(frozen=True, slots=True)
class Row:
    """What a layout says about one picture, in its own names. `split` is one of SPLITS."""

    path: Path
    identity: str
    camera: str
    split: str


SPLITS = ("train", "query", "gallery", "test", "")  # test: query and gallery in one; empty: to be divided
