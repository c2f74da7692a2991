"""`python -m models people`: a folder of synthetic people with identities, cameras and attributes."""

import os
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from models.people.folder import PRESETS, STYLES, write_people

PresetName = StrEnum("PresetName", list(PRESETS))
StyleName = StrEnum("StyleName", list(STYLES))


def people(
    out: Annotated[Path, typer.Option(help="folder to write; must be new, empty, or written by this command")],
    preset: Annotated[
        PresetName, typer.Option(help="small: 60 people in seconds; default: 1,500; large: 9,000")
    ] = PresetName["default"],
    seed: Annotated[int, typer.Option(min=0, help="another seed draws other people and cameras")] = 1,
    style: Annotated[StyleName, typer.Option(help="street to train on; toy, mall and plaza to judge by")] = StyleName["street"],
    workers: Annotated[int, typer.Option(min=0, help="processes that draw; 0 takes one per core")] = 0,
) -> None:
    """Draw synthetic people: pictures with Market-1501 names, attributes.csv and preview.png."""
    cores = workers or (1 if preset.value == "small" else len(os.sched_getaffinity(0)))
    count = write_people(out, PRESETS[preset.value], STYLES[style.value], seed, cores)
    typer.echo(f"{count} pictures in {out}; look at {out / 'preview.png'}")
