"""`python -m models`: draw people, train, evaluate, export.

Exit status: 0 done, 1 figures or checks are not good enough, 2 the command cannot be used, 3 refused with the reason.
Exit status: 0 done, 1 the figures or checks are not good enough, 2 the command cannot be used, 3 refused with the
reason, 130 stopped and saved.
"""

import sys

import typer
from rich.console import Console

from models.bring import bring
from models.card import card
from models.data.command import check_data
from models.errors import Refused
from models.evaluate_command import evaluate
from models.export import export
from models.finder import find_command
from models.people.command import people
from models.report import report_command
from models.thresholds import thresholds
from models.train import train_command
from models.tune import tune_command

app = typer.Typer(no_args_is_help=True, pretty_exceptions_enable=False, rich_markup_mode="rich")


@app.callback()
def models() -> None:
    """The extractor: draw people, train, evaluate, export."""


app.command("check-data")(check_data)
app.command()(people)
app.command("export")(export)
app.command("import")(bring)
app.command("evaluate")(evaluate)
app.command("card")(card)
app.command("thresholds")(thresholds)
app.command("train")(train_command)
app.command("find-rate")(find_command)
app.command("report")(report_command)
app.command("tune")(tune_command)


def main() -> None:
    """Run a command; what goes wrong is one line that says what to do."""
    try:
        app()
    except (Refused, OSError) as error:
        Console(stderr=True, soft_wrap=True).print(f"models: {error}", style="red", markup=False, highlight=False)
        sys.exit(3)


if __name__ == "__main__":
    main()
