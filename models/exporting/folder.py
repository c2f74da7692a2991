"""The folder a service runs: model.onnx, golden.png, manifest.json. It is there whole or not at all. No torch."""

import hashlib
import json
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from models.errors import Refused
from models.evaluation.evaluate import UNSEEN_SEED
from models.evaluation.graphs import open_graph
from models.exporting.running import prepare, run, size_of
from models.files import sync, write_whole
from models.people.crowd import draw_place, person_of, walk_past
from models.people.style import STREET
from service.embedding.manifest import Acceptance, Manifest, Source, Thresholds
from service.embedding.onnx_model import OnnxModel
from service.errors import ModelRefused
from service.images.preprocess import resize

NAME = r"[a-z0-9][a-z0-9._-]{0,63}"  # as the manifest wants it
FILE, GOLDEN = "model.onnx", "golden.png"
GOLDEN_HEIGHT, GOLDEN_WIDTH = 192, 80


def draw_golden() -> NDArray[np.uint8]:
    """The golden crop, RGB (192, 80, 3): a synthetic person, the same on every machine up to rounding. Nobody's real
    picture leaves a picture set this way."""
    rng = np.random.default_rng((UNSEEN_SEED, 1))
    place = draw_place(rng, STREET)
    return resize(walk_past(place, person_of(UNSEEN_SEED, 1, STREET), STREET, [], rng), GOLDEN_HEIGHT, GOLDEN_WIDTH)


def write_folder(
    folder: Path,
    graph: bytes,
    *,
    name: str,
    thresholds: Thresholds,
    precision: str = "fp32",
    source: Source | None = None,
    acceptance: Acceptance | None = None,
) -> Manifest:
    """Write a graph from uint8 (N, H, W, 3) to unit vectors (N, dim) as a new folder, read back as the service does.

    Raises Refused, and leaves nothing, when the folder is there already or would not be accepted.
    """
    check_free(folder)
    golden, told = draw_golden(), {"source": source, "acceptance": acceptance}
    manifest = {
        "format": 1,
        "name": name,
        "file": FILE,
        "sha256": hashlib.sha256(graph).hexdigest(),
        **describe_graph(graph, golden),
        "thresholds": thresholds.model_dump(),
        "precision": precision,
        **{key: part.model_dump() for key, part in told.items() if part is not None},
    }
    with new_folder(folder) as temporary:
        (temporary / FILE).write_bytes(graph)
        Image.fromarray(golden).save(temporary / GOLDEN)
        write_whole(temporary / "manifest.json", (json.dumps(manifest, indent=1) + "\n").encode())
        try:
            return OnnxModel(temporary, provider="cpu", threads=1).manifest
        except ModelRefused as error:
            raise Refused(f"the service would not accept the model: {error.detail}") from error


def describe_graph(graph: bytes, golden: NDArray[np.uint8]) -> dict[str, object]:
    """The manifest's input, output and golden vector, for a golden crop (h, w, 3). Raises Refused."""
    session = open_graph(graph)
    height, width = size_of(session)
    vector = run(session, prepare([golden], (height, width)))[0]
    put, got = session.get_inputs()[0].name, session.get_outputs()[0].name
    pixels = {"layout": "NHWC", "dtype": "uint8", "colour": "RGB"}
    return {
        "input": {"name": put, "height": height, "width": width, **pixels},
        "output": {"name": got, "dim": len(vector)},
        "golden": {"picture": GOLDEN, "vector": [round(float(value), 7) for value in vector]},
    }


@contextmanager
def new_folder(folder: Path) -> Iterator[Path]:
    """A folder to write into, which becomes the one of this name when all is done, and is gone when it is not."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    try:
        yield temporary
        for file in temporary.iterdir():
            sync(file)
        sync(temporary)
        temporary.chmod(0o755)
        temporary.replace(folder)
        sync(folder.parent)
    except OSError as error:
        raise Refused(f"{folder}: {error.strerror or error}; nothing was written") from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def check_free(folder: Path) -> None:
    """Raises Refused when the folder is there already with something in it, before anything is computed."""
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise Refused(f"{folder} is there already; give a new folder with --out, or remove it")
