"""Training with code that is compiled for one network: PyTorch's compiler fuses what runs after each convolution."""

import os
import shutil
import sysconfig
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor
from torch._dynamo.exc import BackendCompilerFailed

from models.errors import Refused
from models.network import Embedded


def find_compiler() -> str | None:
    """The C++ compiler that PyTorch takes on the CPU; None where it, or Python's headers, are missing."""
    headers = Path(sysconfig.get_paths()["include"], "Python.h")
    return shutil.which(os.environ.get("CXX", "g++")) if headers.exists() else None


def compile_embed(embed: Callable[[Tensor], Embedded]) -> Callable[[Tensor], Embedded]:
    """A network's `embed`, compiled at the first call for each size of batch and picture, a minute or two on two cores.

    Hooks on parts of the network do not hear of its calls. Calls raise Refused where compiling fails.
    """
    compiled = torch.compile(embed, dynamic=False)

    def call(images: Tensor) -> Embedded:
        try:
            embedded: Embedded = compiled(images)
        except BackendCompilerFailed as error:
            why = str(error).strip().splitlines()[0]
            raise Refused(
                f"--compile: the network could not be compiled ({why}); mend the C++ compiler, or train without it by "
                "--no-compile"
            ) from error
        return embedded

    return call
