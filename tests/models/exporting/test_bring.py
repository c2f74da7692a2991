"""`python -m models import`: an outside file becomes a folder the service runs, or one line says why not."""

import hashlib
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto
from typer.testing import CliRunner

from models.__main__ import app
from models.data.images import load
from models.errors import Refused
from models.exporting.running import AGREEMENT, least_cosine
from service.embedding.onnx_model import OnnxModel
from tests.models.exporting.test_surgery import RIGHT, by_hand
from tests.models.foreign import DIM, HEIGHT, WIDTH, Made, draw_set, write
from tests.server import ROOT

NAMED = ("--name", "outside-1")


@pytest.fixture(scope="module")
def people(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return draw_set(tmp_path_factory.mktemp("bring") / "people")


def bring(*arguments: object) -> "tuple[int, str, BaseException | None]":
    done = CliRunner().invoke(app, ["import", *map(str, arguments)], env={"COLUMNS": "250"})
    return done.exit_code, done.output, done.exception


@pytest.mark.parametrize(
    ("made", "told"),
    [
        (Made(), ()),
        (Made(colour="bgr", layout="nhwc", output="2d"), ("--colour", "bgr")),
        (Made(inside="0-255", output="unit"), ("--layout", "nchw", "--range", "0-255")),
        (Made(batch=1, baked="squeeze"), ("--mean", "0.485,0.456,0.406", "--std", "0.229,0.224,0.225")),
        (Made(batch=1, baked="reshape", element=TensorProto.FLOAT16), ()),
        (Made(wrong="neighbours", size=(None, None)), ("--size", f"{HEIGHT}x{WIDTH}")),
        (Made(output="squeezed"), ("--colour", "rgb")),
        (Made(output="squeezed", batch=1), ("--colour", "rgb")),
    ],
    ids=str,
)
def test_an_outside_network_becomes_a_folder_that_the_service_runs(
    made: Made, told: tuple[str, ...], people: Path, tmp_path: Path
) -> None:
    file = write(made, tmp_path)
    status, output, error = bring(file, "--out", tmp_path / "mine", *NAMED, "--data", people, *told)
    assert status == 0, (output, error)
    model = OnnxModel(tmp_path / "mine", provider="cpu", threads=1)
    manifest = model.manifest
    assert manifest.source is not None
    assert manifest.acceptance is not None
    assert manifest.source.sha256 == hashlib.sha256(file.read_bytes()).hexdigest()
    assert manifest.acceptance.queries == 120
    assert manifest.acceptance.mean_ap > 0.6
    assert f"mAP {manifest.acceptance.mean_ap:.3f}" in output
    assert (manifest.name, manifest.output.dim, manifest.input.height) == ("outside-1", DIM, HEIGHT)
    images = np.stack([model.prepare(load(path)) for path in sorted(people.iterdir())[:9]])
    together = model.run(images)
    assert least_cosine(together, np.concatenate([model.run(one[None]) for one in images])) >= AGREEMENT


def test_the_vectors_in_service_are_those_of_the_outside_network(people: Path, tmp_path: Path) -> None:
    assert bring(write(Made(), tmp_path), "--out", tmp_path / "mine", *NAMED, "--data", people)[0] == 0
    model = OnnxModel(tmp_path / "mine", provider="cpu", threads=1)
    images = np.stack([model.prepare(load(path)) for path in sorted(people.iterdir())[:9]])
    assert least_cosine(model.run(images), by_hand(Made(), RIGHT, images)) >= AGREEMENT


def test_the_file_says_where_it_comes_from_and_the_same_input_gives_the_same_bytes(
    people: Path, tmp_path: Path
) -> None:
    file, url = write(Made(), tmp_path), "https://example.org/outside.onnx"
    for name in ("one", "two"):
        told = ("--data", people, "--source-url", url)
        assert bring(file, "--out", tmp_path / name, *NAMED, *told)[0] == 0
    assert (tmp_path / "one" / "model.onnx").read_bytes() == (tmp_path / "two" / "model.onnx").read_bytes()
    props = {one.key: one.value for one in onnx.load(tmp_path / "one" / "model.onnx").metadata_props}
    assert props["reappear.source_url"] == url
    assert props["reappear.input"] == f"{HEIGHT}x{WIDTH}"
    assert props["reappear.source_sha256"] == hashlib.sha256(file.read_bytes()).hexdigest()
    assert "--range 0-1 --mean 0.485,0.456,0.406" in props["reappear.feeding"]
    assert float(props["reappear.mean_ap"]) > 0.6


def test_where_pictures_do_not_tell_the_ways_apart_the_usual_one_is_taken_and_that_is_said(
    vehicles: Path, tmp_path: Path
) -> None:
    """The default model of this project, taken for an outside one."""
    default = ROOT / "models" / "default" / "model.onnx"
    status, output, error = bring(default, "--out", tmp_path / "mine", *NAMED, "--data", vehicles)
    assert status == 0, (output, error)
    assert "these pictures do not tell it from --layout nhwc --colour bgr --range 0-255" in output
    mine, theirs = (OnnxModel(folder, provider="cpu", threads=1) for folder in (tmp_path / "mine", default.parent))
    images = np.stack([mine.prepare(load(path)) for path in sorted(vehicles.iterdir())[:8]])
    assert least_cosine(mine.run(images), theirs.run(images)) >= AGREEMENT
    assert mine.manifest.thresholds.made_from.count("too few") == 2, "60 vehicles are not enough"


@pytest.mark.parametrize(
    ("made", "told", "word"),
    [
        (Made(), ("--colour", "bgr"), "the colours are in RGB order"),
        (Made(inside="0-1"), ("--mean", "0.485,0.456,0.406", "--std", "0.229,0.224,0.225"), "normalised twice"),
        (Made(inside="0-255"), ("--range", "0-1"), "likely right: --layout nchw --colour rgb --range 0-255"),
        (Made(), ("--layout", "nhwc"), "which is not nhwc"),
        (Made(), ("--size", "24x48"), "takes 48x24 pixels"),
        (Made(size=(None, None)), (), "--size HEIGHTxWIDTH"),
        (Made(output="two"), (), "--output"),
        (Made(wrong="constant"), (), "the same vector"),
        (Made(wrong="nan"), (), "not finite"),
        (Made(), ("--at-least", "0.99"), "mAP 0.990 is asked for"),
    ],
)
def test_a_likely_mistake_is_refused_in_one_line_and_nothing_is_written(
    made: Made, told: tuple[str, ...], word: str, people: Path, tmp_path: Path
) -> None:
    file = write(made, tmp_path)
    _, _, error = bring(file, "--out", tmp_path / "mine", *NAMED, "--data", people, *told)
    assert isinstance(error, Refused)
    assert word in str(error)
    assert "\n" not in str(error)
    assert [one.name for one in tmp_path.iterdir()] == [file.name]


def test_a_wrong_setting_is_taken_where_the_user_insists(people: Path, tmp_path: Path) -> None:
    told = ("--colour", "bgr", "--as-told", "--at-least", "0")
    _, output, error = bring(write(Made(), tmp_path), "--out", tmp_path / "mine", *NAMED, "--data", people, *told)
    assert "fed with --layout nchw --colour bgr" in output
    assert error is None or "a histogram of colours" in str(error)


@pytest.mark.parametrize(
    "told",
    [
        ("--mean", "a,b,c"),
        ("--mean", "1,2"),
        ("--std", "0,1,1"),
        ("--size", "128"),
        ("--size", "0x5"),
        ("--layout", "x"),
    ],
)
def test_a_flag_that_cannot_be_read_is_a_mistake_of_usage(told: tuple[str, str], people: Path, tmp_path: Path) -> None:
    status, output, _ = bring(write(Made(), tmp_path), "--out", tmp_path / "mine", *NAMED, "--data", people, *told)
    assert status == 2
    assert told[0] in output


def test_what_is_wrong_with_the_command_is_said_before_anything_runs(people: Path, tmp_path: Path) -> None:
    file = write(Made(), tmp_path)
    assert bring(file, "--out", tmp_path / "mine", "--name", "My Model", "--data", people)[0] == 2
    for arguments, word in (
        ((tmp_path / "nothing.onnx", "--out", tmp_path / "mine"), "No such file"),
        ((file, "--out", people), "is there already"),
        ((file, "--out", tmp_path / "mine", "--data", tmp_path / "nowhere"), "nowhere"),
    ):
        _, _, error = bring(*arguments, *NAMED, *(() if "--data" in arguments else ("--data", people)))
        assert isinstance(error, Refused)
        assert word in str(error)


def test_bringing_a_network_needs_no_torch() -> None:
    script = "import sys, models.exporting.bring; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
