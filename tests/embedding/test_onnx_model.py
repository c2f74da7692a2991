"""The checks a network passes before it may serve, on the model in use and on spoiled copies of it."""

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest

from service.config import Settings
from service.embedding.onnx_model import MOST, OnnxModel, even_shares
from service.errors import ModelRefused
from tests.pictures import encode, person

Spoil = Callable[[Callable[[dict[str, Any]], Any]], Path]


@pytest.fixture(scope="module", params=[1, 2])
def network(request: pytest.FixtureRequest) -> OnnxModel:
    return OnnxModel(Settings().model_dir, provider="cpu", threads=request.param)


def open_copy(folder: Path, provider: str = "cpu") -> OnnxModel:
    return OnnxModel(folder, provider=provider, threads=1)


def test_the_model_in_use_passes_and_says_where_it_runs(network: OnnxModel) -> None:
    assert network.provider == "CPUExecutionProvider"
    assert network.run(network.prepare(person(1))[None]).shape == (1, network.manifest.output.dim)


@pytest.mark.parametrize("threads", [None, 1, 9])
@pytest.mark.parametrize("size", [1, 2, 3, 8, 17, 32])
def test_a_vector_does_not_depend_on_the_batch_it_was_made_in(
    network: OnnxModel, size: int, threads: int | None
) -> None:
    images = np.stack([network.prepare(person(seed, height=150, width=70)) for seed in range(size)])
    together = network.run(images, threads)
    alone = np.concatenate([network.run(image[None]) for image in images])
    assert np.abs(together - alone).max() < 1e-4


def test_one_thread_is_the_callers_own(network: OnnxModel, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(network, "_side_by_side", None)
    assert network.run(np.stack([network.prepare(person(1))] * 17), 1).shape == (17, network.manifest.output.dim)


@pytest.mark.parametrize(("size", "threads", "sizes"), [(2, 2, [1, 1]), (3, 8, [1, 1, 1]), (17, 2, [5, 4, 4, 4])])
def test_shares_of_a_batch_are_of_a_size(size: int, threads: int, sizes: list[int]) -> None:
    shares = even_shares(np.arange(size), threads)
    assert list(map(len, shares)) == sizes
    assert np.concatenate(shares).tolist() == list(range(size))


def test_no_share_of_a_batch_is_large() -> None:
    assert all(len(one) <= MOST for size in range(2, 100) for one in even_shares(np.arange(size), 3))


def test_every_picture_gets_a_finite_vector_of_unit_length_even_a_plain_one(network: OnnxModel) -> None:
    height, width = network.manifest.input.height, network.manifest.input.width
    plain = [np.full((height, width, 3), value, np.uint8) for value in (0, 127, 255)]
    noise = np.random.default_rng(1).integers(0, 256, (height, width, 3), dtype=np.uint8)
    vectors = network.run(np.stack([*plain, noise, network.prepare(person(1))]))
    assert np.isfinite(vectors).all()
    assert np.linalg.norm(vectors, axis=1) == pytest.approx(np.ones(5), abs=1e-3)


def test_a_file_that_is_not_the_one_the_manifest_names_is_refused(model_copy: Path) -> None:
    path = model_copy / "model.onnx"
    path.write_bytes(path.read_bytes() + b"\0")
    with pytest.raises(ModelRefused, match="its manifest says"):
        open_copy(model_copy)


def test_a_missing_file_is_refused_by_its_name(model_copy: Path) -> None:
    (model_copy / "model.onnx").unlink()
    with pytest.raises(ModelRefused, match=r"model\.onnx cannot be read \(No such file"):
        open_copy(model_copy)


def test_a_missing_golden_crop_is_refused_by_its_name(model_copy: Path, spoil: Spoil) -> None:
    folder = spoil(lambda manifest: manifest["golden"].update(picture="gold.png"))
    with pytest.raises(ModelRefused, match=r"gold\.png cannot be read"):
        open_copy(folder)


def test_a_file_that_is_no_network_is_refused_although_its_checksum_is_right(model_copy: Path, spoil: Spoil) -> None:
    content = b"this is no network"
    (model_copy / "model.onnx").write_bytes(content)
    folder = spoil(lambda manifest: manifest.update(sha256=hashlib.sha256(content).hexdigest()))
    with pytest.raises(ModelRefused, match="ONNX Runtime cannot load"):
        open_copy(folder)


@pytest.mark.parametrize(
    "how",
    [
        lambda manifest: manifest["golden"].update(vector=[-one for one in manifest["golden"]["vector"]]),
        lambda manifest: manifest["golden"].update(vector=manifest["golden"]["vector"][::-1]),
        lambda manifest: manifest["golden"]["vector"].__setitem__(0, manifest["golden"]["vector"][0] + 0.2),
    ],
    ids=["the opposite", "another order", "a little off"],
)
def test_a_network_that_gives_another_vector_than_when_it_was_exported_is_refused(
    how: Callable[[dict[str, Any]], Any], spoil: Spoil
) -> None:
    folder = spoil(how)
    with pytest.raises(ModelRefused, match="golden crop"):
        open_copy(folder)


def test_another_golden_crop_than_the_one_the_vector_was_made_of_is_refused(model_copy: Path) -> None:
    golden = model_copy / "golden.png"
    turned = person(77, height=256, width=128)[::-1]
    golden.write_bytes(encode(np.ascontiguousarray(turned), "PNG"))
    with pytest.raises(ModelRefused):
        open_copy(model_copy)
    golden.write_bytes(b"no picture")
    with pytest.raises(ModelRefused, match="does not run as its manifest says"):
        open_copy(model_copy)


@pytest.mark.parametrize(
    "how",
    [
        lambda manifest: manifest["input"].update(name="tensor"),
        lambda manifest: manifest["output"].update(name="tensor"),
        lambda manifest: (manifest["output"].update(dim=3), manifest["golden"].update(vector=[1.0, 0.0, 0.0])),
    ],
    ids=["input", "output", "dimension"],
)
def test_a_network_with_other_tensors_than_its_manifest_is_refused(
    how: Callable[[dict[str, Any]], Any], spoil: Spoil
) -> None:
    folder = spoil(how)
    with pytest.raises(ModelRefused, match="its manifest says"):
        open_copy(folder)


@pytest.mark.skipif(
    "CUDAExecutionProvider" in onnxruntime.get_available_providers(), reason="this ONNX Runtime has CUDA"
)
def test_a_gpu_that_was_asked_for_and_is_not_there_is_refused_with_the_remedy(model_copy: Path) -> None:
    with pytest.raises(ModelRefused, match="CUDAExecutionProvider is not in this ONNX Runtime") as refusal:
        open_copy(model_copy, provider="cuda")
    assert "REAPPEAR_PROVIDER=cpu" in refusal.value.detail
