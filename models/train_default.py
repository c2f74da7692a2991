"""The command behind `make train-default`: draw people, train, export, evaluate, write models/default with its card.

About half an hour on two quiet cores. `--weights` leaves the training out and exports weights of an earlier run.
"""

import argparse
import json
import os
import shutil
import time
from dataclasses import asdict
from pathlib import Path

from models.evaluation.card import write_card
from models.evaluation.evaluate import (
    IDENTITIES,
    calibrate,
    describe_by,
    draw_calibration,
    draw_sets,
    shared_data,
    tabulate,
)
from models.exporting.acceptance import FPIR_MATCH, FPIR_POSSIBLE
from models.exporting.export import state_thresholds, write_onnx
from models.exporting.folder import write_manifest
from models.runs import load_run
from models.training.flags import Flags
from models.training.train import describe_by_network, train
from service.embedding.onnx_model import OnnxModel

STRANGERS = 5  # to calibrate by, for each person in the table


def main() -> None:
    """Does it all and prints where the time went."""
    defaults = Flags()
    parser = argparse.ArgumentParser(description="Make models/default again.")
    parser.add_argument("--out", type=Path, default=Path("models/default"))
    parser.add_argument("--run", type=Path, default=Path("runs/default"), help="folder of the training run")
    parser.add_argument("--steps", type=int, default=defaults.steps)
    parser.add_argument("--identities", type=int, default=defaults.identities)
    parser.add_argument("--weights", action="store_true", help="export the weights already in --run")
    parser.add_argument(
        "--judged", type=int, default=IDENTITIES, help="unseen people in the table, a fifth of the strangers"
    )
    parser.add_argument("--shared", type=Path, default=shared_data())
    flags = parser.parse_args()

    start = time.monotonic()
    if flags.weights:
        network = load_run(flags.run, "last")
    else:
        network = train(Flags(steps=flags.steps, identities=flags.identities), flags.run)
    run = json.loads((flags.run / "run.json").read_text())

    made = flags.run / "export"
    made.mkdir(exist_ok=True)
    write_onnx(network, made / "model.onnx")
    strangers = flags.judged * STRANGERS
    thresholds = calibrate(describe_by_network(network), draw_calibration(strangers), FPIR_MATCH, FPIR_POSSIBLE)
    write_manifest(made, name="reid-default", thresholds=state_thresholds(thresholds, strangers))
    model = OnnxModel(made, provider="cpu", threads=os.cpu_count() or 1)
    table = tabulate(describe_by(model), draw_sets(flags.shared, flags.judged))
    write_card(made, run, table, flags.judged, model.manifest, asdict(thresholds))
    flags.out.mkdir(parents=True, exist_ok=True)
    for name in ("model.onnx", "golden.png", "MODEL_CARD.md", "manifest.json"):  # the manifest last
        shutil.copyfile(made / name, flags.out / name)
    print(f"{model.manifest.version} in {flags.out} after {(time.monotonic() - start) / 60:.1f} minutes")


if __name__ == "__main__":
    main()
