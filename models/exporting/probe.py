"""Finds out how an outside network wants its pictures, and the mistakes that give vectors without an error: a constant
output, pictures normalised twice, colours in another order, another range, vectors that depend on their neighbours.

The judge is retrieval on real pictures: each way of feeding is tried on the same ones. No torch.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from onnx import TensorProto
from tqdm import tqdm

from models.errors import Refused
from models.evaluation.exam import Exam
from models.evaluation.graphs import open_graph
from models.exporting.acceptance import embed, examine, is_above_chance, precisions
from models.exporting.running import AGREEMENT, describe_by_graph, least_cosine, prepare, run
from models.exporting.surgery import DEVIATION, MEAN, Colour, Feeding, Foreign, Layout, Range, Triple, fixed_size, wrap

PICTURES = 240  # that each way of feeding is tried on
MARGIN = 0.02  # mAP by which another way must be better to be taken for the right one
LEAST_DIM = 16  # of vectors: fewer numbers are an output of another kind, or tell few people apart
CONSTANT = 1e-5  # largest difference between unit vectors of different pictures that is no difference
NEIGHBOURS = 7  # pictures in the batch that shows whether they matter
ARITHMETIC = ("Add", "BatchNormalization", "Div", "InstanceNormalization", "LayerNormalization", "Mul", "Sub")
TRANSPARENT = (*ARITHMETIC, "Cast", "Clip", "Concat", "Gather", "Identity", "Reshape", "Slice", "Split", "Squeeze",
    "Transpose", "Unsqueeze")  # fmt: skip
COLOURS: tuple[Colour, ...] = ("rgb", "bgr")
NORMALISATIONS: tuple[tuple[Range, Triple, Triple], ...] = (  # in RGB order
    ("0-1", (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),  # ImageNet, as torchvision has it
    ("0-1", (0.0, 0.0, 0.0), (1.0, 1.0, 1.0)),
    ("0-255", (0.0, 0.0, 0.0), (1.0, 1.0, 1.0)),
    ("0-1", (0.5, 0.5, 0.5), (0.5, 0.5, 0.5)),
    ("0-255", (123.675, 116.28, 103.53), (1.0, 1.0, 1.0)),  # ImageNet, as Caffe has it: no deviation
)


@dataclass(frozen=True, slots=True)
class Told:
    """What the user said; None where the probe is to find out."""

    layout: Layout | None = None
    colour: Colour | None = None
    range: Range | None = None
    mean: Triple | None = None
    deviation: Triple | None = None

    def fits(self, feeding: Feeding) -> bool:
        """Whether a way of feeding is one of those the user left open."""
        pairs = (
            (self.layout, feeding.layout), (self.colour, feeding.colour), (self.range, feeding.range),
            (self.mean, feeding.mean), (self.deviation, feeding.deviation),
        )  # fmt: skip
        return all(told is None or told == found for told, found in pairs)


@dataclass(frozen=True, slots=True)
class Trial:
    """One way of feeding and what it gave. `fault` says why it cannot be right; then there are no figures."""

    feeding: Feeding
    fault: str = ""
    mean_ap: float = 0.0
    rank_1: float = 0.0
    between: float = 0.0  # mean cosine between pictures of different identities: near 1 little is told apart
    precisions: tuple[float, ...] = ()  # of each query


def find_layout(foreign: Foreign, told: Layout | None) -> Layout:
    """NCHW or NHWC, by where the 3 channels stand. Raises Refused when they stand nowhere, not where they were told to,
    or, not told, maybe here and maybe there."""
    possible: list[Layout] = []
    if foreign.shape[1] in (3, None):
        possible.append("nchw")
    if foreign.shape[3] in (3, None):
        possible.append("nhwc")
    shape = " × ".join("any" if size is None else str(size) for size in foreign.shape)
    if not possible:
        raise Refused(f"the network takes {shape}; 3 colours are needed in the second or in the last place")
    if told is not None and told not in possible:
        raise Refused(f"the network takes {shape}, which is not {told}; leave --layout out, or say {possible[0]}")
    exact = [one for one in possible if foreign.shape[1 if one == "nchw" else 3] == 3]
    if told is None and len(exact or possible) > 1:
        raise Refused(f"the network takes {shape}, which may be nchw or nhwc; say which with --layout")
    return told or (exact or possible)[0]


def find_size(foreign: Foreign, layout: Layout, told: tuple[int, int] | None) -> tuple[int, int]:
    """Height and width, pixels. Raises Refused when the graph fixes another size than was told, or none was."""
    height, width = fixed_size(foreign, layout)
    if told is None and (height is None or width is None):
        raise Refused("the network takes pictures of any size; say the one it was trained on with --size HEIGHTxWIDTH")
    size = (height or (told or (0, 0))[0], width or (told or (0, 0))[1])
    if told is not None and told != size:
        raise Refused(
            f"the network takes {size[0]}x{size[1]} pixels, --size says {told[0]}x{told[1]} (height first); "
            f"say --size {size[0]}x{size[1]} or leave it out"
        )
    return size


def normalises_inside(foreign: Foreign) -> list[str]:
    """The arithmetic on pixels that stands before the first layer, such as Sub and Div; empty when there is none."""
    reached, found = {foreign.put}, []
    for node in foreign.model.graph.node:
        if reached.intersection(node.input) and node.op_type in TRANSPARENT:
            reached.update(node.output)
            if node.op_type in ARITHMETIC:
                found.append(str(node.op_type))
    return found


def ways(foreign: Foreign, layout: Layout, told: Told) -> list[Feeding]:
    """The ways of feeding worth trying: the usual ones, and what was told with what it leaves open.

    Raises Refused when what was told cannot be done to this network.
    """
    if foreign.element == TensorProto.UINT8:  # it takes pixels as they are
        found = [Feeding(layout, colour, "0-255") for colour in COLOURS]
    else:
        found = [feed(layout, colour, *one, turn=colour == "bgr") for colour in COLOURS for one in NORMALISATIONS]
        if told.mean is not None or told.deviation is not None:
            ranges: tuple[Range, ...] = (told.range,) if told.range else ("0-1", "0-255")
            mean, deviation = told.mean or MEAN, told.deviation or DEVIATION
            found += [feed(layout, colour, one, mean, deviation) for one in ranges for colour in COLOURS]
            found += [feed(layout, colour, one, mean, deviation, turn=True) for one in ranges for colour in COLOURS]
    if not any(told.fits(one) for one in found):
        raise Refused("the network takes uint8, pixels as they are; leave out --range, --mean and --std")
    return list(dict.fromkeys(found))


def feed(layout: Layout, colour: Colour, scale: Range, mean: Triple, deviation: Triple, turn: bool = False) -> Feeding:
    """A way of feeding; `turn` for a mean and deviation that stand in the other order of colours."""
    if turn:
        (a, b, c), (d, e, f) = mean, deviation
        mean, deviation = (c, b, a), (f, e, d)
    return Feeding(layout, colour, scale, mean, deviation)


def try_ways(
    foreign: Foreign, found: Sequence[Feeding], size: tuple[int, int], exam: Exam, *, alone: bool
) -> list[Trial]:
    """Each way of feeding on the same pictures."""
    images = prepare([exam.images[k] for k in range(len(exam.images))], size)
    bar = tqdm(found, desc="trying ways to feed it", disable=None)
    return [try_one(wrap(foreign, feeding, size, alone=alone), feeding, images, exam) for feeding in bar]


def try_one(graph: bytes, feeding: Feeding, images: NDArray[np.uint8], exam: Exam) -> Trial:
    """One way of feeding on an exam's images (n, height, width, 3)."""
    vectors = run(open_graph(graph), images)
    short = f"a vector of {vectors.shape[1]} numbers, {LEAST_DIM} are needed" if vectors.shape[1] < LEAST_DIM else ""
    if fault := short or find_fault(vectors):
        return Trial(feeding, fault)
    scores = examine(exam, vectors)
    ids = exam.identities
    strangers = (vectors @ vectors.T)[ids[:, None] != ids[None, :]]
    return Trial(feeding, "", scores.mean_ap, scores.rank(1), float(strangers.mean()), tuple(precisions(exam, vectors)))


