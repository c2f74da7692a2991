"""The exported network on ONNX Runtime. Refuses a file that is not the one the manifest names, a network that gives
another vector than it gave when exported, and a provider that is listed but not really used."""

import os
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import redirect_stdout
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")  # its wheels report to their maker; read when it is imported
import onnxruntime

from service.domain import ImageArray, VectorArray
from service.embedding.buckets import SIZES, Buckets, share_of
from service.embedding.lone import Lone, spare_core
from service.embedding.manifest import Manifest, read_manifest, sha256_of
from service.errors import ModelRefused
from service.images.decode import PictureLimits, decode
from service.images.preprocess import resize

PROVIDERS = {"cpu": "CPUExecutionProvider", "cuda": "CUDAExecutionProvider"}
MOST = 8  # pictures of a share
GOLDEN_COSINE = 0.999
UNIT_TOLERANCE = 1e-3
GOLDEN_LIMITS = PictureLimits(max_bytes=4_000_000, max_pixels=4_000_000)


class OnnxModel:
    """A checked network: uint8 (n, height, width, 3) RGB in, unit-length float32 (n, dim) out. Safe to share."""

    def __init__(self, folder: Path, *, provider: str, threads: int, gpu_memory_mb: int = 0) -> None:
        """Load and check the model in a folder, and on a GPU run it once in every size that will come.
        `gpu_memory_mb` bounds its memory there, 0 is no bound. Raises ModelRefused with the reason and the remedy."""
        self.manifest: Manifest = read_manifest(folder)
        path = folder / self.manifest.file
        found = sha256_of(path)
        if found != self.manifest.sha256:
            raise ModelRefused(f"{path} has sha256 {found}, its manifest says {self.manifest.sha256}; export it again")
        self.provider = PROVIDERS[provider]  # really in use, which each session is held to
        self._threads = 1 if provider == "cuda" else threads
        self._side_by_side = ThreadPoolExecutor(self._threads, thread_name_prefix="network")
        self._buckets = self._open_buckets(path, gpu_memory_mb) if provider == "cuda" else None
        self._session: Any = None if self._buckets else _open_session(path, self.provider, {})
        self._check_golden(folder)
        self._lone = self._open_lone(path) if self._threads > 1 else None
        self._warm_up()

    def run(self, images: ImageArray, threads: int | None = None) -> VectorArray:
        """Embed uint8 (n, height, width, 3) images into unit-length float32 (n, dim) vectors. On a CPU batches are cut
        into shares, each run by one thread of all or of so many
        (docs/decisions/0023-what-an-enrolment-of-many-costs.md), and a lone picture is shared by two that are said to
        be free."""
        if self._buckets is not None:
            return self._buckets.run(images)
        if len(images) == 1 and (threads or 1) > 1 and self._lone is not None:
            vectors = self._lone.run(images)
            if vectors is not None:
                return vectors
        threads = min(self._threads, threads or self._threads)
        shares = even_shares(images, threads)
        over = self._side_by_side.map if threads > 1 and len(shares) > 1 else map
        return np.concatenate(list(over(self._run, shares)))

    def _run(self, images: ImageArray, session: onnxruntime.InferenceSession | None = None) -> VectorArray:
        (vectors,) = (session or self._session).run([self.manifest.output.name], {self.manifest.input.name: images})
        return np.asarray(vectors, dtype=np.float32)

    def _open_buckets(self, path: Path, gpu_memory_mb: int) -> Buckets:
        def open_session(size: int) -> onnxruntime.InferenceSession:
            return _open_session(path, self.provider, cuda_options(share_of(gpu_memory_mb, size)))

        try:
            return Buckets(open_session, self.manifest, "cuda")
        except ModelRefused:
            raise
        except Exception as error:  # ONNX Runtime raises its own unexported classes
            raise ModelRefused(f"{path} cannot be made ready on the GPU: {error}") from error

    def _warm_up(self) -> None:
        """Run every size of batch once that has a plan to make. Raises ModelRefused where the GPU does not."""
        for size in SIZES if self._buckets is not None else ():
            try:
                self.run(self._blank(size))
            except Exception as error:  # ONNX Runtime raises its own unexported classes
                raise ModelRefused(
                    f"a batch of {size} does not run on the GPU: {error}; free memory there, or let "
                    "REAPPEAR_GPU_MEMORY_MB be larger"
                ) from error

    def _open_lone(self, path: Path) -> Lone | None:
        core = spare_core()
        if core is None:
            return None
        lone = Lone(partial(self._run, session=_open_session(path, PROVIDERS["cpu"], {}, core)), core=core)
        lone.learn(self._run, self._blank(1))
        return lone

    def prepare(self, image: ImageArray) -> ImageArray:
        """Resize a decoded (h, w, 3) image to what the network takes."""
        return resize(image, self.manifest.input.height, self.manifest.input.width)

    def _blank(self, size: int) -> ImageArray:
        return np.zeros((size, self.manifest.input.height, self.manifest.input.width, 3), np.uint8)

    def _check_golden(self, folder: Path) -> None:
        golden = self.manifest.golden
        path = folder / golden.picture
        try:
            picture = path.read_bytes()
        except OSError as error:
            raise ModelRefused(f"{path} cannot be read ({error.strerror}); export the model again") from error
        try:
            vector = self.run(self.prepare(decode(picture, GOLDEN_LIMITS))[None])[0]
        except Exception as error:  # whatever the runtime raises for a graph that does not fit its manifest
            raise ModelRefused(f"{folder} does not run as its manifest says: {error}") from error
        if vector.shape != (self.manifest.output.dim,):
            raise ModelRefused(
                f"{folder} gives vectors of shape {vector.shape}, its manifest says {self.manifest.output.dim}"
            )
        if abs(float(np.linalg.norm(vector)) - 1) > UNIT_TOLERANCE:
            raise ModelRefused(
                f"{folder} gives vectors that are not of unit length; export with the L2 norm in the graph"
            )
        expected = np.asarray(golden.vector, dtype=np.float32)
        cosine = float(vector @ expected / np.linalg.norm(expected))
        if not cosine >= GOLDEN_COSINE:
            raise ModelRefused(
                f"the golden crop of {folder} gives a vector with cosine {cosine:.4f} to the recorded one, "
                f"{GOLDEN_COSINE} is needed; export the model again, or use the runtime version it was exported with"
            )


