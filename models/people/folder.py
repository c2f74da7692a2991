"""A folder of synthetic people in the layout and with the names of Market-1501, with what is known about each picture.

OUT/bounding_box_train/0001_c1s1_000001_01.jpg     identity 1, camera 1, site 1
OUT/query, OUT/bounding_box_test                   people that are not in bounding_box_train, at cameras of their own
OUT/attributes.csv                                 one line per picture
OUT/preview.png                                    identities × cameras
OUT/people.json                                    what was asked for; marks the folder as one that may be replaced
"""

import csv
import errno
import json
import shutil
import tempfile
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass, fields
from functools import lru_cache
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import simplejpeg
from PIL import Image, ImageDraw
from tqdm import tqdm

from models.errors import Refused
from models.people.attributes import Attributes, describe_person, side_of
from models.people.crowd import Place, cut_outs, draw_place, heading, person_of, walk_past
from models.people.render import Rgba
from models.people.style import Style

MARKER = "people.json"
BYTES = 6_000  # of a picture on disk, about, with its line of attributes
STREAM = 5  # of the seed: nobody here is drawn by a training, an evaluation or a threshold, whatever its seed
SHEET_ROWS, TILE = 16, (64, 128)  # of the preview


@dataclass(frozen=True, slots=True)
class Preset:
    """How many people there are, and at how many cameras each is seen how often.

    People to train on are spread over `sites`, each with cameras of its own; those to test by share one more.
    """

    name: str
    train: int
    test: int
    cameras: int = 4
    shots: int = 2
    sites: int = 1


PRESETS = {
    preset.name: preset
    for preset in (
        Preset("small", 40, 20),
        Preset("default", 1000, 500, cameras=6, sites=4),
        Preset("large", 8000, 1000, cameras=6, sites=16),
    )
}


@dataclass(frozen=True, slots=True)
class Job:
    """All pictures of one person."""

    folder: Path
    preset: Preset
    style: Style
    seed: int
    identity: int  # from 1 on; those above preset.train are to test by


def write_people(out: Path, preset: Preset, style: Style, seed: int, workers: int) -> int:
    """Draws the folder and returns the number of its pictures; the same flags give the same bytes.

    Refused where `out` holds something else, its parent is missing, or the disk is full; `out` is then as it was.
    """
    check(out, preset)
    made = Path(tempfile.mkdtemp(prefix=f".{out.name}.", dir=out.parent))
    try:
        made.chmod(0o755)
        count = fill(made, preset, style, seed, workers)
        put(made, out)
    except OSError as error:
        if error.errno == errno.ENOSPC:
            raise Refused(f"the disk with {out} is full; free some space, or take a smaller --preset") from error
        raise
    finally:
        shutil.rmtree(made, ignore_errors=True)
    return count


def check(out: Path, preset: Preset) -> None:
    """Refused where the folder cannot be written, or is not ours to replace."""
    if not out.parent.is_dir():
        raise Refused(f"{out.parent} is not a folder; make it, or choose another --out")
    if out.exists() and not out.is_dir():
        raise Refused(f"{out} is a file; choose another --out")
    if out.is_dir() and any(out.iterdir()) and not (out / MARKER).is_file():
        raise Refused(f"{out} holds something that this command did not write; choose an empty or a new folder")
    needed = (preset.train + preset.test) * preset.cameras * preset.shots * BYTES
    free = shutil.disk_usage(out.parent).free
    if free < needed:
        raise Refused(
            f"{out.parent} has {free / 1e6:.0f} MB free and about {needed / 1e6:.0f} MB are needed; "
            f"free some space, or take a smaller --preset"
        )


