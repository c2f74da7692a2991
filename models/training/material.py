"""What a training learns from and is judged by: pictures of a folder, or synthetic people drawn on the fly."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset
from tqdm import tqdm

from models.data.augment import PRESETS
from models.data.division import choose_queries
from models.data.images import load
from models.data.loader import DiskBatches, stream
from models.data.reading import find_layout, read_set
from models.data.sample import PictureSet, Sample
from models.errors import NotFinite, Refused, Unfit
from models.evaluation.features import Device, extract, model_of
from models.evaluation.metrics import Scores, score
from models.evaluation.trained import check_strange, find_same
from models.network import Extractor
from models.people.batches import Batches, Shape
from models.people.crowd import Picture, draw_cut_outs, draw_pictures, draw_scenes
from models.people.style import HELD_OUT, STREET, Style
from models.training.flags import PEOPLE, Flags
from models.training.grouping import group_alike
from models.training.memory import within_memory
from service.images.preprocess import needed, resize

VALIDATION_SEED = 500_000
CALM = 0.25  # how strongly pictures of drawn people are changed at the first step, unless told
NEAR = "nobody was seen by two cameras: each picture counts as of a camera of its own, and figures say little"


@dataclass(frozen=True, slots=True)
class ValidationSet:
    """Pictures to judge by, already in the network's size."""

    name: str
    query: list[Picture]
    gallery: list[Picture]


@dataclass(frozen=True, slots=True)
class Material:
    """Batches by step, the number of identities in them, and what to judge by: people in training, and unseen ones."""

    batches: Dataset[tuple[Tensor, Tensor]]
    identities: int
    train: ValidationSet
    validation: list[ValidationSet]
    chosen_on: tuple[str, ...] = ()  # names of the validation sets whose mean chooses the best checkpoint
    pictures: tuple[Path, ...] = ()  # on disk, of those to learn from
    across: bool = True  # whether somebody to learn from was seen by two cameras


def gather(flags: Flags, judged: bool = True) -> Material:
    """Read or draw it all; without `judged` only what is learned from. Refused for data that cannot be trained on."""
    material = draw_people(flags, judged) if flags.data == PEOPLE else read_folder(flags, judged)
    if not judged:
        return material
    names = [one_set.name for one_set in material.validation]
    for name, count in Counter([material.train.name, *names]).items():
        if count > 1:
            raise Refused(
                f"--validate {flags.validate}: {count} sets would be called {name}; give folders with other names"
            )
    asked = tuple(filter(None, flags.choose_on.split(",")))
    for name in asked:
        if name not in names:
            raise Refused(f"--choose-on {name}: no such validation set; there are {', '.join(names)}")
    return replace(material, chosen_on=asked or material.chosen_on or tuple(names))


def draw_people(flags: Flags, judged: bool) -> Material:
    """Synthetic people; validated on others, of the same style and of those that no training draws from."""
    if flags.seed >= VALIDATION_SEED:
        raise Refused(
            f"--seed {flags.seed}: seeds from {VALIDATION_SEED} on draw the people to judge by; give a smaller one"
        )
    if flags.identities < flags.people:
        raise Unfit(f"--identities {flags.identities}: fewer than the {flags.people} of a batch; lower --people")
    cut_outs = draw_cut_outs(flags.seed, flags.identities, flags.views, STREET, workers=flags.threads)
    scenes = draw_scenes(flags.seed, flags.scenes, STREET)
    shape = Shape(flags.people, flags.pictures, flags.height, flags.width)
    batches = Batches(
        cut_outs,
        scenes,
        shape,
        flags.steps * flags.accumulate,
        flags.seed,
        calm=CALM if flags.calm is None else flags.calm,
        ramp=flags.ramp,
    )
    group_alike(flags, batches)
    if not judged:
        return Material(batches, flags.identities, ValidationSet("train", [], []), [])
    watched = min(flags.watched or flags.identities, flags.identities)  # of either, so that scores show the gap
    seen = draw_set("train", STREET, flags, flags.seed, watched)
    unseen = [draw_set(style.name, style, flags, VALIDATION_SEED, watched) for style in (STREET, *HELD_OUT)]
    others = read_others(flags)
    foreign = (*(style.name for style in HELD_OUT), *(one_set.name for one_set in others))
    return Material(batches, flags.identities, seen, [*unseen, *others], foreign)


def draw_set(name: str, style: Style, flags: Flags, seed: int, people: int) -> ValidationSet:
    """Synthetic people at three cameras; queries come from the first."""
    drawn = tqdm(
        draw_pictures(seed, people, 3, 1, style),
        total=people * 3,
        desc=f"drawing people to judge by, {name}",
        disable=None,
    )
    pictures = [Picture(resize(one.image, flags.height, flags.width), one.identity, one.camera) for one in drawn]
    return ValidationSet(name, [one for one in pictures if one.camera == 0], pictures)


