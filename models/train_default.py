"""The commands behind `make train-default`: train, make thresholds, export, evaluate, write models/default with a card.

Each is a command of `python -m models` that can be run alone. A run that was stopped goes on where it was; one that has
ended is not trained again.
"""

import argparse
import json
import shutil
import sys
import time
from pathlib import Path

from models.__main__ import app, run_alone
from models.evaluation.evaluate import IDENTITIES, shared_data
from models.evaluation.open_set import LEAST
from models.exporting.rendered import fpirs_for
from models.people.style import HELD_OUT, STREET
from models.training.compiling import find_compiler

SHARED = "--precision bf16 --average 0.999 --views 16 --threads 2"
STAGES = (  # the second begins with the network of the first, widened, and brings people together who look alike to it
    "--backbone osnet-ain-x0.5 --rate 0.005 --seed 1 --note-every 500",
    "--backbone osnet-ain-x1.0 --rate 0.002 --seed 2 --note-every 850 --alike 8 --calm 1",
)
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
    """Train by the recipe, or go on with a run that was stopped; nothing where both have ended."""
    first = flags.run.with_name(f"{flags.run.name}-first")
    train_stage(0, first, flags, vehicles)
    train_stage(1, flags.run, flags, vehicles, "--from", first)


def train_stage(stage: int, run: Path, flags: argparse.Namespace, vehicles: Path, *start: object) -> None:
    """One of the two runs; nothing where it has ended."""
    begun, steps = (run / "last.pt").exists(), flags.steps[stage]
    scores = json.loads((run / "run.json").read_text())["scores"] if begun else []
    if scores and scores[-1][0] >= steps:
        return
    real = ("--validate", vehicles) if vehicles.is_dir() else ()  # foreign to the generator as well
    amounts = ("--steps", steps, "--identities", flags.identities[stage], "--scenes", flags.scenes[stage])
    faster = ("--compile",) if steps >= WORTH_COMPILING and find_compiler() else ()
    how = ("--resume",) if begun else faster
    step("train", "people", "--out", run, *start, *amounts, "--watched", flags.watched, *SHARED.split(),
         *STAGES[stage].split(), *real, *how)  # fmt: skip


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