def find_fault(vectors: NDArray[np.float32]) -> str:
    """Why vectors of different pictures (n, dim) cannot be of use, or nothing."""
    if not np.isfinite(vectors).all():
        return f"{int((~np.isfinite(vectors)).any(axis=1).sum())} of {len(vectors)} vectors are not finite"
    if np.abs(np.linalg.norm(vectors, axis=1) - 1).max() > 1e-3:
        return "a picture gives a vector of zeros"
    if np.abs(vectors - vectors[0]).max() < CONSTANT:
        return "every picture gives the same vector"
    return ""


def choose(trials: Sequence[Trial], told: Told, *, as_told: bool) -> Trial:
    """The best way of feeding among those that fit what the user said; the most usual of those that are as good.

    Raises Refused when none gives vectors of use, or, unless `as_told`, when what was said is clearly worse than
    another way: by MARGIN in mAP and twice the standard error of the difference over the queries.
    """
    usable = [one for one in trials if not one.fault]
    if not usable:
        raise Refused(f"{trials[0].fault}, however the pictures are fed; the file is damaged, or --output is another")
    best = max(usable, key=lambda one: one.mean_ap)
    fitting = [one for one in trials if told.fits(one.feeding)]
    if not (alike := as_good(fitting)):
        raise Refused(f"{fitting[0].fault} with {fitting[0].feeding.flags}; likely right: {best.feeding.flags}")
    mine = alike[0]
    if is_better(best, mine) and not as_told:
        raise Refused(
            f"{mine.feeding.flags} gives mAP {mine.mean_ap:.3f}, {best.feeding.flags} gives {best.mean_ap:.3f} on the "
            f"same pictures: {name_mistake(mine.feeding, best.feeding)}; say the latter, or --as-told if you are sure"
        )
    return mine


