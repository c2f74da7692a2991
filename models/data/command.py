"""`python -m models check-data`: is this set of pictures fit to train on and to evaluate by?"""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from models.data.augment import PRESETS
from models.data.inspection import inspect
from models.data.loader import DiskBatches
from models.data.reading import LAYOUTS, SEED, SHARE, read_set
from models.data.sample import PictureSet, Sample
from models.data.sheet import write_sheet
from models.errors import Refused
from models.files import check_places

SHOWN = 20  # faults that are listed
SHEET_PEOPLE, SHEET_PICTURES, SHEET_HEIGHT, SHEET_WIDTH = 8, 8, 128, 64


def check_data(
    source: Annotated[Path, typer.Argument(help="A folder of pictures, or a CSV file that names them.")],
    layout: Annotated[str, typer.Option(help=f"One of {', '.join(LAYOUTS)}.")] = "auto",
    pattern: Annotated[
        str | None,
        typer.Option(help="Regular expression: a group for the camera (folders), or (?P<identity>) and (?P<camera>)."),
    ] = None,
    share: Annotated[float, typer.Option(help="Share of people held out, where nothing says who.")] = SHARE,
    seed: Annotated[int, typer.Option(min=0, help="Chooses who is held out.")] = SEED,
    training: Annotated[bool, typer.Option(help="Whether it must be possible to train on it.")] = True,
    evaluation: Annotated[bool, typer.Option(help="Whether it must be possible to evaluate by it.")] = True,
    workers: Annotated[int, typer.Option(min=0, help="Processes that read pictures; 0: none beside this.")] = 2,
    sheet: Annotated[Path | None, typer.Option(help="Write a PNG of augmented training pictures here.")] = None,
    preset: Annotated[str, typer.Option(help=f"Augmentation of the sheet: {', '.join(PRESETS)}.")] = "full",
) -> None:
    """Read a set, open all of its pictures and count people and cameras. Exit status 3 where something is wrong.

    [bold]Example:[/] python -m models check-data pictures --sheet sheet.png
    """
    if preset not in PRESETS:
        raise Refused(f"there is no augmentation {preset}; choose one of {', '.join(PRESETS)}")
    check_places(sheet)
    pictures = read_set(
        source, layout, pattern=pattern, share=share, seed=seed, training=training, evaluation=evaluation
    )
    Console().print(tabulate(pictures))
    faults = inspect(pictures, workers)
    if faults:
        more = f"\n… and {len(faults) - SHOWN} more" if len(faults) > SHOWN else ""
        listed = "\n".join(fault.reason for fault in faults[:SHOWN])
        raise Refused(f"{source}: {len(faults)} pictures cannot be used\n{listed}{more}")
    if sheet is not None:
        people = min(SHEET_PEOPLE, len({sample.identity for sample in pictures.train}))
        images, _ = DiskBatches(
            pictures.train, people=people, pictures=SHEET_PICTURES, height=SHEET_HEIGHT, width=SHEET_WIDTH,
            steps=1, seed=seed, augmentation=PRESETS[preset],
        )[0]  # fmt: skip
        write_sheet(images, sheet, SHEET_PICTURES)


def tabulate(pictures: PictureSet) -> Table:
    """Pictures, identities and cameras of each part, junk and distractors apart."""
    table = Table("part", "pictures", "identities", "cameras", "junk", "distractors", title=pictures.name)
    for name, samples in (("train", pictures.train), ("query", pictures.query), ("gallery", pictures.gallery)):
        table.add_row(name, *(f"{count:,}" for count in count_part(samples)))
    return table


def count_part(samples: Sequence[Sample]) -> tuple[int, int, int, int, int]:
    """How many pictures, identities and cameras there are, and pictures of junk and of distractors."""
    people = {sample.identity for sample in samples if sample.identity > 0}
    junk = sum(sample.identity < 0 for sample in samples)
    distractors = sum(sample.identity == 0 for sample in samples)
    return len(samples), len(people), len({sample.camera for sample in samples}), junk, distractors
