"""The committed model is the one its manifest and card describe, and it is good enough to be worth having."""

import os
from pathlib import Path

import pytest

from models.evaluation.evaluate import draw_unseen, shared_data
from models.evaluation.histogram import describe_colours
from models.people.style import STREET
from service.embedding.manifest import read_manifest, sha256_of
from service.embedding.onnx_model import GOLDEN_COSINE, OnnxModel
from tests.models.judging import describe_by, judge, read_vehicles

FOLDER = Path(__file__).parents[2] / "models" / "default"


@pytest.fixture(scope="module")
def model() -> OnnxModel:
    return OnnxModel(FOLDER, provider="cpu", threads=2)  # checks checksum and golden vector


def test_the_checksum_is_the_manifests(model: OnnxModel) -> None:
    assert sha256_of(FOLDER / "model.onnx") == read_manifest(FOLDER).sha256
    assert GOLDEN_COSINE >= 0.999
    assert (FOLDER / "model.onnx").stat().st_size < 10_000_000


def test_it_finds_unseen_people_on_other_cameras_and_beats_the_histogram(model: OnnxModel) -> None:
    pictures = draw_unseen(STREET, shots=1)  # half of what the card measures, to be quick: fewer right answers to find
    network, histogram = (judge(describe, pictures) for describe in (describe_by(model), describe_colours))
    assert network.queries == 200
    assert network.rank(1) >= 0.90
    assert network.rank(1) > histogram.rank(1)
    assert network.mean_ap > histogram.mean_ap


def test_it_beats_the_histogram_on_real_vehicles(model: OnnxModel) -> None:
    vehicles = read_vehicles(shared_data())
    if not vehicles and not os.environ.get("CI"):
        pytest.skip(f"no pictures below {shared_data()}; set REAPPEAR_SHARED_DATA to the folder with the shared data")
    assert vehicles, f"no pictures below {shared_data()}"
    network, histogram = (judge(d, vehicles, query_camera=None) for d in (describe_by(model), describe_colours))
    assert network.queries == 120
    assert network.mean_ap >= 0.60
    assert network.mean_ap > histogram.mean_ap
    assert network.rank(1) > histogram.rank(1)


def test_the_card_names_the_thresholds_of_the_manifest(model: OnnxModel) -> None:
    card = (FOLDER / "MODEL_CARD.md").read_text()
    thresholds = model.manifest.thresholds
    assert f"| match | {thresholds.match:.3f} |" in card
    assert f"| possible | {thresholds.possible:.3f} |" in card
    assert f"{thresholds.identities:,} **synthetic** identities" in card
