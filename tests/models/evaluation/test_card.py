"""The model card says what the files of a run, its evaluations and its thresholds say."""

import json
import shutil
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from models.errors import Refused
from models.evaluation.ancestry import Start, read_entries
from models.evaluation.card import card, describe_architecture
from models.evaluation.history import describe_learning
from models.evaluation.thresholds import Threshold
from service.embedding.manifest import read_manifest

DEFAULT = Path(__file__).parents[3] / "models" / "default"
FLAGS = {"data": "people", "identities": 900, "views": 8, "people": 16, "pictures": 4, "seed": 5,
         "losses": "triplet=1,identity=0.5"}  # fmt: skip
ARCHITECTURE = {"backbone": "mobilenetv2-x1.0", "pooling": "gem", "standardise": "imagenet"}
RUN = {
    "flags": FLAGS, "architecture": ARCHITECTURE, "parameters": 1_234_567, "seconds": 600.0,
    "scores": [[10, "street", 0.1, 0.2, 0.3]],
}  # fmt: skip
FIGURES = {
    "model": "reid-default", "data": "set A", "in_words": "plain cosine", "mean_ap": 0.4567, "mean_inp": 0.1,
    "cmc": {"1": 0.5, "5": 0.7}, "queries": 321, "command": "python -m models evaluate models/default A",
}  # fmt: skip


def write(path: Path, content: dict[str, Any]) -> Path:
    path.write_text(json.dumps(content))
    return path


def prepare(folder: Path, **changed: Any) -> dict[str, Any]:
    """The files that a card is made from."""
    (folder / "run").mkdir()
    model = Path(shutil.copytree(DEFAULT, folder / "model"))
    write(folder / "run" / "run.json", RUN)
    stated = read_manifest(DEFAULT).thresholds
    made = [
        Threshold(stated.gallery, stated.fpir_match, 0.8, 0.75, 0.85, 0.61, 0.6, 0.62, 10_000, 10_000),
        Threshold(1_000, 0.001, 0.91, 0.9, 0.92, 0.33, 0.31, 0.35, 10_000, 10_000),
    ]
    by_size = {"command": "python -m models thresholds models/default", "thresholds": [asdict(one) for one in made]}
    by_size |= {"model": "reid-default", "checksum": read_manifest(DEFAULT).sha256}
    figures, table = write(folder / "a.json", FIGURES | changed), write(folder / "t.json", by_size)
    return {"model": model, "run": folder / "run", "evaluation": [figures], "thresholds": table}


def test_every_figure_stands_in_it_with_its_command(tmp_path: Path) -> None:
    files = prepare(tmp_path)
    card(**files)
    text = (files["model"] / "MODEL_CARD.md").read_text()
    stated = read_manifest(DEFAULT).thresholds
    for line in (
        "| set A | reid-default | plain cosine | 0.457 | 0.500 | 0.700 | 0.100 | 321 |",
        "python -m models evaluate models/default A\npython -m models thresholds models/default\n",
        "| 1,000 | 0.1% | 0.910 | 0.900 … 0.920 | 33.0% | 31.0% … 35.0% |",
        f"| match | {stated.match:.3f} | {stated.fpir_match:.1%} | 61.0% |",
        f"| possible | {stated.possible:.3f} | {stated.fpir_possible:.1%} | – |",
        "from 10,000\nrendered enrolled people and 10,000 rendered strangers",
        "640 pictures in 10 steps",
        "1,234,567 parameters",
        "MobileNetV2 (Sandler et al., CVPR 2018)",
    ):
        assert line in text
    assert not list(files["model"].glob("*.part"))


def test_a_network_that_learned_from_pictures_is_not_said_to_have_seen_drawn_people(tmp_path: Path) -> None:
    files = prepare(tmp_path)
    manifest = json.loads((files["model"] / "manifest.json").read_text())
    manifest["thresholds"]["made_from"] = "40 identities of customers, each once a stranger"
    write(files["model"] / "manifest.json", manifest)
    flags = FLAGS | {"data": "customers"}
    write(files["run"] / "run.json", RUN | {"flags": flags, "identities": 41, "data": "/shop/customers"})
    card(**files)
    text = (files["model"] / "MODEL_CARD.md").read_text()
    assert "41 identities in the pictures of `customers`" in text
    assert "They rest on 40 identities of customers, each once a stranger, with 1,000 people enrolled." in text
    for false in ("synthetic", "No photograph", "not measured on pictures of real people", "/shop", "900 id"):
        assert false not in text


