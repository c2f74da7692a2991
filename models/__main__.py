"""`python -m models`: draw people, train, evaluate, export, or bring a network from outside.

Exit status: 0 done, 1 the figures or checks are not good enough, 2 the command cannot be used, 3 refused with the
reason, 130 stopped and saved.
"""

import sys
from collections.abc import Callable

import typer
from rich.console import Console

from models.data.command import check_data
from models.errors import Refused
from models.evaluation.card import card
from models.evaluation.command import evaluate
from models.evaluation.thresholds import thresholds
from models.exporting.bring import bring
from models.exporting.export import export
from models.people.command import people
from models.training.finder import find_command
from models.training.report import report_command
from models.training.train import train_command
from models.training.tune import tune_command

app = typer.Typer(no_args_is_help=True, pretty_exceptions_enable=False, rich_markup_mode="rich")


@app.callback()
def models() -> None:
    """The extractor: draw people, train, evaluate, export, or bring one from outside."""


app.command()(people)
app.command("check-data")(check_data)
app.command("find-rate")(find_command)
app.command("train")(train_command)
app.command("tune")(tune_command)
app.command("report")(report_command)
app.command("evaluate")(evaluate)
app.command("thresholds")(thresholds)
app.command("export")(export)
app.command("import")(bring)
app.command("card")(card)


def one_line(command: Callable[[], None]) -> None:
    """Run a command; what goes wrong is one line that says what to do."""
    try:
        command()
    except (Refused, OSError) as error:
        Console(stderr=True, soft_wrap=True).print(f"models: {error}", style="red", markup=False, highlight=False)
        sys.exit(3)


if __name__ == "__main__":
    one_line(app)
