"""What to say where a training needs more memory than there is."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from models.errors import Unfit

SIGNS = ("can't allocate memory", "out of memory")  # in what PyTorch says on the CPU and on CUDA


@contextmanager
def within_memory() -> Iterator[None]:
    """Raises Unfit where memory runs out, with the flags that need less of it."""
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        short = isinstance(error, MemoryError | torch.OutOfMemoryError) or any(sign in str(error) for sign in SIGNS)
        if not short:
            raise
        raise Unfit(
            "this needs more memory than there is: lower --people, --pictures, --height or --width; --accumulate makes "
            "one step of several smaller batches"
        ) from error
