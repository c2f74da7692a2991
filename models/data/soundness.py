"""Whether a picture set can do what it is wanted for: nobody both trained on and evaluated by, pictures enough to learn
from, and cameras enough to be judged by."""

import re
from collections import Counter
from collections.abc import Sequence

from models.data.sample import PictureSet, Row, Sample
from models.errors import Refused

MARKET_DISTRACTOR = re.compile(r"0000_c\d+s\d+_.+")  # where 0000 is nobody, as people numbered from 0 are not


def check_persons(rows: Sequence[Row]) -> None:
    """Raises Refused where Market-1501's junk and distractors, which are nobody, stand for people."""
    for row in rows:
        if row.identity == "-1" or (row.identity == "0000" and MARKET_DISTRACTOR.fullmatch(row.path.name)):
            kind = "junk" if row.identity == "-1" else "distractors"
            raise Refused(
                f"{row.path}: {row.identity} is no person but stands for {kind} in names of Market-1501; take such "
                "pictures out, or give the folder with bounding_box_test in it and the layout market (--layout market)"
            )


def check_disjoint(pictures: PictureSet) -> None:
    """Raises Refused where a person, or a picture, is both in training and in query or gallery."""
    trained = {sample.identity: sample for sample in reversed(pictures.train)}  # the first of each
    paths = {sample.path for sample in pictures.train}
    for sample in (*pictures.query, *pictures.gallery):
        if sample.path in paths:
            raise Refused(f"{sample.path} is both in training and in evaluation; take it out of one")
        if sample.identity in trained:
            raise Refused(
                f"identity {pictures.called(sample.identity)} is both in training ({trained[sample.identity].path}) "
                f"and in evaluation ({sample.path}); take the person out of one, or the figures mean nothing"
            )


def check_distinct(samples: Sequence[Sample]) -> None:
    """Raises Refused where a picture occurs twice."""
    for path, count in Counter(sample.path for sample in samples).items():
        if count > 1:
            raise Refused(f"{path} occurs {count} times; name it once")


def check_trainable(pictures: PictureSet, least: int = 2) -> None:
    """Raises Refused where there are no two people to train on, or a person has fewer than `least` pictures."""
    counts = Counter(sample.identity for sample in pictures.train)
    if len(counts) < 2:
        has = "one person" if counts else "nobody"
        raise Refused(f"{pictures.name} has {has} to train on; at least two people are needed (is the layout right?)")
    poor = sorted(identity for identity, count in counts.items() if count < least)
    if poor:
        path = next(sample.path for sample in pictures.train if sample.identity == poor[0])
        raise Refused(
            f"{path}: identity {pictures.called(poor[0])} has {counts[poor[0]]} picture(s) to train on and "
            f"{least} are needed{also(len(poor) - 1)}; add pictures of the same person or remove those there are"
        )


def check_judgeable(pictures: PictureSet) -> None:
    """Raises Refused where the Market-1501 protocol, which looks for a person at other cameras, counts no query."""
    if not pictures.gallery:
        raise Refused(
            f"{pictures.name} has no gallery: nothing to evaluate by; "
            "add query and gallery, or hold out a share of people (at least 2 of 4)"
        )
    cameras = {sample.camera for sample in (*pictures.query, *pictures.gallery)}
    if len(cameras) < 2:
        raise Refused(
            f"{pictures.name}: all pictures to evaluate by, such as {pictures.gallery[0].path}, are of one camera "
            f"({min(cameras)}), so evaluation is impossible: a person is looked for at other cameras; "
            "add pictures of another camera, or check the pattern that finds the camera in names"
        )
    seen = {(sample.identity, sample.camera) for sample in pictures.gallery}
    elsewhere = Counter(identity for identity, _ in seen)
    if not any(elsewhere[one.identity] - ((one.identity, one.camera) in seen) > 0 for one in pictures.query):
        raise Refused(
            f"{pictures.name}: of {len(pictures.query)} queries none has a picture of the same person at another "
            "camera in the gallery, so evaluation is impossible; add such pictures, or check the pattern that finds "
            "the camera in names"
        )


def also(count: int) -> str:
    """How many others are meant, in words; nothing for none."""
    return f" (so with {count} others)" if count > 1 else " (so with one other)" if count else ""
