"""From pictures to vectors, by a network in PyTorch or ONNX Runtime, on CPU or GPU, read by worker processes.

100,000 crops never lie decoded in memory: a batch at a time is read, resized, described and forgotten.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from tqdm import tqdm

from models.data.images import Files, Images
from models.data.loader import Blocks, stream
from models.data.sample import Sample
from models.errors import NotFinite, Refused
from models.evaluation.distances import unit
from models.evaluation.graphs import count_cores, first_line, open_graph
from models.evaluation.histogram import SIZE, describe_colours
from models.evaluation.metrics import Classification, classify
from models.network import Extractor
from models.runs import digest_network, load_run, read_checkpoint
from service.embedding.manifest import sha256_of
from service.embedding.onnx_model import OnnxModel
from service.errors import ModelRefused

BATCH = 64
HISTOGRAM = "histogram"  # stands for the baseline where a model is asked for
Device = Literal["cpu", "cuda"]
Vectors = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Model:
    """A network of any kind: `run` takes uint8 RGB (n, height, width, 3) and gives float32 (n, dim)."""

    name: str
    height: int
    width: int
    run: Callable[[NDArray[np.uint8]], Vectors]
    checksum: str = ""  # SHA-256 of the .onnx file, or of a run's network; empty where there are no weights


def extract(model: Model, images: Images, *, flip: bool = False, batch: int = BATCH, workers: int = 0) -> Vectors:
    """Unit vectors (n, dim) of pictures; with `flip` the mean of each and its mirror image (Luo et al., CVPRW 2019).

    `workers` processes read ahead; 0 reads in between. Raises Refused for a picture that cannot be read, NotFinite for
    a vector with NaN or infinity.
    """
    if not len(images):
        raise Refused("there is no picture to describe; check the folder and its layout")
    vectors, start = np.empty((0, 0), np.float32), 0
    with tqdm(total=len(images), desc="describing pictures", unit="crops", disable=None, leave=False) as bar:
        for crops in read(model.height, model.width, images, batch, workers):
            found = unit(model.run(crops))
            if flip:
                found = unit(found + unit(model.run(np.ascontiguousarray(crops[:, :, ::-1]))))
            if not np.isfinite(found).all():
                raise NotFinite(f"{model.name} gives vectors that are not finite; train or export it again")
            if not start:
                vectors = np.empty((len(images), found.shape[1]), np.float32)
            vectors[start : start + len(found)] = found
            start += len(found)
            bar.update(len(found))
    return vectors


def read(height: int, width: int, images: Images, batch: int, workers: int) -> Iterator[NDArray[np.uint8]]:
    """Batches of pictures in one size, uint8 (n, height, width, 3). Raises Refused for one that cannot be read."""
    if isinstance(images, Files):
        images = images.shrunk(height, width)
    return stream(Blocks(images, height, width, batch), workers)


def open_model(place: str, device: Device = "cpu", provider: str = "cpu", threads: int | None = None) -> Model:
    """The network of a run's folder (PyTorch, on `device`), of an exported folder or .onnx file (ONNX Runtime, on
    `provider`), or the histogram; with a thread for each core of the CPU unless told. Raises Refused where there is
    none, or where it cannot run there."""
    path, threads = Path(place), threads or count_cores()
    if place == HISTOGRAM:
        return Model(HISTOGRAM, *SIZE, lambda crops: describe_colours(list(crops)))
    if path.suffix == ".onnx":
        return model_of_file(path, provider, threads)
    if (path / "manifest.json").exists():
        try:
            model = OnnxModel(path, provider=provider, threads=threads)
        except ModelRefused as error:
            raise Refused(str(error)) from error
        size = model.manifest.input.height, model.manifest.input.width
        return Model(model.manifest.version, *size, model.run, model.manifest.sha256)
    if (path / "run.json").exists():
        torch.set_num_threads(threads)
        network = load_run(path)
        return model_of(network, f"run {path.name}", device, digest_network(network))
    raise Refused(
        f"{place} is not a model; give the folder of a run (run.json), an exported folder (manifest.json), "
        f"a file that ends in .onnx, or the word {HISTOGRAM}"
    )


def model_of(network: Extractor, name: str, device: Device = "cpu", checksum: str = "") -> Model:
    """A network in PyTorch, in evaluation mode. Raises Refused when there is no such device."""
    if device == "cuda" and not torch.cuda.is_available():
        raise Refused("PyTorch sees no CUDA device; check the driver, or give --device cpu")
    network = network.eval().to(device)

    def run(crops: NDArray[np.uint8]) -> Vectors:
        with torch.inference_mode():
            vectors: Vectors = network(torch.from_numpy(crops).to(device)).float().cpu().numpy()
        return vectors

    return Model(name, network.architecture.height, network.architecture.width, run, checksum)


def model_of_file(path: Path, provider: str, threads: int) -> Model:
    """An .onnx file without a manifest, from uint8 (N, height, width, 3) to (N, dim). Raises Refused for any other."""
    session = open_graph(path, provider, threads)
    given, bring = session.get_inputs()[0], "bring it by `python -m models import` first"
    if given.type != "tensor(uint8)" or len(given.shape) != 4 or given.shape[3] != 3:
        raise Refused(f"{path} takes {given.type} {given.shape}, not uint8 (N, height, width, 3); {bring}")
    count, height, width, _ = given.shape
    if not (isinstance(height, int) and isinstance(width, int)):
        raise Refused(f"{path} takes pictures of any size {given.shape}, and nothing says which; {bring}")
    if isinstance(count, int):
        raise Refused(f"{path} takes {count} pictures at a time and no other number; {bring}")

    def run(crops: NDArray[np.uint8]) -> Vectors:
        return np.asarray(session.run(None, {given.name: crops})[0], np.float32)

    try:
        shape = run(np.zeros((2, height, width, 3), np.uint8)).shape
    except Exception as error:  # ONNX Runtime raises its own unexported classes
        raise Refused(f"{path} does not run on two pictures: {first_line(error)}; {bring}") from error
    if len(shape) != 2 or shape[0] != 2:
        raise Refused(f"{path} gives an output of shape {shape} for two pictures, not (2, dim); {bring}")
    return Model(path.name, height, width, run, sha256_of(path))


def classify_training(run: Path, samples: Sequence[Sample], device: Device = "cpu", workers: int = 0) -> Classification:
    """How well the identity classifier of a run's last checkpoint names the people it was trained on, with the weights
    that it was trained with: those of a moving average belong to no classifier. The samples are all of the training.

    Raises Refused where the run has no classifier, or was trained on another number of people.
    """
    checkpoint = read_checkpoint(run)
    weight = checkpoint.objective.get("classifier.weight")
    if weight is None:
        raise Refused(f"{run} was trained without the identity loss and has no identity classifier")
    identities = sorted({sample.identity for sample in samples})
    if len(identities) != len(weight):
        raise Refused(f"{run} was trained on {len(weight)} people and the training part has {len(identities)}")
    network = load_run(run, "last")
    network.load_state_dict(checkpoint.network)
    network = network.to(device)
    crops_of = read(network.architecture.height, network.architecture.width, Files(samples), BATCH, workers)
    batches = -(-len(samples) // BATCH)
    named = []
    with torch.inference_mode():
        for crops in tqdm(crops_of, total=batches, desc="naming training pictures", disable=None, leave=False):
            vectors = network.embed(torch.from_numpy(crops).to(device)).after.float().cpu()
            named.append((vectors @ weight.float().T).argmax(dim=1))
    labels = np.searchsorted(identities, [sample.identity for sample in samples])
    return classify(torch.cat(named).numpy(), labels)
