"""`python -m models`: draw people, train, evaluate, export.

Exit status: 0 done, 1 the figures or checks are not good enough, 2 the command cannot be used, 3 refused with the reason.
"""

import sys

import typer
from rich.console import Console

from models.bring import bring
from models.data.command import check_data
from models.errors import Refused

app = typer.Typer(no_args_is_help=True, pretty_exceptions_enable=False, rich_markup_mode="rich")


@app.callback()
def models() -> None:
    """The extractor: draw people, train, evaluate, export."""


app.command("check-data")(check_data)
app.command("import")(bring)


def main() -> None:
    """Run a command; what goes wrong is one line that says what to do."""
    try:
        app()
    except (Refused, OSError) as error:
        Console(stderr=True, soft_wrap=True).print(f"models: {error}", style="red", markup=False, highlight=False)
        sys.exit(3)


if __name__ == "__main__":
    main()
