"""What a training depends on, as one frozen dataclass, and how the command line gives it."""

import inspect
import math
import typing
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

import torch
import typer

from models.data.reading import SEED
from models.errors import Refused
from models.evaluation.exported import read_start
from models.network import Architecture
from models.runs import option
from models.training.compiling import find_compiler
from models.training.losses import NAMES, Weights
from models.training.notation import read_losses, read_milestones, read_sizes
from models.training.schedules import SCHEDULES
from models.widening import widens

PEOPLE = "people"  # DATA that stands for synthetic people, drawn on the fly
FREE = frozenset({"device", "threads", "drawers", "compile"})  # where it runs: may change on --resume

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Bounds:
    """Values from `least` to `most` that a flag may have; `open_least`, `open_most`: not those themselves."""

    least: float
    most: float = math.inf
    open_least: bool = False
    open_most: bool = False

    def hold(self, value: float) -> bool:
        """Whether the value is one of them; infinity and NaN are none."""
        above = value > self.least if self.open_least else value >= self.least
        below = value < self.most if self.open_most else value <= self.most
        return math.isfinite(value) and above and below

    def in_words(self) -> str:
        """As a user is told."""
        least = f"above {self.least:g}" if self.open_least else f"at least {self.least:g}"
        most = f"below {self.most:g}" if self.open_most else f"at most {self.most:g}"
        return least if math.isinf(self.most) else f"{least} and {most}"


SHARE, COUNT = Bounds(0, 1), Bounds(1)
BOUNDS = {  # of every number but those that the architecture checks
    "hold_out": Bounds(0, 1, open_most=True),
    "watched": Bounds(0),
    "early_factor": Bounds(0, 1, open_least=True),
    "people": Bounds(2),
    "pictures": Bounds(2),
    "alike": Bounds(0),
    "accumulate": COUNT,
    "identities": Bounds(2),
    "views": COUNT,
    "scenes": COUNT,
    "calm": SHARE,
    "ramp": SHARE,
    "erase": SHARE,
    "steps": COUNT,
    "smoothing": Bounds(0, 1, open_most=True),
    "temperature": Bounds(0, open_least=True),
    "margin": Bounds(0),
    "rate": Bounds(0, open_least=True),
    "decay": Bounds(0),
    "warm_up": Bounds(0),
    "factor": Bounds(0, 1, open_least=True),
    "freeze_steps": Bounds(0),
    "average": Bounds(0, 1, open_most=True),
    "note_every": COUNT,
    "seed": Bounds(0, 2**32 - 1),
    "threads": COUNT,
    "drawers": Bounds(0),
}


def flag(default: T, meaning: str) -> T:
    """A field of Flags with its meaning for --help."""
    return field(default=default, metadata={"help": meaning})


