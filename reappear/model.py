"""Public models that can be brought into service: a named list, and a checked download of each."""

import shlex
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn
from rich.table import Table

from reappear.download import Wanted, download

app = typer.Typer(help="Public models that can be brought into service.", no_args_is_help=True)

IMAGENET = ("0.485,0.456,0.406", "0.229,0.224,0.225")  # mean and deviation of RGB in 0–1


@dataclass(frozen=True, slots=True)
class Known:
    """A public model, the file exactly, and how `python -m models import` must be told to feed it."""

    name: str
    file: str
    wanted: Wanted
    licence: str
    what: str
    settings: tuple[str, ...]


KNOWN = (
    Known(
        name="youtureid",
        file="person_reid_youtu_2021nov.onnx",
        wanted=Wanted(
            url="https://media.githubusercontent.com/media/opencv/opencv_zoo/main/"
            "models/person_reid_youtureid/person_reid_youtu_2021nov.onnx",
            size_bytes=106_878_407,
            sha256="0579683334d4b9440221606dcb461656dd0dc64143b18f48faedaced9b4f580d",
        ),
        licence="Apache-2.0",
        what="people, 768-d, from OpenCV's zoo",
        settings=(
            "--layout", "nchw", "--colour", "rgb", "--range", "0-1", "--mean", IMAGENET[0], "--std", IMAGENET[1],
            "--size", "256x128",
        ),
    ),
)  # fmt: skip


@app.callback()
def model() -> None:
    """Which public models there are, and their files."""


@app.command("list")
def list_models() -> None:
    """Show the models whose address, size and checksum are known.

    [bold]Example:[/] reappear model list
    """
    table = Table("name", "what", "licence", "MB", "sha256")
    for one in KNOWN:
        table.add_row(one.name, one.what, one.licence, f"{one.wanted.size_bytes / 1e6:.1f}", one.wanted.sha256[:12])
    Console(soft_wrap=True, markup=False).print(table)


@app.command()
def pull(
    name: Annotated[str, typer.Argument(help="A name that `reappear model list` shows.")],
    out: Annotated[Path, typer.Option(help="Folder for the file; made where it is missing.")],
    url: Annotated[str, typer.Option(help="Another place to fetch it from; size and checksum are the same.")] = "",
) -> None:
    """Fetch a public model, check it, and say how to bring it into service. Goes on where an earlier try was cut off.

    [bold]Example:[/] reappear model pull youtureid --out downloads
    """
    known = next((one for one in KNOWN if one.name == name), None)
    if known is None:
        raise typer.BadParameter(f"there is no model {name}; there is: {', '.join(one.name for one in KNOWN)}")
    file = fetch(known, out, url)
    print(f"{file}: {known.wanted.size_bytes} bytes, sha256 {known.wanted.sha256}, {known.licence}")
    print("Next, with a set of your own pictures to accept it by:")
    print(f"  {next_command(known, file)}")


def fetch(known: Known, folder: Path, url: str = "") -> Path:
    """The checked file of a model in a folder, with a bar on a terminal. Raises what `download` raises."""
    wanted = Wanted(url or known.wanted.url, known.wanted.size_bytes, known.wanted.sha256)
    columns = (
        TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn(),
    )  # fmt: skip
    console = Console(stderr=True)
    with Progress(*columns, console=console, disable=not sys.stderr.isatty()) as bars:
        task = bars.add_task(known.name, total=wanted.size_bytes)
        download(wanted, folder / known.file, lambda there: bars.update(task, completed=there))
    return folder / known.file


def next_command(known: Known, file: Path) -> str:
    """The command that brings the file into service."""
    return shlex.join(
        [
            "python", "-m", "models", "import", str(file), "--name", known.name, *known.settings,
            "--source-url", known.wanted.url, "--data", "PICTURES", "--out", f"models/{known.name}",
        ]
    )  # fmt: skip
