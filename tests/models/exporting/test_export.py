"""Export: what ONNX Runtime gives is what PyTorch gives, in any batch, or there is no folder."""

import json
import shutil
from dataclasses import asdict, replace
from importlib.metadata import version
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from typer.testing import CliRunner

from models.__main__ import app
from models.errors import Refused
from models.evaluation.card import checksums_of
from models.evaluation.exam import read_exam
from models.evaluation.features import open_model
from models.evaluation.graphs import open_graph
from models.evaluation.thresholds import Threshold, read_thresholds
from models.exporting.acceptance import embed, examine
from models.exporting.export import (
    ExportRefused,
    check_agreement,
    check_batches,
    check_loss,
    choose_images,
    trace,
)
from models.exporting.folder import write_folder
from models.exporting.quantise import to_fp16, to_int8
from models.exporting.running import AGREEMENT, describe_by_graph, least_cosine, prepare, run
from models.files import write_whole
from models.network import Architecture, Extractor
from models.runs import Record, digest_network, pack, write_record
from service.embedding.manifest import Thresholds, read_manifest, sha256_of
from service.embedding.onnx_model import OnnxModel
from tests.models.foreign import draw_set

SMALL = Architecture(dim=64, height=64, width=32)
THRESHOLDS = Thresholds(
    match=0.7, possible=0.5, identities=10, gallery=9, fpir_match=0.01, fpir_possible=0.1, made_from="a test"
)


def untrained(seed: int = 0, architecture: Architecture = SMALL) -> Extractor:
    torch.manual_seed(seed)
    torch.set_num_threads(1)
    return Extractor(architecture).eval()


@pytest.fixture(scope="module")
def graph(graphs: dict[str, bytes]) -> bytes:
    graphs[digest_network(untrained())] = made = trace(untrained())
    return made


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return draw_set(tmp_path_factory.mktemp("export") / "people", identities=20)


@pytest.fixture(scope="module")
def run_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "my run"
    folder.mkdir()
    flags = {"data": "/cameras/shop", "hold_out": 0.2, "seed": 3, "start": "runs/base"}
    record = Record(flags, SMALL.to_json(), identities=10, parameters=1, commit="c0ffee", environment={})
    record.scores, record.best = [(200, "validation", 0.5, 0.5, 0.5)], {"step": 120}
    write_record(folder, record)
    write_whole(folder / "best.pt", pack(untrained().state_dict()))
    return folder


def export(*arguments: object) -> "tuple[int, str, Exception | None]":
    done = CliRunner().invoke(app, ["export", *map(str, arguments)])
    return done.exit_code, done.output, done.exception


def test_onnx_agrees_with_pytorch_on_real_pictures_in_batches_of_1_7_and_32(graph: bytes, vehicles: Path) -> None:
    images = choose_images(read_exam(str(vehicles)), 32, untrained())
    assert images.shape == (32, 64, 32, 3)
    assert len(np.unique(images.reshape(32, -1), axis=0)) == 32
    assert check_agreement(untrained(), graph, images) >= AGREEMENT


def test_the_graph_takes_bytes_and_gives_unit_vectors_in_a_recent_opset(graph: bytes) -> None:
    session = open_graph(graph)
    (put,), (got,) = session.get_inputs(), session.get_outputs()
    assert (put.name, put.type, put.shape[1:]) == ("images", "tensor(uint8)", [64, 32, 3])
    assert (got.name, got.type, got.shape[1:]) == ("vectors", "tensor(float)", [64])
    assert isinstance(put.shape[0], str)
    assert isinstance(got.shape[0], str)
    assert onnx.load_from_string(graph).opset_import[0].version >= 17
    images = np.random.default_rng(1).integers(0, 256, (3, 64, 32, 3), dtype=np.uint8)
    assert np.linalg.norm(run(session, images), axis=1) == pytest.approx(np.ones(3), abs=1e-5)


def test_a_graph_that_gives_other_vectors_is_refused(graph: bytes) -> None:
    other = untrained(seed=1)
    with pytest.raises(ExportRefused, match="cosine"):
        check_agreement(other, graph, choose_images(None, 32, other))


def test_a_network_that_gives_nan_is_refused(graph: bytes) -> None:
    network = untrained()
    with torch.no_grad():
        next(network.project.parameters()).fill_(float("nan"))
    with pytest.raises(ExportRefused, match="cosine"):
        check_agreement(network, graph, choose_images(None, 32, network))


