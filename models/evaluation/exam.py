"""What a model is judged by: pictures of a folder, or synthetic people of a style, as queries and a gallery."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from models.data.images import Images
from models.data.reading import read_set
from models.data.sample import Sample
from models.errors import Refused
from models.evaluation.assessment import Labels
from models.evaluation.evaluate import IDENTITIES, draw_unseen
from models.evaluation.features import Files
from models.evaluation.metrics import JUNK
from models.people.style import STYLES, Style
from models.runs import read_record

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
    train: tuple[Sample, ...]  # those the folder gives to train on

    @property
    def own(self) -> NDArray[np.int64]:
        """The place of each query in the gallery (queries,), −1 where it is not in it."""
        places = np.full(len(self.images), -1)
        places[self.gallery] = np.arange(len(self.gallery))
        return places[self.queries]


def read_exam(
    data: str,
    layout: str = "auto",
    share: float | None = None,
    seed: int = 0,
    run: Path | None = None,
    identities: int = IDENTITIES,
) -> Exam:
    """The queries and the gallery of a folder or CSV file, or so many unseen people of a style for `people:STYLE`.

    Where a layout does not say who is for evaluation: everybody, a `share` of the people, or, for the folder that `run`
    was trained on, those it held out. Raises Refused for data that cannot be evaluated by.
    """
    if data.startswith(PEOPLE):
        return draw_exam(style_of(data.removeprefix(PEOPLE)), identities)
    if share is None and run is not None:
        share, seed = held_out_by(run, Path(data), seed)
    pictures = read_set(Path(data), layout, share=1.0 if share is None else share, seed=seed, training=False)
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


def held_out_by(run: Path, data: Path, seed: int) -> tuple[float | None, int]:
    """Share and seed by which a run held people of this very folder out; None for another folder."""
    flags = read_record(run).flags
    trained = str(flags.get("data", ""))
    if trained and Path(trained).resolve() == data.resolve():
        return float(flags["hold_out"]), int(flags["seed"])
    return None, seed


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
        (),
    )


def style_of(name: str) -> Style:
    """The style of this name. Raises Refused with the names there are."""
    if name not in STYLES:
        raise Refused(f"there is no style {name}; choose one of {', '.join(STYLES)}")
    return STYLES[name]
