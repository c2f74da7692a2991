"""`reappear`: run the service and look after it.

Exit status: 0 done, 1 something is not well (doctor), 2 the command or a setting cannot be used, 3 refused with the
reason, 4 the service does not answer.
"""

import logging
import os
import sys

import typer
from rich.console import Console

from reappear import audit, backups, doctor, index, keys, model, retention, serving
from reappear.remote import NoAnswer, Refused
from service.config import SettingsRefused
from service.db.failures import refusal
from service.errors import DatabaseDown, ReappearError

app = typer.Typer(
    no_args_is_help=True, pretty_exceptions_enable=False, rich_markup_mode="rich",
)  # fmt: skip
app.command()(serving.serve)
app.command()(serving.migrate)
app.command()(doctor.doctor)
app.command()(backups.backup)
app.command()(backups.restore)
app.command()(retention.retention)
app.add_typer(keys.app, name="keys")
app.add_typer(audit.app, name="audit")
app.add_typer(model.app, name="model")
app.add_typer(index.app, name="index")


@app.callback()
def reappear(context: typer.Context) -> None:
    """Who is this person, and where have we seen them before? Run the service and look after it."""
    os.umask(0o077)  # what is made here is for this user alone
    if context.invoked_subcommand != "serve":  # what goes wrong is told in one line, not in the service's log
        logging.getLogger("service").setLevel(logging.CRITICAL + 1)


def main() -> None:
    """Run a command; what goes wrong is one line that says what to do."""
    console = Console(stderr=True, soft_wrap=True)
    try:
        app()
    except SettingsRefused as error:
        status, problem = 2, str(error)
    except NoAnswer as error:
        status, problem = 4, str(error)
    except DatabaseDown as error:
        status, problem = 3, refusal(error).detail
    except (Refused, ReappearError, OSError) as error:
        status, problem = 3, str(error)
    console.print(f"reappear: {problem}", style="red", markup=False, highlight=False)
    sys.exit(status)


if __name__ == "__main__":
    main()
