"""What a model is judged by: pictures of a folder, or synthetic people of a style, as queries and gallery. No torch."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from models.data.images import Files, Images
from models.data.reading import read_set
from models.data.sample import PictureSet, Sample
from models.errors import Refused
from models.evaluation.assessment import Labels
from models.evaluation.evaluate import IDENTITIES, draw_unseen
from models.evaluation.metrics import JUNK, Ints
from models.people.style import STYLES, Style

PEOPLE = "people:"  # before the name of a style, in place of a folder


@dataclass(frozen=True, slots=True)
class Exam:
    """Pictures, each once, and which of them are queries and gallery. Junk is left out from the start: it would be
    removed before ranking anyway, and must not be anybody's neighbour."""

    name: str
    images: Images
    names: list[str]  # of each picture: its path, or its number
    queries: NDArray[np.int64]  # numbers of pictures
    gallery: NDArray[np.int64]
    labels: Labels
    train: tuple[Sample, ...] = ()  # those the folder gives to train on; not judged by

    @property
    def own(self) -> NDArray[np.int64]:
        """The place of each query in the gallery (queries,), −1 where it is not in it."""
        places = np.full(len(self.images), -1)
        places[self.gallery] = np.arange(len(self.gallery))
        return places[self.queries]

    @property
    def paths(self) -> list[Path]:
        """Where the pictures lie, in order; none where they were drawn."""
        return [one.path for one in self.images.samples] if isinstance(self.images, Files) else []

    @property
    def identities(self) -> NDArray[np.int64]:
        """Of each picture, (pictures,)."""
        return self._of_each(self.labels.query_ids, self.labels.ids)

    @property
    def cameras(self) -> NDArray[np.int64]:
        """Of each picture, (pictures,)."""
        return self._of_each(self.labels.query_cameras, self.labels.cameras)

    def _of_each(self, of_queries: Ints, of_gallery: Ints) -> NDArray[np.int64]:
        found = np.empty(len(self.images), np.int64)
        found[self.queries], found[self.gallery] = of_queries, of_gallery
        return found

    def pairs(self) -> list[tuple[int, int]]:
        """For each identity with two cameras the numbers of a picture of one and of the other, queries first."""
        first, found = dict[int, int](), dict[int, tuple[int, int]]()
        asked, cameras = set(self.labels.query_ids.tolist()), self.cameras
        for number, identity in enumerate(self.identities.tolist()):
            mine = first.setdefault(identity, number)
            if identity in asked and cameras[number] != cameras[mine]:
                found.setdefault(identity, (mine, number))
        return list(found.values())

    def part(self, pictures: int) -> "Exam":
        """A small exam of about so many pictures, decoded: two cameras' of each of some people, all search all."""
        pairs = self.pairs()
        order = np.sort(np.random.default_rng(0).permutation(len(pairs))[: max(2, pictures // 2)])
        chosen = [number for k in order for number in pairs[k]]
        ids, cameras, every = self.identities[chosen], self.cameras[chosen], np.arange(len(chosen))
        images, names = [self.images[k] for k in chosen], [self.names[k] for k in chosen]
        return Exam(self.name, images, names, every, every, Labels(ids, cameras, ids, cameras))


def read_exam(
    data: str,
    layout: str = "auto",
    *,
    pattern: str | None = None,
    share: float = 1.0,
    seed: int = 0,
    identities: int = IDENTITIES,
) -> Exam:
    """The queries and the gallery of a folder or CSV file, or so many unseen people of a style for `people:STYLE`.

    Where a layout does not say who is for evaluation it is a `share` of the people, by the seed. What a run was trained
    on is not known here: see models.evaluation.trained. Raises Refused for data that cannot be evaluated by.
    """
    if data.startswith(PEOPLE):
        return draw_exam(style_of(data.removeprefix(PEOPLE)), identities)
    return exam_of(read_set(Path(data), layout, pattern=pattern, share=share, seed=seed, training=False))


def exam_of(pictures: PictureSet) -> Exam:
    """The queries and the gallery of a picture set, queries first."""
    gallery = [one for one in pictures.gallery if one.identity != JUNK]
    places = {path: k for k, path in enumerate(dict.fromkeys(one.path for one in (*pictures.query, *gallery)))}
    samples = {places[one.path]: one for one in (*pictures.query, *gallery)}
    return Exam(
        pictures.name,
        Files([samples[k] for k in range(len(places))]),
        [str(path) for path in places],
        np.array([places[one.path] for one in pictures.query], np.int64),
        np.array([places[one.path] for one in gallery], np.int64),
        Labels(
            np.array([one.identity for one in pictures.query]),
            np.array([one.camera for one in pictures.query]),
            np.array([one.identity for one in gallery]),
            np.array([one.camera for one in gallery]),
        ),
        pictures.train,
    )


def draw_exam(style: Style, identities: int) -> Exam:
    """Unseen people: queries come from the first of four cameras, the gallery is all pictures."""
    pictures = draw_unseen(style, identities=identities)
    ids, cameras = (np.array([getattr(one, part) for one in pictures]) for part in ("identity", "camera"))
    queries = np.flatnonzero(cameras == 0)
    return Exam(
        f"synthetic people, {style.name}",
        [one.image for one in pictures],
        [str(k) for k in range(len(pictures))],
        queries,
        np.arange(len(pictures)),
        Labels(ids[queries], cameras[queries], ids, cameras),
    )


def style_of(name: str) -> Style:
    """The style of this name. Raises Refused with the names there are."""
    if name not in STYLES:
        raise Refused(f"there is no style {name}; choose one of {', '.join(STYLES)}")
    return STYLES[name]