def test_a_written_folder_is_one_the_service_accepts_and_an_existing_one_is_kept(graph: bytes, tmp_path: Path) -> None:
    folder = tmp_path / "new" / "mine"
    manifest = write_folder(folder, graph, name="mine", thresholds=THRESHOLDS)
    model = OnnxModel(folder, provider="cpu", threads=1)
    assert model.manifest == manifest
    assert (manifest.input.height, manifest.input.width, manifest.output.dim) == (64, 32, 64)
    image = np.random.default_rng(2).integers(0, 256, (192, 80, 3), dtype=np.uint8)
    with torch.inference_mode():
        expected = untrained()(torch.from_numpy(prepare([image], (64, 32)))).numpy()
    assert least_cosine(model.run(model.prepare(image)[None]), expected) >= AGREEMENT
    before = {file.name: file.read_bytes() for file in folder.iterdir()}
    with pytest.raises(Refused, match="is there already"):
        write_folder(folder, graph, name="other", thresholds=THRESHOLDS)
    assert {file.name: file.read_bytes() for file in folder.iterdir()} == before
    assert [file.name for file in folder.parent.iterdir()] == ["mine"]


def test_a_folder_that_the_service_would_not_accept_is_not_written(graph: bytes, tmp_path: Path) -> None:
    with pytest.raises(Refused):
        write_folder(tmp_path / "mine", b"no graph", name="mine", thresholds=THRESHOLDS)
    with pytest.raises(Refused, match="would not accept"):
        write_folder(tmp_path / "mine", graph, name="Not A Name", thresholds=THRESHOLDS)
    assert list(tmp_path.iterdir()) == []


def test_another_architecture_is_exported_in_its_own_size() -> None:
    network = untrained(architecture=Architecture("osnet-ain-x0.25", "gem", dim=48, height=96, width=32))
    images = choose_images(None, 32, network)
    assert images.shape == (32, 96, 32, 3)
    assert check_agreement(network, trace(network), images) >= AGREEMENT


def test_fp16_and_int8_stay_near_fp32_alone_and_in_batches(graph: bytes, drawn: Path) -> None:
    exam = read_exam(str(drawn))
    images = choose_images(exam, 32, untrained())
    whole = run(open_graph(graph), images)
    assert np.isfinite(whole).all()
    halved, eighth = to_fp16(graph), to_int8(graph, images)
    assert least_cosine(run(open_graph(halved), images), whole) > 0.999
    assert len(halved) < 0.75 * len(graph)
    small = open_graph(eighth)
    assert least_cosine(run(small, images), whole) > 0.9
    assert check_batches(halved, images) >= AGREEMENT
    assert check_batches(eighth, images) >= 0.999
    for shrunk in (halved, eighth):
        vectors = run(open_graph(shrunk), images)
        assert np.linalg.norm(vectors, axis=1) == pytest.approx(np.ones(32), abs=1e-5)
    kinds = {node.op_type for node in onnx.load_from_string(eighth).graph.node}
    assert {"QuantizeLinear", "DequantizeLinear"} <= kinds
    assert to_int8(graph, images) == eighth


def test_a_flat_white_picture_is_not_too_much_for_fp16(graph: bytes) -> None:
    checks = np.zeros((1, 64, 32, 3), np.uint8)
    checks[:, ::2] = 255
    plain = np.full((1, 64, 32, 3), 255, np.uint8)
    images = np.concatenate([checks, plain])
    assert run(open_graph(to_fp16(graph)), images) == pytest.approx(run(open_graph(graph), images), abs=1e-3)


def test_a_precision_that_costs_retrieval_is_refused_with_both_figures(graph: bytes, drawn: Path) -> None:
    exam = read_exam(str(drawn))
    good = examine(exam, embed(describe_by_graph(open_graph(graph)), exam, "fp32"))
    bad = examine(exam, embed(lambda images: np.eye(64, dtype=np.float32)[[0] * len(images)], exam, "constant"))
    with pytest.raises(Refused, match=rf"int8 has mAP {bad.mean_ap:.4f}, fp32 {good.mean_ap:.4f}"):
        check_loss("int8", good, bad, 0.01)
    assert check_loss("int8", good, bad, 1) is bad
    assert check_loss("int8", bad, good, 0) is good


def test_a_run_is_exported_with_its_origin_in_the_file(
    run_folder: Path, graph: bytes, drawn: Path, tmp_path: Path
) -> None:
    out = tmp_path / "mine"
    status, told, _ = export(run_folder, "--out", out, "--data", drawn)
    assert status == 0, told
    manifest = OnnxModel(out, provider="cpu", threads=1).manifest
    assert (manifest.name, manifest.precision) == ("my-run", "fp32")
    assert manifest.acceptance is not None
    assert manifest.acceptance.queries == 40
    assert "too few" in manifest.thresholds.made_from
    props = open_graph(out / "model.onnx").get_modelmeta().custom_metadata_map
    assert json.loads(props["reappear.architecture"]) == asdict(SMALL)
    expected = {
        "name": "my-run", "version": version("reappear"), "input": "64x32", "backbone": "osnet-x0.25",
        "trained_on": "shop", "identities": 10, "steps": 120, "seed": 3, "started_from": "base", "commit": "c0ffee",
        "run_sha256": sha256_of(run_folder / "best.pt"), "weights": digest_network(untrained()), "precision": "fp32",
        "set": manifest.acceptance.set, "mean_ap": manifest.acceptance.mean_ap, "queries": 40,
    }  # fmt: skip
    assert {key: props[f"reappear.{key}"] for key in expected} == {key: str(value) for key, value in expected.items()}
    assert not any(str(run_folder.parent) in value for value in props.values()), "no paths of this machine"
    model = onnx.load(out / "model.onnx")
    del model.metadata_props[:]
    assert model.SerializeToString() == graph, "the same weights give the same bytes"


