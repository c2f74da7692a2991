"""From a trained network to the folder a service runs: model.onnx, golden.png, manifest.json.

Refuses when ONNX and PyTorch disagree.
"""

import json
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import torch
from numpy.typing import NDArray
from PIL import Image

from models.evaluate import UNSEEN_SEED, Thresholds
from models.network import DIM, HEIGHT, WIDTH, Extractor
from models.people.crowd import draw_place, person_of, walk_past
from models.people.style import STREET
from service.embedding.manifest import read_manifest, sha256_of
from service.images.preprocess import resize

OPSET = 18
AGREEMENT = 0.9999  # least cosine between PyTorch and ONNX
GOLDEN_HEIGHT, GOLDEN_WIDTH = 192, 80


class ExportRefused(RuntimeError):
    """The exported network does not give PyTorch's vectors."""


def write_onnx(network: Extractor, path: Path) -> None:
    """Write the network with input `images` uint8 (N, 128, 64, 3) and output `vectors` float32 (N, 512), any N.

    Raises ExportRefused, and leaves no file, when a vector differs from PyTorch's, alone or in batches of 7 and 32.
    """
    place(trace(network), network, path)


def trace(network: Extractor) -> bytes:
    """The network as an ONNX file, without the traces of source lines that would differ from machine to machine."""
    images = torch.zeros(2, HEIGHT, WIDTH, 3, dtype=torch.uint8)
    program = torch.onnx.export(
        network.eval(),
        (images,),
        dynamo=True,
        opset_version=OPSET,
        input_names=["images"],
        output_names=["vectors"],
        dynamic_shapes={"images": {0: torch.export.Dim("N", min=1, max=4096)}},
        verbose=False,
    )
    if program is None:
        raise ExportRefused("the exporter gave no program")
    model = program.model_proto
    for node in model.graph.node:
        node.ClearField("metadata_props")
        node.ClearField("doc_string")
    model.graph.ClearField("metadata_props")
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString())


def place(graph: bytes, network: Extractor, path: Path) -> None:
    """Write an ONNX file to the path if it gives the network's vectors, else raise ExportRefused and write nothing."""
    temporary = path.with_suffix(".part")
    temporary.write_bytes(graph)
    try:
        check_agreement(network, temporary)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def check_agreement(network: Extractor, path: Path) -> float:
    """The least cosine between PyTorch and ONNX over 32 images in batches of 1, 7 and 32.

    Raises ExportRefused below AGREEMENT.
    """
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    images = np.random.default_rng(0).integers(0, 256, (32, HEIGHT, WIDTH, 3), dtype=np.uint8)
    with torch.inference_mode():
        expected = network.eval()(torch.from_numpy(images)).numpy()
    worst = 1.0
    for batch in (1, 7, 32):
        parts = [session.run(["vectors"], {"images": images[k : k + batch]})[0] for k in range(0, len(images), batch)]
        worst = min(worst, float((np.concatenate(parts) * expected).sum(1).min()))
    if worst < AGREEMENT:
        raise ExportRefused(f"cosine {worst:.6f} between PyTorch and ONNX, {AGREEMENT} is needed")
    return worst


def draw_golden() -> NDArray[np.uint8]:
    """The golden crop, RGB (192, 80, 3): a synthetic person, the same on every machine up to rounding."""
    rng = np.random.default_rng((UNSEEN_SEED, 1))
    place = draw_place(rng, STREET)
    return resize(walk_past(place, person_of(UNSEEN_SEED, 1, STREET), STREET, [], rng), GOLDEN_HEIGHT, GOLDEN_WIDTH)


def write_golden(folder: Path) -> list[float]:
    """Write golden.png and give its vector (512,) by model.onnx."""
    golden = draw_golden()
    Image.fromarray(golden).save(folder / "golden.png")
    session = onnxruntime.InferenceSession(folder / "model.onnx", providers=["CPUExecutionProvider"])
    (vectors,) = session.run(["vectors"], {"images": resize(golden, HEIGHT, WIDTH)[None]})
    return [round(float(value), 7) for value in vectors[0]]


def write_manifest(
    folder: Path, thresholds: Thresholds, people: tuple[int, int], fpirs: tuple[float, float], made_from: str
) -> None:
    """`people` are those the thresholds rest on, and those of them in the gallery.

    Write manifest.json beside model.onnx and golden.png, last of all, and read it back as the service does."""
    manifest = {
        "format": 1,
        "name": "reid-default",
        "file": "model.onnx",
        "sha256": sha256_of(folder / "model.onnx"),
        "input": {
            "name": "images",
            "height": HEIGHT,
            "width": WIDTH,
            "layout": "NHWC",
            "dtype": "uint8",
            "colour": "RGB",
        },
        "output": {"name": "vectors", "dim": DIM},
        "golden": {"picture": "golden.png", "vector": write_golden(folder)},
        "thresholds": {
            "match": round(thresholds.match, 4),
            "possible": round(thresholds.possible, 4),
            "identities": people[0],
            "gallery": people[1],
            "fpir_match": fpirs[0],
            "fpir_possible": fpirs[1],
            "made_from": made_from,
        },
    }
    temporary = folder / "manifest.part"
    temporary.write_text(json.dumps(manifest, indent=1) + "\n")
    temporary.replace(folder / "manifest.json")
    read_manifest(folder)
