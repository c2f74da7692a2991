"""The kinds of index that can be asked for by name."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import faiss
import numpy as np

from service.index.accelerators import Accelerator, Source, build_by_factory, empty_index, least_rows
from service.index.cards import Card, find_card
from service.index.sketch import ROUNDING

HALF_ROUNDING = 2e-3  # twice 2 ** -10, the bound of both vectors' rounding to float16: a row that was not fetched may
# score too little, and the worst one that was, too much


@dataclass(frozen=True, slots=True)
class Kind:
    """How rows are kept, and what makes their search faster."""

    name: str
    dtype: type[np.floating[Any]] = np.float32
    build: Callable[[Source], Accelerator] | None = None  # None: every row is compared
    sweep: Callable[[], None] = lambda: None  # has accelerators that nobody holds leave memory
    slack: float = ROUNDING  # by how much a row that was not fetched may be better than the worst one that was
    widening: int = 1  # how often k is fetched first,
    spare: int = 16  # and how many more, so that ties at the edge are usually settled in one round
    least: int = 1  # rows below which there is no accelerator


GPU = "gpu"
EXACT = Kind("exact")
EXACT_HALVES = Kind("exact-fp16", np.float16)


def check_kind(name: str, dim: int) -> None:
    """Raises IndexRefused where there is no such kind here; takes nothing of a card that others may need."""
    if name == GPU:
        find_card()
    else:
        kind_of(name, dim)


def kind_of(name: str, dim: int, library: Any = faiss) -> Kind:
    """The kind that a setting names: exact, exact-fp16, gpu, or a FAISS factory string, with its search parameters
    after a semicolon. Raises IndexRefused where there is no such kind here."""
    if name == EXACT.name:
        return EXACT
    if name == EXACT_HALVES.name:
        return EXACT_HALVES
    if name == GPU:
        card = Card(library)
        return Kind(GPU, build=card.build, sweep=card.sweep, slack=HALF_ROUNDING, widening=2, spare=64)
    factory, _, parameters = (part.strip() for part in name.partition(";"))
    empty = empty_index(factory, parameters, dim)
    build = partial(build_by_factory, factory, parameters)
    if empty.is_trained:  # what must be trained first cannot be tried on a few rows
        build(Source(1, dim, lambda: iter([np.eye(1, dim, dtype=np.float32)])))
    return Kind(name, build=build, slack=0, widening=2, spare=64, least=least_rows(empty))