def even_shares(images: ImageArray, threads: int) -> list[ImageArray]:
    """A batch in as many shares for each thread as keep them small, none larger than another by more than one: a thread
    that is done early would wait."""
    each = -(-len(images) // (MOST * threads))
    return np.array_split(images, min(each * threads, len(images)))


def cuda_options(memory_mb: int) -> dict[str, str]:
    """What CUDA is told; 0 is no bound. A GPU is shared with the index: memory grows by what is asked for, not by
    doubling."""
    bound = {"gpu_mem_limit": str(memory_mb << 20)} if memory_mb else {}
    return {"arena_extend_strategy": "kSameAsRequested", **bound}


def _open_session(
    path: Path, provider: str, told: dict[str, str], core: int | None = None
) -> onnxruntime.InferenceSession:
    """A session without threads of its own, or with one that stays on a core."""
    if provider not in onnxruntime.get_available_providers():
        raise ModelRefused(
            f"{provider} is not in this ONNX Runtime (it has {', '.join(onnxruntime.get_available_providers())}); "
            "install the `gpu` extra, or set REAPPEAR_PROVIDER=cpu"
        )
    if provider == PROVIDERS["cuda"]:
        with redirect_stdout(sys.stderr):  # what it says is not for programs
            onnxruntime.preload_dlls()  # of NVIDIA's wheels, where no search path of this machine leads to them
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1 if core is None else 2
    if core is not None:
        options.add_session_config_entry("session.intra_op_thread_affinities", str(core + 1))  # counted from 1
        options.add_session_config_entry("session.force_spinning_stop", "1")  # when a run ends
    options.inter_op_num_threads = 1
    options.enable_mem_pattern = provider != PROVIDERS["cpu"]  # one for each size of a share: 25 MB, and no faster
    try:
        session = onnxruntime.InferenceSession(path, options, providers=[(provider, told)])
    except Exception as error:  # ONNX Runtime raises its own unexported classes
        raise ModelRefused(f"ONNX Runtime cannot load {path}: {error}") from error
    if session.get_providers()[0] != provider:
        raise ModelRefused(
            f"{provider} was asked for, but ONNX Runtime runs on {session.get_providers()[0]}; "
            "check the driver and that the CUDA major of onnxruntime-gpu is installed, or set REAPPEAR_PROVIDER=cpu"
        )
    session.disable_fallback()  # else a run that fails on the GPU goes on, and all after it, on the CPU
    return session