@pytest.mark.usefixtures("traced_once")
def test_an_int8_export_keeps_its_precision_in_the_manifest_or_is_refused(
    run_folder: Path, drawn: Path, tmp_path: Path
) -> None:
    told = ("--out", tmp_path / "small", "--precision", "int8", "--data", drawn)
    status, output, _ = export(run_folder, *told, "--most-loss", 1)
    assert status == 0, output
    model = OnnxModel(tmp_path / "small", provider="cpu", threads=1)
    assert model.manifest.precision == "int8"
    props = {one.key: one.value for one in onnx.load(tmp_path / "small" / "model.onnx").metadata_props}
    assert props["reappear.precision"] == "int8"


def test_what_cannot_be_exported_is_said_before_anything_is_written(
    run_folder: Path, drawn: Path, tmp_path: Path
) -> None:
    status, told, _ = export(run_folder, "--out", tmp_path / "new", "--precision", "int8")
    assert (status, "--data" in told) == (2, True)
    assert export(run_folder, "--out", tmp_path / "new", "--name", "No Name")[0] == 2
    _, _, error = export(tmp_path / "nothing", "--out", tmp_path / "new")
    assert isinstance(error, Refused)
    _, _, error = export(run_folder, "--out", drawn)
    assert isinstance(error, Refused)
    assert "is there already" in str(error)
    assert [one.name for one in tmp_path.iterdir()] == []


@pytest.mark.usefixtures("traced_once")
def test_thresholds_are_taken_from_the_same_run_only_and_so_are_those_of_its_card(
    run_folder: Path, tmp_path: Path
) -> None:
    table, out, network = tmp_path / "t.json", tmp_path / "mine", open_model(str(run_folder))
    made = [asdict(Threshold(100, fpir, 0.9 - fpir, 0.7, 0.95, 0.5, 0.4, 0.6, 1_000, 1_000)) for fpir in (0.01, 0.1)]
    record = {"model": network.name, "checksum": network.checksum, "command": "made up", "thresholds": made}
    told = ("--out", out, "--thresholds", table, "--gallery", 100)
    table.write_text(json.dumps(record | {"checksum": digest_network(untrained(seed=1))}))
    _, _, error = export(run_folder, *told)
    assert isinstance(error, Refused)
    assert "whose weights are others" in str(error)
    assert not out.exists()
    table.write_text(json.dumps(record))
    status, output, _ = export(run_folder, *told)
    assert status == 0, output
    manifest = read_manifest(out)
    assert manifest.thresholds.match == 0.89
    accepted = checksums_of(out, manifest)
    assert accepted == {network.checksum, open_model(str(out)).checksum}
    assert len(read_thresholds(table, accepted)) == 2
    assert open_model(str(out / "model.onnx")).checksum == manifest.sha256
    assert checksums_of(out, manifest.model_copy(update={"precision": "int8"})) == {manifest.sha256}


@pytest.mark.usefixtures("traced_once")
def test_pictures_of_the_training_are_judged_by_those_it_held_out_wherever_they_lie(
    run: Path, people: Path, tmp_path: Path
) -> None:
    for data in (people, Path(shutil.copytree(people, tmp_path / "copy"))):
        status, told, error = export(run, "--out", tmp_path / f"of {data.name}", "--data", data)
        assert status == 0, (told, error)
        acceptance = read_manifest(tmp_path / f"of {data.name}").acceptance
        assert acceptance is not None
        assert acceptance.queries == 4, "two people of eight were held out, each at two cameras"
    _, _, error = export(run, "--out", tmp_path / "all", "--data", people, "--share", 1)
    assert isinstance(error, Refused)
    assert "was trained on 24 of the 32 pictures" in str(error)
    assert not (tmp_path / "all").exists()


def test_pictures_to_calibrate_by_come_from_training_where_there_are_any(drawn: Path) -> None:
    exam = read_exam(str(drawn), share=0.5)
    assert exam.train
    assert set(exam.identities.tolist()).isdisjoint(one.identity for one in exam.train)
    only = replace(exam, train=exam.train[:1])
    images = choose_images(only, 5, untrained())
    assert len(np.unique(images.reshape(5, -1), axis=0)) == 1