def fill(folder: Path, preset: Preset, style: Style, seed: int, workers: int) -> int:
    """Writes everything into an empty folder."""
    for part in ("bounding_box_train", "query", "bounding_box_test"):
        (folder / part).mkdir()
    people = preset.train + preset.test
    jobs = [Job(folder, preset, style, seed, identity) for identity in range(1, people + 1)]
    rows: list[Attributes] = []
    title = f"drawing {people} people, {preset.name}"
    for own in tqdm(each(jobs, workers), total=people, desc=title, unit="person", disable=None):
        rows += own
    with (folder / "attributes.csv").open("w", newline="") as file:
        table = csv.DictWriter(file, [field.name for field in fields(Attributes)], lineterminator="\n")
        table.writeheader()
        table.writerows(asdict(row) for row in rows)
    draw_preview(folder, rows, preset).save(folder / "preview.png")
    asked = {"preset": asdict(preset), "style": style.name, "seed": seed, "pictures": len(rows)}
    (folder / MARKER).write_text(json.dumps(asked, indent=1) + "\n")
    return len(rows)


def each(jobs: list[Job], workers: int) -> Iterator[list[Attributes]]:
    """The results of `shoot_person`, in order, from this process or from others."""
    if workers <= 1:
        yield from map(shoot_person, jobs)
        return
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        try:
            yield from pool.map(shoot_person, jobs, chunksize=4)
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


def put(made: Path, out: Path) -> None:
    """Renames the finished folder; one of an earlier call is moved aside first and then removed."""
    if out.exists() and any(out.iterdir()):
        aside = made.with_name(f"{made.name}.old")
        out.rename(aside)
        made.rename(out)
        shutil.rmtree(aside)
    else:
        made.rename(out)


@lru_cache(maxsize=2)
def site_of(seed: int, site: int, cameras: int, style: Style) -> tuple[list[Place], list[Rgba]]:
    """The cameras of a site, and the people who pass there."""
    places = [draw_place(np.random.default_rng((seed, site, k, 4)), style) for k in range(cameras)]
    passers = [view for k in range(8) for view in cut_outs(seed + 1, 1_000_000 + 8 * site + k, style, 2, STREAM)]
    return places, passers


def shoot_person(job: Job) -> list[Attributes]:
    """Writes all pictures of a person; the first shot at each camera of whoever is to test by is a query."""
    preset, identity = job.preset, job.identity
    tested = identity > preset.train
    site = preset.sites if tested else identity % preset.sites
    places, passers = site_of(job.seed, site, preset.cameras, job.style)
    person = person_of(job.seed, identity, job.style, STREAM)
    rows = []
    for k, place in enumerate(places):
        for shot in range(preset.shots):
            rng = np.random.default_rng((job.seed, identity, 3 + k, shot))
            yaw = heading(place, rng)
            image = walk_past(place, person, job.style, passers, rng, yaw)
            part = ("bounding_box_test" if shot else "query") if tested else "bounding_box_train"
            name = f"{part}/{identity:04d}_c{k + 1}s{site + 1}_{identity * preset.shots + shot:06d}_{shot + 1:02d}.jpg"
            (job.folder / name).write_bytes(simplejpeg.encode_jpeg(image, quality=92, colorsubsampling="444"))
            rows.append(describe_person(person, name, identity, k + 1, side_of(yaw)))
    return rows


def draw_preview(folder: Path, rows: list[Attributes], preset: Preset) -> Image.Image:
    """A sheet of people (rows, half of them to train on) × cameras, all shots."""
    half = SHEET_ROWS // 2
    train = range(1, 1 + min(half, preset.train))
    test = range(preset.train + 1, preset.train + 1 + min(half, preset.test))
    columns, (wide, tall), margin = preset.cameras * preset.shots, TILE, 34
    sheet = Image.new("RGB", (margin + columns * wide, 14 + (len(train) + len(test)) * tall), "white")
    pen = ImageDraw.Draw(sheet)
    for k in range(preset.cameras):
        pen.text((margin + k * preset.shots * wide + 4, 1), f"camera {k + 1}", fill="black")
    for line, identity in enumerate((*train, *test)):
        top = 14 + line * tall
        pen.text((2, top + 4), f"{identity:04d}", fill="black")
        own = sorted((row for row in rows if row.identity == identity), key=lambda row: (row.camera, row.picture[-6:]))
        for column, row in enumerate(own):
            with Image.open(folder / row.picture) as picture:
                sheet.paste(picture.convert("RGB").resize(TILE), (margin + column * wide, top))
    return sheet