@dataclass(frozen=True, slots=True)
class Flags:
    """What a run depends on; with the same flags and the same machine every step is the same."""

    data: str = flag(PEOPLE, "a folder of pictures, or `people` for synthetic people drawn on the fly")
    layout: str = flag("auto", "how the pictures of a folder are named")
    pattern: str | None = flag(None, "regular expression that finds the camera in names; see check-data")
    validate: str = flag("", "more folders to validate on, separated by commas")
    hold_out: float = flag(0.2, "share of people to validate on, where a folder does not say who")
    watched: int = flag(60, "people of each set in a validation; 0: all")
    choose_by: Literal["mAP", "rank-1", "mINP"] = flag("mAP", "the metric that the best checkpoint has most of")
    choose_on: str = flag("", "validation sets whose mean it is, separated by commas; empty: all that are foreign")
    # the network
    backbone: str = flag("osnet-x0.25", "osnet-x0.25 … osnet-ain-x1.0, mobilenetv2-x1.0, resnet50, resnet50-ibn …")
    pooling: str = flag("stripes", "average, max, gem, stripes or global+stripes")
    stripes: int = flag(4, "horizontal bands that --pooling stripes keeps apart")
    dim: int = flag(512, "length of a vector")
    projected: bool = flag(True, "a projection to --dim; without it the vector is what was pooled")
    neck: bool = flag(True, "batch normalisation between metric losses and classifier (BNNeck)")
    standardise: str = flag("picture", "picture, imagenet or none")
    height: int = flag(128, "of the input, pixels")
    width: int = flag(64, "of the input, pixels")
    last_stride: int = flag(1, "of ResNet-50 and MobileNetV2: 1 or 2")
    weights: str = flag("", "a file of initial weights, used where names and shapes match")
    start: str = flag("", "a run or an exported folder to fine-tune: its weights, and its network or a wider OSNet")
    early_factor: float = flag(1.0, "learning rate of the earliest layer as a share of the last one's")
    # batches
    people: int = flag(32, "in a batch (P)")
    pictures: int = flag(4, "of each of them (K)")
    alike: int = flag(0, "people of a batch who look alike to the network of --from, in groups of so many; 0: anybody")
    accumulate: int = flag(1, "batches whose gradients make one step")
    identities: int = flag(1000, "synthetic people to draw")
    views: int = flag(16, "cut-outs of each synthetic person")
    scenes: int = flag(400, "synthetic backgrounds")
    augment: Literal["none", "light", "full"] = flag("full", "random changes to the pictures of a folder")
    calm: float | None = flag(None, "share of the changes' strength at the first step: 1, or 0.25 for synthetic people")
    ramp: float = flag(0.5, "share of the steps after which they are at full strength")
    erase: float = flag(0.0, "share of pictures with a random rectangle erased")
    # learning
    steps: int = flag(4000, "updates of the weights")
    losses: str = flag(
        "contrastive=1,identity=0.3", "identity, triplet, contrastive, circle, center with their weights"
    )
    smoothing: float = flag(0.1, "of the labels in the identity loss")
    temperature: float = flag(0.1, "of the contrastive loss")
    margin: float = flag(0.3, "of the triplet loss; 0: the soft margin")
    metric: Literal["before", "after"] = flag("after", "the neck: where losses of distance take vectors")
    optimiser: Literal["adamw", "sgd"] = flag("adamw", "AdamW, or SGD with Nesterov momentum 0.9")
    rate: float = flag(6e-3, "learning rate at its peak, after the warm-up")
    decay: float = flag(1e-2, "weight decay")
    schedule: str = flag("cosine", "step, cosine, linear, inverse-sqrt or one-cycle")
    warm_up: int = flag(100, "steps of rising learning rate; a fifth of --steps where those are no more")
    milestones: str = flag("0.5,0.8", "of --schedule step: shares of the steps after which the rate falls")
    factor: float = flag(0.1, "of --schedule step: what the rate is multiplied by at each")
    precision: Literal["fp32", "bf16", "fp16"] = flag("fp32", "of the network's arithmetic; losses are always fp32")
    resize: str = flag("", "smaller pictures first: SHARE@HEIGHTxWIDTH,…, say 0.5@64x32 for the first half")
    freeze_steps: int = flag(0, "first steps in which the backbone stays as it is")
    average: float = flag(0.0, "decay of a moving average of the weights, say 0.999, which is then judged and kept")
    note_every: int = flag(200, "steps between validations and saved checkpoints")
    seed: int = flag(SEED, "of everything random")
    # where it runs
    device: Literal["cpu", "cuda"] = flag("cpu", "cpu or cuda")
    threads: int = flag(2, "of PyTorch on the CPU")
    drawers: int = flag(1, "processes that make batches; 0 makes them in between")
    compile: bool = flag(False, "the network first, a minute or two: each step is faster then; needs a C++ compiler")

    def objective(self) -> Weights:
        """The losses that these flags describe."""
        shape = {"smoothing": self.smoothing, "temperature": self.temperature, "margin": self.margin}
        chosen = {**dict.fromkeys(NAMES, 0.0), **read_losses(self.losses)}
        return Weights(**chosen, **shape, metric=self.metric)

    def architecture(self) -> Architecture:
        """The network that these flags describe."""
        shared = {one.name for one in fields(Architecture)} & {one.name for one in fields(Flags)}
        return Architecture(**{name: getattr(self, name) for name in shared})