def as_good(trials: Sequence[Trial]) -> list[Trial]:
    """Those that the best is not better than by more than chance, in the order given, which begins with what is most
    usual: where colours or range hardly matter to a network the usual way is the likelier."""
    usable = [one for one in trials if not one.fault]
    best = max(usable, key=lambda one: one.mean_ap, default=None)
    return [one for one in usable if best is not None and not is_better(best, one)]


def is_better(some: Trial, other: Trial) -> bool:
    """Whether one way is better than another by more than chance."""
    gains = np.array(some.precisions) - np.array(other.precisions)
    return bool(gains.mean() > MARGIN and is_above_chance(gains))


def name_mistake(wrong: Feeding, right: Feeding) -> str:
    """What is likely the matter when one way is right and another was told."""
    found = []
    if wrong.colour != right.colour:
        found.append(f"the colours are in {right.colour.upper()} order")
    if wrong.range != right.range:
        found.append(f"pixels range over {right.range}")
    order = 1 if wrong.colour == right.colour else -1
    if (wrong.mean[::order], wrong.deviation[::order]) != (right.mean, right.deviation):
        inside = (right.mean, right.deviation) == (MEAN, DEVIATION)
        found.append("it normalises inside, so they would be normalised twice" if inside else "mean and std are others")
    return " and ".join(found)


def must_run_alone(foreign: Foreign, found: Sequence[Feeding], size: tuple[int, int], exam: Exam) -> str:
    """Why a network cannot be run on several pictures at once, or nothing: it fails there, or gives other vectors than
    for each picture alone. The first way of feeding that gives vectors at all decides."""
    images = prepare([exam.images[k] for k in range(min(NEIGHBOURS, len(exam.images)))], size)
    for feeding in found:
        expected = run(open_graph(wrap(foreign, feeding, size, alone=True)), images, batch=1)
        if find_fault(expected):
            continue
        try:
            session = open_graph(wrap(foreign, feeding, size, alone=False))
            together = run(session, images, batch=len(images))
            if run(session, images[:1], batch=1).shape != expected[:1].shape:
                return "its vector of a picture alone has lost the batch"
        except Refused as error:
            return f"its batch is fixed inside ({error})"
        if len(together) != len(expected):
            return "its batch is fixed inside (it mixes the pictures of a batch into one vector)"
        cosine = least_cosine(together, expected)
        if cosine < AGREEMENT:
            return f"its vectors depend on the other pictures of a batch (cosine {cosine:.4f} to each alone)"
        return ""
    return ""


def embed_all(graph: bytes, exam: Exam, what: str) -> NDArray[np.float32]:
    """Vectors of an exam's pictures by a wrapped graph. Raises Refused when one is of no use."""
    vectors = embed(describe_by_graph(open_graph(graph)), exam, what)
    if fault := find_fault(vectors):
        raise Refused(f"on all pictures of {exam.name}: {fault}")
    return vectors
