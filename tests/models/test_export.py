"""Export: what ONNX Runtime gives is what PyTorch gives, in any batch, or there is no file."""

from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch

from models.evaluate import Thresholds
from models.export import AGREEMENT, ExportRefused, check_agreement, place, write_manifest, write_onnx
from models.network import Extractor
from service.embedding.onnx_model import OnnxModel
from service.images.preprocess import resize

pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning")  # PyTorch's exporter calls what PyTorch deprecated


def untrained() -> Extractor:
    torch.manual_seed(0)
    return Extractor().eval()


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("export") / "model.onnx"
    write_onnx(untrained(), path)
    return path


def test_onnx_agrees_with_pytorch_in_batches_of_1_7_and_32(exported: Path) -> None:
    assert check_agreement(untrained(), exported) >= AGREEMENT


def test_the_graph_takes_bytes_and_gives_unit_vectors(exported: Path) -> None:
    session = onnxruntime.InferenceSession(exported, providers=["CPUExecutionProvider"])
    (put,), (got,) = session.get_inputs(), session.get_outputs()
    assert (put.name, put.type, put.shape[1:]) == ("images", "tensor(uint8)", [128, 64, 3])
    assert (got.name, got.type, got.shape[1:]) == ("vectors", "tensor(float)", [512])
    assert isinstance(put.shape[0], str)
    assert isinstance(got.shape[0], str)
    images = np.random.default_rng(1).integers(0, 256, (3, 128, 64, 3), dtype=np.uint8)
    assert np.linalg.norm(session.run(None, {"images": images})[0], axis=1) == pytest.approx(np.ones(3), abs=1e-5)


def test_a_file_that_gives_other_vectors_is_refused_and_not_written(exported: Path, tmp_path: Path) -> None:
    torch.manual_seed(1)
    with pytest.raises(ExportRefused, match="cosine"):
        place(exported.read_bytes(), Extractor(), tmp_path / "model.onnx")
    assert list(tmp_path.iterdir()) == []


def test_a_written_folder_is_one_the_service_accepts(exported: Path) -> None:
    folder = exported.parent
    write_manifest(folder, Thresholds(0.7, 0.5, 0.9, 0.99), (1000, 250), (0.01, 0.1), "a test")
    model = OnnxModel(folder, provider="cpu", threads=1)
    image = np.random.default_rng(2).integers(0, 256, (192, 80, 3), dtype=np.uint8)
    with torch.inference_mode():
        expected = untrained()(torch.from_numpy(resize(image, 128, 64).copy())[None]).numpy()
    assert (model.run(model.prepare(image)[None]) * expected).sum() >= AGREEMENT
