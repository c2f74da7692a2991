"""A network with its losses, optimiser and moving average: all that a step of training changes."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import interpolate
from torch.optim.swa_utils import AveragedModel

from models.data.erasing import RandomErasing
from models.errors import NotFinite, Refused
from models.evaluation.exported import load_start
from models.network import Embedded, Extractor
from models.training.compiling import compile_embed
from models.training.flags import Flags, size_at
from models.training.losses import Objective
from models.training.memory import within_memory
from models.training.notation import read_milestones
from models.training.parameters import freeze, parameter_groups
from models.training.schedules import rate_at
from models.training.watching import Watch
from models.weights import load_weights
from models.widening import widen

Batch = tuple[Tensor, Tensor]  # uint8 images (N, H, W, 3) and labels (N,)
PRECISIONS = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


@dataclass(frozen=True, slots=True)
class Loss:
    """The loss of a step and its parts, means over its batches, and the learning rate."""

    total: float
    parts: dict[str, float]
    rate: float


class Learner:
    """Takes steps. Its state can be saved and loaded, after which every step is what it would have been."""

    def __init__(self, flags: Flags, network: Extractor, objective: Objective, loaded: str = "") -> None:
        self.flags, self.device = flags, torch.device(flags.device)
        self.loaded = loaded  # what became of the file of initial weights, in words
        network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # missing in PyTorch's types
        self.network, self.objective = network.to(self.device), objective.to(self.device)
        self.fast = compile_embed(network.embed) if flags.compile else network.embed
        groups = parameter_groups(network, objective, 1.0, flags.decay, flags.early_factor)
        self.optimiser: torch.optim.Optimizer
        if flags.optimiser == "adamw":
            self.optimiser = torch.optim.AdamW(groups)
        else:
            self.optimiser = torch.optim.SGD(groups, momentum=0.9, nesterov=True)
        self.factors = [group["lr"] for group in groups]  # of the step's rate, lower for early layers
        self.scaler = torch.amp.GradScaler("cuda", enabled=flags.precision == "fp16")
        self.average: AveragedModel | None = None
        if flags.average:
            self.average = AveragedModel(network, multi_avg_fn=averaging(flags.average), use_buffers=True)

    @property
    def judged(self) -> Extractor:
        """The network that is validated and kept: the average where there is one."""
        if self.average is None:
            return self.network
        assert isinstance(self.average.module, Extractor)
        return self.average.module

    @within_memory()
    def learn(self, step: int, batches: list[Batch], watch: Watch | None = None, rate: float | None = None) -> Loss:
        """One update of the weights by the gradients of the batches. `rate` stands in for the schedule's.

        Raises Refused when the loss is not finite; the weights are then those before the step.
        """
        rate = self.prepare(step, rate)
        if watch:
            watch.begin(self.network)
        self.optimiser.zero_grad(set_to_none=True)
        total, parts = 0.0, dict[str, float]()
        for images, labels in batches:
            images, labels = (
                shrink(images.to(self.device, non_blocking=True), *size_at(self.flags, step)),
                labels.to(self.device),
            )
            embedded = self.embed(images, self.fast if watch is None else self.network.embed)
            loss, named = self.objective(embedded, labels)
            total += loss.item() / len(batches)
            for name, part in named.items():
                parts[name] = parts.get(name, 0.0) + part.item() / len(batches)
            if not math.isfinite(total):
                raise NotFinite(not_finite(self.flags, step, total, parts, rate))
            self.scaler.scale(loss / len(batches)).backward()
            if watch:
                watch.look(images, labels, embedded.after.detach())
        self.scaler.unscale_(self.optimiser)
        self.scaler.step(self.optimiser)
        self.scaler.update()
        if watch:
            watch.end(self.network)
        if self.average is not None:
            self.average.update_parameters(self.network)
        return Loss(total, parts, rate)

    def embed(self, images: Tensor, network: Callable[[Tensor], Embedded] | None = None) -> Embedded:
        """Vectors before and behind the neck, in single precision whatever the network computes in.

        `network` is what computes them: the plain one, whose parts can be listened to, or the compiled one.
        """
        kind = PRECISIONS[self.flags.precision]
        with torch.autocast(self.device.type, kind, enabled=self.flags.precision != "fp32"):
            embedded = (network or self.network.embed)(images)
        return Embedded(embedded.before.float(), embedded.after.float())

    def prepare(self, step: int, rate: float | None) -> float:
        """Training mode, frozen backbone and learning rate of a step; gives the rate."""
        flags = self.flags
        freeze(self.network, step < flags.freeze_steps)
        self.network.train()
        self.objective.train()
        if rate is None:
            share = rate_at(
                step, flags.steps, flags.schedule,
                warm_up=flags.warm_up, milestones=read_milestones(flags.milestones), factor=flags.factor,
            )  # fmt: skip
            rate = flags.rate * share
        for group, factor in zip(self.optimiser.param_groups, self.factors, strict=True):
            group["lr"] = rate * factor
        return rate

    def state(self) -> dict[str, Any]:
        """What Checkpoint holds of it."""
        return {
            "network": self.network.state_dict(),
            "objective": self.objective.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "scaler": self.scaler.state_dict(),
            "average": self.average.state_dict() if self.average is not None else {},
        }

    def load(self, state: dict[str, Any]) -> None:
        """Set everything as `state` had it. Raises Refused for weights of another shape."""
        try:
            self.network.load_state_dict(state["network"])
            self.objective.load_state_dict(state["objective"])
            self.optimiser.load_state_dict(state["optimiser"])
            self.scaler.load_state_dict(state["scaler"])
            if self.average is not None:
                self.average.load_state_dict(state["average"])
        except (RuntimeError, ValueError) as error:
            what = str(error).splitlines()[-1].strip()
            raise Refused(
                f"last.pt: of another shape than the flags say ({what}); train again in another --out"
            ) from error


@within_memory()
def make_learner(flags: Flags, identities: int) -> Learner:
    """The network, new or as --from and --weights say, and its losses for so many identities."""
    network = load_start(Path(flags.start)) if flags.start else Extractor(flags.architecture())
    if network.architecture.backbone != flags.backbone:  # which check_flags allows for a wider one only
        network = widen(network, flags.backbone, flags.seed)
    loaded = load_weights(network, Path(flags.weights)).in_words() if flags.weights else ""
    if flags.erase:
        network.erase = RandomErasing(flags.erase)
    return Learner(flags, network, Objective(flags.objective(), identities, network.architecture.dim), loaded)


def averaging(decay: float) -> Any:
    """How AveragedModel moves: an exponential average whose decay grows to its value, so that it forgets the start."""

    def move(averages: list[Tensor], weights: list[Tensor], count: Tensor | int) -> None:
        share = 1 - min(decay, (1 + float(count)) / (10 + float(count)))
        for one, weight in zip(averages, weights, strict=True):
            if one.is_floating_point():
                one.lerp_(weight, share)
            else:
                one.copy_(weight)

    return move


def shrink(images: Tensor, height: int, width: int) -> Tensor:
    """uint8 (N, H, W, 3) in another size, bilinear with antialiasing."""
    if images.shape[1:3] == (height, width):
        return images
    small = interpolate(
        images.permute(0, 3, 1, 2).float(), (height, width), mode="bilinear", antialias=True, align_corners=False
    )
    return small.round().clamp(0, 255).to(torch.uint8).permute(0, 2, 3, 1)


def not_finite(flags: Flags, step: int, total: float, parts: dict[str, float], rate: float) -> str:
    """What to say of a loss that is NaN or infinite: which part, where, and which flags may help."""
    wrong = ", ".join(f"{name} {value:g}" for name, value in parts.items() if not math.isfinite(value))
    ways = ["lower --rate"]
    if step <= flags.warm_up:
        ways.append("lengthen --warm-up")
    if flags.precision != "fp32":
        ways.append("use --precision fp32")
    return (
        f"the loss is {total:g} at step {step + 1} ({wrong or 'their sum'}) with a learning rate of {rate:.2g}; "
        f"{' or '.join(ways)}"
    )
