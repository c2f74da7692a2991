"""The commands behind `make train-default`: train, make thresholds, export, evaluate, write models/default with a card.

Each is a command of `python -m models` that can be run alone. A run that was stopped goes on where it was; one that has
ended is not trained again.
"""

import argparse
import shutil
import sys
import time
from pathlib import Path
from typing import Any

from models.__main__ import app, run_alone
from models.errors import Refused
from models.evaluation.evaluate import IDENTITIES, shared_data
from models.evaluation.open_set import LEAST
from models.evaluation.thresholds import SITE
from models.exporting.rendered import fpirs_for
from models.people.style import HELD_OUT, STREET
from models.runs import option, read_record
from models.training.compiling import find_compiler

SHARED = {"precision": "bf16", "average": 0.999, "views": 16}
STAGES: tuple[dict[str, Any], ...] = (
    {"backbone": "osnet-ain-x0.5", "rate": 0.005, "seed": 1, "note_every": 500},
    {"backbone": "osnet-ain-x1.0", "rate": 0.002, "seed": 2, "note_every": 850, "alike": 8, "calm": 1.0},
)  # the second begins with the network of the first, widened, and brings people together who look alike to it
STEPS, PEOPLE, SCENES, WATCHED = (8000, 3400), (4000, 6000), (1200, 1500), 100
WORTH_COMPILING = 500  # steps: fewer take no longer than the compiler
ENROLLED = 10_000  # rendered people that thresholds rest on, and as many strangers
GALLERIES, SERVED = (100, 1_000, 10_000), 1_000  # SERVED is what the manifest's thresholds are for
STRICT = 0.001  # an FPIR for the card, beside those of the manifest
FILES = ("model.onnx", "golden.png", "MODEL_CARD.md", "manifest.json")  # the manifest last


def main() -> None:
    """Does it all and prints where the time went."""
    parser = argparse.ArgumentParser(description="Make models/default again.")
    parser.add_argument("--out", type=Path, default=Path("models/default"))
    parser.add_argument("--run", type=Path, default=Path("runs/default"), help="folder of the second training run")
    parser.add_argument("--steps", type=int, nargs=2, default=STEPS, help="of the first run and of the second")
    parser.add_argument("--identities", type=int, nargs=2, default=PEOPLE, help="synthetic people of each")
    parser.add_argument("--scenes", type=int, nargs=2, default=SCENES, help="synthetic backgrounds of each")
    parser.add_argument("--watched", type=int, default=WATCHED, help="people of each style in a validation")
    parser.add_argument("--judged", type=int, default=IDENTITIES, help="unseen people of each style to evaluate by")
    parser.add_argument("--enrolled", type=int, default=ENROLLED, help="people for the thresholds; hundreds")
    parser.add_argument("--shared", type=Path, default=shared_data())
    flags = parser.parse_args()
    if flags.enrolled < SITE or flags.enrolled % SITE:
        raise Refused(f"--enrolled {flags.enrolled}: give a multiple of {SITE}")
    if flags.judged < 2:  # somebody to find, and somebody else
        raise Refused(f"--judged {flags.judged}: give at least 2")

    start = time.monotonic()
    run, made, vehicles = flags.run, flags.run / "export", flags.shared / "vehicle-reid" / "images"
    train(flags, vehicles / "train")
    by_gallery = run / "thresholds.json"
    sizes = [size for size in GALLERIES if size <= flags.enrolled]
    fpirs = [*([STRICT] if STRICT * flags.enrolled >= LEAST else []), *fpirs_for(flags.enrolled)]
    step("thresholds", run, "--people", flags.enrolled, *repeat("--gallery", sizes), *repeat("--fpir", fpirs),
         "--json", by_gallery)  # fmt: skip
    shutil.rmtree(made, ignore_errors=True)
    step("export", run, "--out", made, "--name", "reid-default", "--thresholds", by_gallery,
         "--gallery", max(size for size in sizes if size <= SERVED))  # fmt: skip
    sets = [f"people:{style.name}" for style in (STREET, *HELD_OUT)]
    sets += [str(vehicles / "test")] if vehicles.is_dir() else []
    files = [evaluate(model, data, flags.judged, run) for data in sets for model in (str(made), "histogram")]
    step("card", made, "--run", run, "--thresholds", by_gallery, *repeat("--evaluation", files))
    flags.out.mkdir(parents=True, exist_ok=True)
    for name in FILES:
        shutil.copyfile(made / name, flags.out / name)
    print(f"{flags.out} after {(time.monotonic() - start) / 60:.1f} minutes")


def train(flags: argparse.Namespace, vehicles: Path) -> None:
    """Train by the recipe, or go on with a run that was stopped. Raises Refused where a run was made by another."""
    first = flags.run.with_name(f"{flags.run.name}-first")
    if has_ended(flags.run, recipe_of(1, flags)):
        return
    if not has_ended(first, recipe_of(0, flags)):
        train_stage(first, recipe_of(0, flags), vehicles)
    train_stage(flags.run, recipe_of(1, flags), vehicles, "--from", first)


def recipe_of(stage: int, flags: argparse.Namespace) -> dict[str, Any]:
    """The flags of one of the two runs, by name."""
    amounts = {"steps": flags.steps[stage], "identities": flags.identities[stage], "scenes": flags.scenes[stage]}
    return {**amounts, "watched": flags.watched, **SHARED, **STAGES[stage]}


def has_ended(run: Path, recipe: dict[str, Any]) -> bool:
    """Whether a run was trained to its end. Raises Refused where it was made by another recipe."""
    if not (run / "last.pt").exists():
        return False
    record = read_record(run)
    other = [f"{option(name)} {record.flags.get(name)}" for name in recipe if record.flags.get(name) != recipe[name]]
    if other:
        raise Refused(f"{run}: was made by another recipe, with {', '.join(other)}; give another folder by --run")
    return bool(record.scores) and record.scores[-1][0] >= recipe["steps"]


def train_stage(run: Path, recipe: dict[str, Any], vehicles: Path, *start: object) -> None:
    """One of the two runs."""
    real = ("--validate", vehicles) if vehicles.is_dir() else ()  # foreign to the generator as well
    faster = "--compile" if recipe["steps"] >= WORTH_COMPILING and find_compiler() else "--no-compile"
    going_on = ("--resume",) if (run / "last.pt").exists() else ()
    given = [one for name, value in recipe.items() for one in (option(name), value)]
    step("train", "people", "--out", run, *start, *given, *real, faster, *going_on)


def evaluate(model: str, data: str, people: int, run: Path) -> Path:
    """Judge one model on one set; gives the file with its figures."""
    name = f"{Path(model).name}-{data.removeprefix('people:').replace('/', '-').lstrip('.-')}.json"
    file = run / "figures" / name
    file.parent.mkdir(exist_ok=True)
    step("evaluate", model, data, "--identities", people, "--json", file)
    return file


def repeat(option: str, values: list[int] | list[float] | list[Path]) -> list[str]:
    """An option once for each value.

    >>> repeat("--gallery", [100, 1000])
    ['--gallery', '100', '--gallery', '1000']
    """
    return [text for value in values for text in (option, str(value))]


def step(*command: object) -> None:
    """Run a command of `python -m models` as if it was typed. Raises Refused, and SystemExit where it was stopped."""
    words = [str(word) for word in command]
    print(f"$ python -m models {' '.join(words)}", flush=True)
    sys.argv = ["models", *words]  # what commands write beside their figures
    if status := app(words, standalone_mode=False):
        sys.exit(status)


if __name__ == "__main__":
    run_alone(main)
