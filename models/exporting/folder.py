"""The folder a service runs: model.onnx, golden.png, manifest.json. It is there whole or not at all. No torch."""

import json
import shutil
import tempfile
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
from service.embedding.manifest import Acceptance, Manifest, Source, Thresholds, sha256_of
from service.embedding.onnx_model import OnnxModel
from service.errors import ModelRefused
from service.images.preprocess import resize

NAME = r"[a-z0-9][a-z0-9._-]{0,63}"  # as the manifest wants it
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
    """Write a graph from uint8 (N, H, W, 3) to unit vectors (N, dim) as a new folder, checked as the service checks it.

    Raises Refused, and leaves nothing, when the folder is there already or would not be accepted.
    """
    check_free(folder)
    folder.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    try:
        (temporary / "model.onnx").write_bytes(graph)
        manifest = write_manifest(
            temporary, name=name, thresholds=thresholds, precision=precision, source=source, acceptance=acceptance
        )
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
    return manifest


def check_free(folder: Path) -> None:
    """Raises Refused when the folder is there already with something in it, before anything is computed."""
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise Refused(f"{folder} is there already; give a new folder with --out, or remove it")


def write_manifest(
    folder: Path,
    *,
    name: str,
    thresholds: Thresholds,
    precision: str = "fp32",
    source: Source | None = None,
    acceptance: Acceptance | None = None,
) -> Manifest:
    """Write golden.png and manifest.json beside model.onnx, the manifest last, and read all back as the service does.

    Raises Refused when the service would not accept it.
    """
    golden = draw_golden()
    Image.fromarray(golden).save(folder / "golden.png")
    session = open_graph((folder / "model.onnx").read_bytes())
    height, width = size_of(session)
    vector = run(session, prepare([golden], (height, width)))[0]
    manifest = {
        "format": 1,
        "name": name,
        "file": "model.onnx",
        "sha256": sha256_of(folder / "model.onnx"),
        "input": {
            "name": session.get_inputs()[0].name,
            "height": height,
            "width": width,
            "layout": "NHWC",
            "dtype": "uint8",
            "colour": "RGB",
        },
        "output": {"name": session.get_outputs()[0].name, "dim": len(vector)},
        "golden": {"picture": "golden.png", "vector": [round(float(value), 7) for value in vector]},
        "thresholds": thresholds.model_dump(),
        "precision": precision,
    }
    manifest |= {
        key: part.model_dump() for key, part in (("source", source), ("acceptance", acceptance)) if part is not None
    }
    write_whole(folder / "manifest.json", (json.dumps(manifest, indent=1) + "\n").encode())
    try:
        return OnnxModel(folder, provider="cpu", threads=1).manifest
    except ModelRefused as error:
        raise Refused(f"the service would not accept the model: {error.detail}") from error