def read_folder(flags: Flags, judged: bool) -> Material:
    """The training part of a folder; validated on its query and gallery, and on other folders."""
    pictures = read_set(
        Path(flags.data),
        flags.layout,
        pattern=flags.pattern,
        share=flags.hold_out,
        seed=flags.seed,
        evaluation=False,
    )
    identities = sorted({one.identity for one in pictures.train})
    if len(identities) < flags.people:
        raise Unfit(
            f"{flags.data}: {len(identities)} identities to train on, fewer than the {flags.people} of a batch; "
            f"give --people {max(2, len(identities))} or more identities"
        )
    batches = DiskBatches(
        pictures.train,
        people=flags.people,
        pictures=flags.pictures,
        height=flags.height,
        width=flags.width,
        steps=flags.steps * flags.accumulate,
        seed=flags.seed,
        augmentation=PRESETS[flags.augment],
        calm=1.0 if flags.calm is None else flags.calm,
        ramp=flags.ramp,
    )
    group_alike(flags, batches)
    paths = tuple(one.path for one in pictures.train)
    if not judged:
        return Material(batches, len(identities), ValidationSet("train", [], []), [], pictures=paths)
    judged_by = sorted({one.path for one in (*pictures.query, *pictures.gallery)})
    if both := find_same(paths, judged_by):
        raise Refused(
            f"{both[1]}: is the same picture as {both[0]}, of somebody to train on; take one of them out (check-data "
            "names all of them)"
        )
    if not (across := seen_across(pictures.train)):
        tqdm.write(f"{flags.data}: {NEAR}")
    check_start(flags, pictures, flags.data)
    own = [read_part(flags, pictures, "validation")] if pictures.gallery else []
    validation = [*own, *read_others(flags, paths)]
    if not validation:
        raise Refused(f"{flags.data}: has no queries and gallery to validate on; name a folder by --validate")
    train = mirror(flags, pictures.train, validation[0])
    return Material(batches, len(identities), train, validation, pictures=paths, across=across)


def mirror(flags: Flags, samples: Sequence[Sample], judged: ValidationSet) -> ValidationSet:
    """People to train on as a validation set has its own: as many, with as many pictures each, as many of them asked
    for. A network that knows nobody has about the same figures on both, so what is between them is what it learned."""
    mine = dict[int, list[Sample]]()
    for one in samples:
        mine.setdefault(one.identity, []).append(one)
    counts = list(Counter(one.identity for one in judged.gallery).values())
    order = np.random.default_rng((flags.seed, 7)).permutation(sorted(mine)).tolist()
    kept = [across_cameras(mine[who], count) for who, count in zip(order, counts, strict=False)]
    gallery = [one for some in kept for one in some]
    queries = choose_queries(gallery) or gallery  # nobody is a query where all pictures are of one camera
    asked = set(list(dict.fromkeys(one.identity for one in queries))[: len({one.identity for one in judged.query})])
    query = [one for one in queries if one.identity in asked]
    shown = load_all(flags, separate([*query, *gallery]), "train")
    return ValidationSet("train", shown[: len(query)], shown[len(query) :])


def read_others(flags: Flags, trained: Sequence[Path] = ()) -> list[ValidationSet]:
    """The validation sets of --validate, named as their folders.

    Raises Refused where one holds a picture that is trained on, by its place or its bytes.
    """
    sets = []
    for folder in [Path(text) for text in flags.validate.split(",") if text]:
        pictures = read_set(folder, pattern=pattern_of(flags, folder), share=1.0, training=False)
        judged = [one.path for one in (*pictures.query, *pictures.gallery)]
        if both := find_same(trained, judged):
            raise Refused(
                f"--validate {folder}: {both[1]} is trained on ({both[0]}), so it says nothing of strangers; "
                "give a folder of other people, or leave --validate out to judge by those held out"
            )
        check_start(flags, pictures, f"--validate {folder}")
        sets.append(read_part(flags, pictures, pictures.name))
    return sets


def check_start(flags: Flags, pictures: PictureSet, data: str) -> None:
    """Raises Refused where the run of --from was trained on pictures to judge by: who is held out now was not then."""
    if flags.start:
        judged = [one.path for one in {*pictures.query, *pictures.gallery}]
        remedy = "the --seed and --hold-out of that run where it was trained on these"
        check_strange(Path(flags.start), sorted(judged), data, remedy)


