"""`python -m models`: draw people, train, evaluate, export, or bring a network from outside.

Exit status: 0 done, 1 the figures or checks are not good enough, 2 the command cannot be used, 3 refused with the
reason, 130 stopped and saved, 143 ended by SIGTERM.
"""

import ast
import os
import signal
import sys
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from types import FrameType
from typing import Any

import typer
from rich.console import Console
from typer.core import TyperCommand

from models.errors import Refused

COMMANDS = {  # where each stands: only that is imported which the command needs, since PyTorch alone takes seconds
    "people": "models.people.command:people",
    "check-data": "models.data.command:check_data",
    "find-rate": "models.training.finder:find_command",
    "train": "models.training.train:train_command",
    "tune": "models.training.tune:tune_command",
    "report": "models.training.report:report_command",
    "evaluate": "models.evaluation.command:evaluate",
    "thresholds": "models.evaluation.thresholds:thresholds",
    "export": "models.exporting.export:export",
    "import": "models.exporting.bring:bring",
    "card": "models.evaluation.card:card",
}


class Later(TyperCommand):
    """A command known by its name and help; its module is imported when it is run or asked for its own help."""

    def make_context(self, *arguments: Any, **options: Any) -> Any:
        """The context of the command itself, which is then invoked in place of this one."""
        module, _, function = COMMANDS[str(self.name)].partition(":")
        alone = typer.Typer(add_completion=False, rich_markup_mode="rich")
        alone.command(self.name)(getattr(import_module(module), function))
        return typer.main.get_command(alone).make_context(*arguments, **options)


def describe(place: str) -> str:
    """The docstring of a command, read without importing it."""
    module, _, function = place.partition(":")
    file = Path(__file__).parents[1].joinpath(*module.split(".")).with_suffix(".py")
    found = [node for node in ast.parse(file.read_text("utf-8")).body if getattr(node, "name", "") == function]
    return ast.get_docstring(found[0]) or ""  # type: ignore[arg-type]  # a function


os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # read when PyTorch is imported; 0022 has what spinning costs

app = typer.Typer(no_args_is_help=True, pretty_exceptions_enable=False, rich_markup_mode="rich")


@app.callback()
def models() -> None:
    """The extractor: draw people, train, evaluate, export, or bring one from outside."""


for name, place in COMMANDS.items():
    app.command(name, cls=Later, help=describe(place))(lambda: None)


def one_line(command: Callable[[], None]) -> None:
    """Run a command; what goes wrong is one line that says what to do."""
    try:
        command()
    except ModuleNotFoundError as error:
        if str(error.name).partition(".")[0] in ("models", "service"):
            raise
        problem = f"{error.name} is not installed, which this command needs; `make .venv/train` installs all that is"
    except (Refused, OSError) as error:
        problem = str(error)
    else:
        return
    Console(stderr=True, soft_wrap=True).print(f"models: {problem}", style="red", markup=False, highlight=False)
    sys.exit(3)


def run_alone(command: Callable[[], None]) -> None:
    """Run a command as a process of its own, with which those end that draw and read for it."""
    signal.signal(signal.SIGTERM, end)
    one_line(command)


def end(number: int, at: FrameType | None) -> None:
    """Leave as on an error."""
    sys.exit(128 + number)


if __name__ == "__main__":
    run_alone(app)
