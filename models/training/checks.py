"""Checks before training, each cheap and each with a reason: `python -m models train DATA --out RUN --check`."""

import math
from dataclasses import dataclass, replace

import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor
from tqdm import tqdm

from models.evaluation.features import extract, model_of
from models.training.flags import Flags, check_flags
from models.training.gradients import check_losses
from models.training.learner import Batch, Learner, make_learner
from models.training.material import gather
from models.training.watching import Image

FEW = 20  # pictures to learn by heart
ZERO = 0.05  # a loss that counts as none
PATIENCE = 300  # steps to get there
HEART_RATE = 3e-3  # to learn by heart with
RIGHT = 1e-6  # largest relative error of a gradient in double precision
MOST = 0.95  # share of the weights that have a gradient at the start
NEAR = 0.05  # share of ln(identities) that the first loss may be off


@dataclass(frozen=True, slots=True)
class Check:
    """What was measured and what was expected of it."""

    name: str
    measured: str
    expected: str
    passed: bool


def check(flags: Flags) -> list[Check]:
    """All checks on these flags and their data; nothing is written."""
    flags = replace(flags, average=0.0, accumulate=1, freeze_steps=0, resize="", compile=False)
    flags = check_flags(flags)
    torch.set_num_threads(flags.threads)
    torch.manual_seed(flags.seed)
    material = gather(flags)
    batch, identities = material.batches[0], material.identities
    found = [check_first_loss(make_learner(flags, identities), batch, identities)] if flags.objective().identity else []
    return [
        *found,
        check_by_heart(flags, batch),
        *check_reach(make_learner(flags, identities), batch),
        check_calm(make_learner(flags, identities), [one.image for one in material.train.gallery[:32]]),
        *check_gradients(),
    ]


def check_first_loss(learner: Learner, batch: Batch, identities: int) -> Check:
    """Without knowledge every identity is as likely: the classifier's loss is ln(number of identities)."""
    learner.prepare(0, None)
    images, labels = (one.to(learner.device) for one in batch)
    with torch.no_grad():
        _, parts = learner.objective(learner.embed(images), labels)
    expected, first = math.log(identities), float(parts["identity"])
    wanted = f"ln({identities}) = {expected:.3f} ± {NEAR:.0%}"
    return Check("first identity loss", f"{first:.3f}", wanted, abs(first - expected) <= NEAR * expected)


def check_by_heart(flags: Flags, batch: Batch, patience: int = PATIENCE) -> Check:
    """A network that cannot learn 20 pictures by heart will learn nothing."""
    images, labels = few_of(batch)
    plain = replace(
        flags, losses="identity=1", smoothing=0.0, erase=0.0, optimiser="adamw", decay=0.0, precision="fp32"
    )
    learner = make_learner(replace(plain, steps=patience), int(labels.max()) + 1)
    total, step = math.inf, 0
    for step in tqdm(range(patience), desc=f"learning {len(images)} pictures by heart", disable=None):
        total = learner.learn(step, [(images, labels)], rate=HEART_RATE).total
        if total < ZERO:
            break
    measured = f"loss {total:.3f} after {step + 1} steps"
    return Check(f"{len(images)} pictures by heart", measured, f"below {ZERO} in {patience}", total < ZERO)


def few_of(batch: Batch) -> Batch:
    """At most FEW pictures of a batch, spread over its people, with labels from 0."""
    images, labels = batch
    every = -(-len(labels) // FEW)  # a batch is sorted by person: the first FEW may be of one
    _, numbered = torch.unique(labels[::every], return_inverse=True)
    return images[::every], numbered


def check_reach(learner: Learner, batch: Batch) -> list[Check]:
    """Every weight is wired to the loss, and nearly every one gets a gradient within two steps.

    A unit whose ReLU is 0 for a whole batch has none, which a few may have at the start.
    """
    wired, moved = set[str](), set[str]()
    for step in range(2):  # two: what follows a weight that starts at 0 gets its gradient in the second
        learner.learn(step, [batch], rate=1e-4)
        found = {name: weight.grad for name, weight in weights_of(learner) if weight.grad is not None}
        wired |= set(found)
        moved |= {name for name, gradient in found.items() if bool(gradient.any())}
    names = [name for name, _ in weights_of(learner)]
    return [
        Check("weights wired to the loss", list_missing(names, wired), "all", len(wired) == len(names)),
        Check(
            "weights with a gradient",
            list_missing(names, moved),
            f"at least {MOST:.0%}",
            len(moved) >= MOST * len(names),
        ),
    ]


def list_missing(names: list[str], found: set[str]) -> str:
    """How many of the names were found, and the first that were not."""
    missing = [name for name in names if name not in found]
    return f"{len(found)} of {len(names)}" + (f", not {', '.join(missing[:3])}" if missing else "")


def weights_of(learner: Learner) -> list[tuple[str, Tensor]]:
    """All weights that can learn, by name."""
    both = [*learner.network.named_parameters(), *learner.objective.named_parameters(prefix="objective")]
    return [(name, weight) for name, weight in both if weight.requires_grad]


def check_calm(learner: Learner, images: list[Image]) -> Check:
    """Nothing is random in validation: the same pictures, described again, give the same vectors."""
    vectors = []
    for seed in (1, 2):
        torch.manual_seed(seed)
        learner.network.train()
        vectors.append(extract(model_of(learner.network, "the network", learner.flags.device), images))
    apart = float(abs(vectors[0] - vectors[1]).max())
    return Check("difference of vectors, described twice", f"{apart:g}", "0", apart == 0)


def check_gradients() -> list[Check]:
    """The gradient of every loss against central differences in double precision."""
    return [
        Check(f"gradient of {name}, relative error", f"{error:.1e}", f"below {RIGHT:.0e}", error < RIGHT)
        for name, error in check_losses().items()
    ]


def print_checks(checks: list[Check]) -> bool:
    """A table; gives whether all passed."""
    table = Table("check", "measured", "expected", "")
    for one in checks:
        table.add_row(one.name, one.measured, one.expected, "[green]passed" if one.passed else "[red]failed")
    Console().print(table)
    return all(one.passed for one in checks)
