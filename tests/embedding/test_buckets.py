"""Batches of fixed sizes, each with a session of its own; and what a GPU provider is told."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import onnxruntime
import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.config import Settings
from service.embedding import onnx_model
from service.embedding.buckets import SIZES, Buckets, parts_of, share_of
from service.embedding.onnx_model import OnnxModel, cuda_options
from service.errors import ModelRefused
from tests.pictures import person

FOLDER = Settings().model_dir


@given(st.integers(1, 200))
def test_images_are_parted_into_few_sizes_and_none_is_lost(count: int) -> None:
    images = np.arange(count * 12).reshape(count, 2, 2, 3)
    parts = list(parts_of(images))
    assert np.concatenate([part for _, part in parts]).tolist() == images.tolist()
    for size, part in parts:
        assert size in SIZES
        assert size >= len(part)
        assert not [one for one in SIZES if len(part) <= one < size], "no smaller one would do"


@given(st.integers(64, 1 << 20))
def test_all_sizes_together_keep_to_a_bound_of_memory_and_none_starves(bound_mb: int) -> None:
    shares = [share_of(bound_mb, size) for size in SIZES]
    assert sum(shares) <= bound_mb
    assert min(shares) >= bound_mb // (2 * len(SIZES))
    assert shares == sorted(shares)


class Asked:
    """What a runtime that has CUDA was asked for."""

    def __init__(self) -> None:
        self.told: list[Any] = []
        self.fallback: list[bool] = []
        self.sizes: list[int] = []
        self.refuses = 0  # batches larger than this fail, if it is not 0


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> Asked:
    """The runtime here has no CUDA: its sessions are opened on the CPU, and asked as CUDA ones would be."""
    asked = Asked()

    class Session(onnxruntime.InferenceSession):  # type: ignore[misc]
        def __init__(self, path: Any, options: Any, providers: Any) -> None:
            asked.told.extend(providers)
            super().__init__(path, options, providers=["CPUExecutionProvider"])

        def get_providers(self) -> list[str]:
            return ["CUDAExecutionProvider"]

        def run_with_iobinding(self, binding: Any) -> None:
            size = binding.batch
            asked.sizes.append(size)
            asked.fallback.append(self._enable_fallback)
            if asked.refuses and size > asked.refuses:
                raise RuntimeError("BFCArena: available memory is smaller than requested")
            super().run_with_iobinding(binding)

        def io_binding(self) -> Any:
            binding = super().io_binding()
            bind = binding.bind_ortvalue_input

            def note(name: str, images: Any) -> None:
                binding.batch = images.shape()[0]
                bind(name, images)

            binding.bind_ortvalue_input = note
            return binding

    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: ["CUDAExecutionProvider"])
    monkeypatch.setattr(onnxruntime, "InferenceSession", Session)
    monkeypatch.setattr(onnxruntime, "preload_dlls", lambda: None)
    monkeypatch.setattr(onnx_model, "Buckets", lambda opened, manifest, device: Buckets(opened, manifest, "cpu"))
    return asked


def test_on_a_gpu_each_size_has_a_session_that_is_warm_keeps_to_its_memory_and_never_falls_back(asked: Asked) -> None:
    network = OnnxModel(FOLDER, provider="cuda", threads=1, gpu_memory_mb=2048)
    limits = [str(share_of(2048, size) << 20) for size in SIZES]
    assert asked.told == [
        ("CUDAExecutionProvider", {"arena_extend_strategy": "kSameAsRequested", "gpu_mem_limit": limit})
        for limit in limits
    ]
    assert asked.sizes[-len(SIZES) :] == list(SIZES), "every size is run once before anybody asks"
    network.run(np.stack([network.prepare(person(seed)) for seed in range(5)]))
    assert asked.sizes[-1] == 16
    assert asked.fallback == [False] * len(asked.fallback), "a run that fails there is an error, not one on the CPU"
    assert network.provider == "CUDAExecutionProvider"


@pytest.mark.parametrize("count", [1, 3, 5, 17, 33])
def test_each_image_gets_its_own_vector_whatever_else_was_in_the_batch(count: int, asked: Asked) -> None:
    network = OnnxModel(FOLDER, provider="cuda", threads=1)
    images = np.stack([network.prepare(person(seed)) for seed in range(count)])
    assert network._buckets is not None
    plain = network._buckets._each[1].run
    expected = np.concatenate([plain(image[None]) for image in images])
    assert np.abs(network.run(images) - expected).max() < 1e-4


def test_callers_side_by_side_do_not_get_each_others_vectors(asked: Asked) -> None:
    network = OnnxModel(FOLDER, provider="cuda", threads=1)
    batches = [np.stack([network.prepare(person(seed)) for seed in (first, first + 1)]) for first in range(6)]
    expected = [network.run(batch) for batch in batches]
    with ThreadPoolExecutor(6) as threads:
        found = list(threads.map(network.run, batches * 3))
    for vectors, alone in zip(found, expected * 3, strict=True):
        assert np.abs(vectors - alone).max() < 1e-5


def test_a_gpu_without_room_for_a_size_is_refused_with_what_to_do(asked: Asked) -> None:
    asked.refuses = 16
    with pytest.raises(ModelRefused, match=r"a batch of 32 does not run on the GPU: BFCArena.*REAPPEAR_GPU_MEMORY_MB"):
        OnnxModel(FOLDER, provider="cuda", threads=1, gpu_memory_mb=64)


def test_without_a_bound_none_is_told() -> None:
    assert "gpu_mem_limit" not in cuda_options(share_of(0, 32))
    assert cuda_options(share_of(1, 1))["gpu_mem_limit"] == str(1 << 20), "and a small one is not none"


def test_a_card_that_has_no_room_for_pictures_is_refused(asked: Asked, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_room(*arguments: object) -> object:
        raise RuntimeError("CUDA failure 2: out of memory")

    monkeypatch.setattr(onnxruntime.OrtValue, "ortvalue_from_numpy", no_room)
    with pytest.raises(ModelRefused, match=r"cannot be made ready on the GPU: CUDA failure 2"):
        OnnxModel(FOLDER, provider="cuda", threads=1)