@pytest.mark.parametrize("start", ["model", "run", "gone"])
def test_what_a_network_began_from_is_told(start: str, tmp_path: Path) -> None:
    files = prepare(tmp_path)
    began = shutil.copytree(files["run"], tmp_path / "first") if start == "run" else tmp_path / start
    if start == "run":
        record = {"commit": "", "environment": {}, "identities": 900, "parameters": 1}
        write(began / "run.json", json.loads((began / "run.json").read_text()) | record)
        (began / "best.pt").touch()
    write(files["run"] / "run.json", RUN | {"flags": FLAGS | {"start": str(began), "alike": 4, "calm": 1.0}})
    card(**files)
    text = " ".join((files["model"] / "MODEL_CARD.md").read_text().split())
    learned = "which had learned from {} identities of synthetic people in {} steps, seed {}. No photograph was used."
    manifest = read_manifest(DEFAULT)
    told = {
        "model": f"It went on from `{manifest.version}`, " + learned.format(*learned_by_default()),
        "run": "It went on from `run first`, " + learned.format(900, 10, 5),
        "gone": "It went on from `gone`, of which it is not known here what it had learned from.",
    }
    assert told[start] in text
    assert ("No photograph" in text) == (start != "gone")
    assert "in batches of 4 who look alike at a time" in text
    assert "grew" not in text


@pytest.mark.parametrize(
    "changed",
    [
        {"flags": FLAGS | {"weights": "osnet_ain_msmt17.pth"}},
        {"flags": FLAGS | {"start": "b"}, "origin": asdict(Start("run b", "synthetic people", 900, 10, "5"))},
        {"flags": FLAGS | {"start": "gone"}},
    ],
)
def test_what_may_have_seen_photographs_before_is_not_said_to_have_seen_none(
    changed: dict[str, Any], tmp_path: Path
) -> None:
    files = prepare(tmp_path)
    write(files["run"] / "run.json", RUN | changed)
    card(**files)
    text = (files["model"] / "MODEL_CARD.md").read_text()
    assert "No photograph" not in text
    assert "In this training only synthetic people" in text


def test_nothing_is_said_of_pictures_that_were_not_judged_by_and_real_people_are_not_denied(tmp_path: Path) -> None:
    files = prepare(tmp_path)
    card(**files)
    text = (files["model"] / "MODEL_CARD.md").read_text()
    for unsaid in ("vehicles", "`street`", "histogram", "not measured on pictures of real people"):
        assert unsaid not in text, unsaid
    drawn = [{"data": f"synthetic people, {style}"} for style in ("street", "toy")]
    others = [*drawn, {"data": "vehicle-reid/images/test"}, {"data": drawn[0]["data"], "model": "histogram"}]
    files["evaluation"] = [write(tmp_path / f"{k}.json", FIGURES | one) for k, one in enumerate(others)]
    card(**files)
    text = (files["model"] / "MODEL_CARD.md").read_text()
    for said in ("real vehicles", "`street`", "histogram", "not measured on pictures of real people"):
        assert said in text, said


def learned_by_default() -> tuple[str, ...]:
    """Identities, steps and seed of the model that ships."""
    told = read_entries(DEFAULT / "model.onnx")
    counts = (f"{int(told['reappear.' + name]):,}" for name in ("identities", "steps"))
    return (*counts, told["reappear.seed"])


def test_thresholds_of_another_model_are_refused(tmp_path: Path) -> None:
    files = prepare(tmp_path)
    table = json.loads(files["thresholds"].read_text())
    write(files["thresholds"], table | {"checksum": "0" * 64})
    with pytest.raises(Refused, match=r"t\.json was made for reid-default, whose weights are others"):
        card(**files)
    del table["checksum"]
    write(files["thresholds"], table)
    with pytest.raises(Refused, match=r"is not a file of `thresholds --json` .*write it anew"):
        card(**files)


def test_a_file_without_its_figures_is_refused_and_the_old_card_stays(tmp_path: Path) -> None:
    files = prepare(tmp_path, cmc={})
    with pytest.raises(Refused, match="is missing in a file of another version"):
        card(**files)
    assert (files["model"] / "MODEL_CARD.md").read_text() == (DEFAULT / "MODEL_CARD.md").read_text()
    (tmp_path / "t.json").write_text("[")
    with pytest.raises(Refused, match=r"t\.json cannot be read as JSON"):
        card(**files)


def test_network_and_losses_are_told_as_they_were_chosen() -> None:
    assert "generalised means" in describe_architecture(ARCHITECTURE)
    assert "4 horizontal stripes" in describe_architecture({})
    assert "batch-hard triplet loss (Hermans et al., 2017) × 1 and the identity loss" in describe_learning(FLAGS)
    assert "from given weights" in describe_learning(FLAGS | {"weights": "w.pth"})