def pattern_of(flags: Flags, folder: Path) -> str | None:
    """--pattern, for a folder in the layout of the training's; one in another layout has names of its own."""
    if flags.pattern is None or flags.data == PEOPLE:
        return flags.pattern
    alike = find_layout(folder)[1] == find_layout(Path(flags.data), flags.layout)[1]
    return flags.pattern if alike else None


def read_part(flags: Flags, pictures: PictureSet, name: str) -> ValidationSet:
    """Queries of `watched` identities of a set, and the gallery of theirs and of as many who are not asked for. Raises
    Refused where there is nobody to be taken for another."""
    asked = pictures.query or pictures.gallery  # nobody is a query where all pictures are of one camera
    people = {one.identity for one in pictures.gallery if one.identity > 0}
    both = people & {one.identity for one in asked}
    kept = set(choose(flags, sorted(both)))
    shown_too = kept.union(choose(flags, sorted(people - both)))
    if len(shown_too) == 1:
        raise Refused(
            f"validation set {name}: there is one person in it, who is nobody else's neighbour; hold out more people "
            "by --hold-out, or name a folder by --validate"
        )
    query = [one for one in asked if one.identity in kept]
    gallery = [one for one in pictures.gallery if one.identity in shown_too]
    shown = load_all(flags, separate([*query, *gallery]), name)
    return ValidationSet(name, shown[: len(query)], shown[len(query) :])


def choose(flags: Flags, identities: list[int]) -> list[int]:
    """`watched` of the identities, by the seed; all of them for 0."""
    if not flags.watched or len(identities) <= flags.watched:
        return identities
    rng = np.random.default_rng((flags.seed, 7))
    return sorted(int(one) for one in rng.choice(identities, flags.watched, replace=False))


def load_all(flags: Flags, samples: list[Sample], name: str) -> list[Picture]:
    """Decoded pictures in the network's size, one for samples that are the same."""
    bar = tqdm(dict.fromkeys(samples), desc=f"reading pictures to judge by, {name}", disable=None)
    size = flags.height, flags.width
    shown = {one: Picture(resize(load(one.path, needed(*size)), *size), one.identity, one.camera) for one in bar}
    return [shown[one] for one in samples]


def across_cameras(samples: Iterable[Sample], count: int) -> list[Sample]:
    """So many of one identity, in turn from each of its cameras: neighbours in a track are nearly the same."""
    taken, turns = Counter[int](), list[tuple[int, Sample]]()
    for one in samples:
        turns.append((taken[one.camera], one))
        taken[one.camera] += 1
    return [one for _, one in sorted(turns, key=lambda turn: turn[0])[:count]]


def separate(samples: list[Sample]) -> list[Sample]:
    """The samples; where nobody was seen by two cameras, each picture as from its own, so that others can be found."""
    if seen_across(samples):
        return samples
    paths = {path: k for k, path in enumerate(dict.fromkeys(one.path for one in samples))}
    return [replace(one, camera=paths[one.path]) for one in samples]


def seen_across(samples: Iterable[Sample]) -> bool:
    """Whether two cameras have seen the same person."""
    cameras: dict[int, set[int]] = {}
    for one in samples:
        cameras.setdefault(one.identity, set()).add(one.camera)
    return any(len(seen) > 1 for seen in cameras.values())


def load_batches(flags: Flags, material: Material, first: int) -> Iterator[tuple[Tensor, Tensor]]:
    """The batches from step `first` on. Their making draws nothing from the generators that training uses."""
    steps = first * flags.accumulate, flags.steps * flags.accumulate
    return stream(material.batches, flags.drawers, *steps, pinned=flags.device == "cuda")


@within_memory()
def judge_set(network: Extractor, one_set: ValidationSet, device: Device) -> Scores:
    """Cosine, Market rule; a picture that is both query and in the gallery is described once. Raises Refused when no
    query has a picture to be found on another camera, NotFinite when the network gives NaN or infinity."""
    every = {id(one): one.image for one in (*one_set.query, *one_set.gallery)}
    places = {picture: k for k, picture in enumerate(every)}
    try:
        vectors = extract(model_of(network, "the network", device), list(every.values()))
    except NotFinite as error:
        raise NotFinite(f"validation set {one_set.name}: the network gives NaN or infinity; lower --rate") from error
    query, gallery = (vectors[[places[id(one)] for one in part]] for part in (one_set.query, one_set.gallery))
    labels: list[NDArray[np.int64]] = [
        np.array([getattr(one, what) for one in part], np.int64)
        for part in (one_set.query, one_set.gallery)
        for what in ("identity", "camera")
    ]
    try:
        return score(1 - query @ gallery.T, *labels)
    except Refused as error:
        raise Refused(f"validation set {one_set.name}: {error}") from error