def check_flags(flags: Flags) -> Flags:
    """The flags, with the architecture of the run in --from. Raises Refused for values that no training can have."""
    for name, bounds in BOUNDS.items():
        if (value := getattr(flags, name)) is not None and not bounds.hold(value):
            raise Refused(f"{option(name)} {value}: give {bounds.in_words()}")
    kinds = typing.get_type_hints(Flags)
    choices = {name: typing.get_args(kind) for name, kind in kinds.items() if typing.get_origin(kind) is Literal}
    for name, known in {**choices, "schedule": SCHEDULES}.items():
        if getattr(flags, name) not in known:
            raise Refused(f"{option(name)} {getattr(flags, name)}: give one of {', '.join(known)}")
    if flags.device == "cuda" and not torch.cuda.is_available():
        raise Refused("--device cuda: PyTorch sees no CUDA device; give --device cpu")
    if flags.precision == "fp16" and flags.device == "cpu":
        raise Refused("--precision fp16: needs --device cuda; give bf16 on the CPU")
    if flags.compile and flags.device == "cpu" and find_compiler() is None:
        raise Refused(
            "--compile: needs a C++ compiler and the headers of Python; install g++ and python3-dev, or give "
            "--no-compile"
        )
    read_milestones(flags.milestones)
    flags.objective()
    if flags.start:
        flags = follow_start(flags)
    flags.architecture()
    check_sizes(flags)
    if flags.alike == 1 or flags.alike > flags.people:
        raise Refused(f"--alike {flags.alike}: give 2 to {flags.people}, the people of a batch, or 0 for no groups")
    if flags.alike and not flags.start:
        raise Refused("--alike: needs a network that knows who looks alike; name a run or an exported folder by --from")
    return flags


def check_sizes(flags: Flags) -> None:
    """Raises Refused for a size of --resize at which a backbone that normalises each picture has one point left to."""
    deep = "-ain" in flags.backbone or flags.backbone == "resnet50-ibn"  # down to maps of 1/16
    for _, height, width in read_sizes(flags.resize):
        if deep and (height // 16) * (width // 16) < 2:
            raise Refused(
                f"--resize {flags.resize}: {height}x{width} is too small for {flags.backbone}, which needs two points "
                "at 1/16 of the size; give at least 32x16"
            )


def follow_start(flags: Flags, told: set[str] | None = None) -> Flags:
    """The flags with the architecture of --from, but for a wider backbone. Raises Refused for what was `told` and is
    another there; where it is not known what was told, for what is not the usual."""
    usual = Flags()
    start: dict[str, Any] = read_start(Path(flags.start)).to_json()
    if widens(str(start["backbone"]), flags.backbone) and (told is None or "backbone" in told):
        start["backbone"] = flags.backbone
    for name, value in start.items():
        given = getattr(flags, name)
        if given != value and (name in told if told is not None else given != getattr(usual, name)):
            raise Refused(
                f"{option(name)} {given}: the network of --from {flags.start} has {value}; leave {option(name)} out, "
                "or train another network without --from"
            )
    return replace(flags, **start)


def list_told(context: typer.Context, given: dict[str, Any]) -> set[str]:
    """The names of options that the command line has, and not only their defaults."""
    return {name for name in given if str(context.get_parameter_source(name)).rpartition(".")[2] != "DEFAULT"}


def size_at(flags: Flags, step: int) -> tuple[int, int]:
    """Height and width of the pictures in a step: progressive resizing (Howard, DAWNBench 2018).

    >>> [size_at(Flags(steps=4, resize="0.5@64x32"), step) for step in range(4)]
    [(64, 32), (64, 32), (128, 64), (128, 64)]
    """
    for share, height, width in read_sizes(flags.resize):
        if step < share * flags.steps:
            return height, width
    return flags.height, flags.width


def take_flags(command: Callable[..., None]) -> Callable[..., None]:
    """Give a Typer command one option for each field of Flags but `data`, which it receives by name."""
    hints = typing.get_type_hints(Flags)
    own = [
        one for one in inspect.signature(command, eval_str=True).parameters.values() if one.kind is not one.VAR_KEYWORD
    ]
    options = [
        inspect.Parameter(
            one.name,
            inspect.Parameter.KEYWORD_ONLY,
            default=one.default,
            annotation=Annotated[hints[one.name], typer.Option(*names_of(one.name), help=one.metadata["help"])],
        )
        for one in fields(Flags)
        if one.name != "data"
    ]
    command.__signature__ = inspect.Signature([*own, *options])  # type: ignore[attr-defined]  # what Typer reads
    return command


def names_of(name: str) -> list[str]:
    """What an option is called where the field's name does not say it."""
    return ["--from"] if name == "start" else []


def merge_flags(data: str, given: dict[str, Any], told: set[str], before: dict[str, Any]) -> Flags:
    """Flags for a resumed run: those `told` on the command line, the others as the run had them."""
    known = {one.name for one in fields(Flags)}
    kept = {name: value for name, value in before.items() if name in known and name not in told | {"data"}}
    return Flags(**{**given, **kept, "data": data})


def list_flags(flags: Flags) -> dict[str, Any]:
    """The flags as run.json holds them."""
    return asdict(flags)
