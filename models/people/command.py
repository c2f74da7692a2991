"""`python -m models people`: a folder of synthetic people with identities, cameras and attributes."""

import os
from pathlib import Path
from typing import Annotated, Literal

import typer

from models.people.folder import PRESETS, write_people
from models.people.style import STYLES

PresetName = Literal["small", "default", "large"]
StyleName = Literal["street", "toy", "mall", "plaza"]


def people(
    out: Annotated[Path, typer.Option(help="folder to write; must be new, empty, or written by this command")],
    preset: Annotated[
        PresetName, typer.Option(help="small: 60 people in seconds; default: 1,500; large: 9,000")
    ] = "default",
    seed: Annotated[int, typer.Option(min=0, help="another seed draws other people and cameras")] = 1,
    style: Annotated[StyleName, typer.Option(help="street to train on; toy, mall and plaza to judge by")] = "street",
    workers: Annotated[int, typer.Option(min=0, help="processes that draw; 0: one per core, one for small")] = 0,
) -> None:
    """Draw synthetic people: pictures with Market-1501 names, attributes.csv and preview.png.

    [bold]Example:[/] python -m models people --preset small --out build/small
    """
    cores = workers or (1 if preset == "small" else len(os.sched_getaffinity(0)))
    count = write_people(out, PRESETS[preset], STYLES[style], seed, cores)
    typer.echo(f"{count} pictures in {out}; look at {out / 'preview.png'}")
