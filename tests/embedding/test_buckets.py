"""Batches of fixed sizes: which, and that filling them up changes nothing; and what a GPU provider is told."""

from typing import Any

import numpy as np
import onnxruntime
import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.config import Settings
from service.embedding.buckets import SIZES, bucket_of, run_in_bucket
from service.embedding.onnx_model import OnnxModel, options_of
from tests.pictures import person


@given(st.integers(1, 200))
def test_a_bucket_holds_the_images_and_is_one_of_few(count: int) -> None:
    size = bucket_of(count)
    assert size >= count
    assert size in SIZES or size % SIZES[-1] == 0
    assert not [one for one in SIZES if count <= one < size], "no smaller one would do"


@pytest.mark.parametrize("count", [1, 2, 3, 5, 8, 31, 32, 33])
def test_each_image_gets_its_own_vector_whatever_the_batch_was_filled_up_with(count: int) -> None:
    seen: list[int] = []

    def run(images: np.ndarray) -> np.ndarray:
        seen.append(len(images))
        return images.reshape(len(images), -1)[:, :2].astype(np.float32)

    images = np.arange(count * 12, dtype=np.uint8).reshape(count, 2, 2, 3)
    assert run_in_bucket(run, images).tolist() == run(images).tolist()
    assert seen == [bucket_of(count), count]


def test_on_a_gpu_the_network_runs_in_buckets_that_are_warm_and_keeps_to_its_memory(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The runtime here has no CUDA: its session is opened on the CPU, and asked as a CUDA one would be."""
    sizes: list[int] = []
    told: list[Any] = []

    class Session(onnxruntime.InferenceSession):  # type: ignore[misc]
        def __init__(self, path: Any, options: Any, providers: Any) -> None:
            told.extend(providers)
            super().__init__(path, options, providers=["CPUExecutionProvider"])

        def get_providers(self) -> list[str]:
            return ["CUDAExecutionProvider"]

        def run(self, names: Any, inputs: Any) -> Any:
            sizes.extend(len(images) for images in inputs.values())
            return super().run(names, inputs)

    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: ["CUDAExecutionProvider"])
    monkeypatch.setattr(onnxruntime, "InferenceSession", Session)
    folder = Settings().model_dir
    network = OnnxModel(folder, provider="cuda", threads=1, gpu_memory_mb=2048)
    monkeypatch.undo()
    assert told == [
        ("CUDAExecutionProvider", {"arena_extend_strategy": "kSameAsRequested", "gpu_mem_limit": str(2048 * 2**20)})
    ]
    assert set(sizes) == set(SIZES), "every size is run once before anybody asks"
    images = np.stack([network.prepare(person(seed)) for seed in range(5)])
    vectors = network.run(images)
    assert sizes[-1] == 8
    assert np.abs(vectors - OnnxModel(folder, provider="cpu", threads=1).run(images)).max() < 1e-4


def test_without_a_bound_none_is_told_and_the_cpu_is_told_nothing() -> None:
    assert "gpu_mem_limit" not in options_of("cuda", 0)
    assert options_of("cpu", 2048) == {}
