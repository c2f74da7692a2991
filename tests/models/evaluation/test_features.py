"""Vectors of pictures on disk, by networks of every kind."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image

from models.data.images import Files
from models.data.sample import Sample
from models.errors import Refused
from models.evaluation.features import Model, classify_training, extract, model_of, open_model
from models.runs import load_run, read_checkpoint, write_checkpoint
from tests.models.folders import TINY, picture, write_flat, write_run

DEFAULT = str(Path(__file__).parents[3] / "models" / "default")


def mean_colours(crops: NDArray[np.uint8]) -> NDArray[np.float32]:
    """The mean colour of the left half and of the right."""
    halves = [crops[:, :, :1], crops[:, :, 1:]]
    return np.concatenate([half.mean((1, 2)) for half in halves], axis=1).astype(np.float32)


COLOURS = Model("colours", 4, 2, mean_colours)


def samples(folder: Path) -> list[Sample]:
    return [Sample(path, k // 2 + 1, k % 2 + 1) for k, path in enumerate(sorted(folder.glob("*.png")))]


def test_batches_and_worker_processes_change_no_vector(tmp_path: Path) -> None:
    files = Files(samples(write_flat(tmp_path, 4)))
    whole = extract(COLOURS, files)
    assert whole.shape == (8, 6)
    assert np.linalg.norm(whole, axis=1) == pytest.approx(1, abs=1e-6)
    np.testing.assert_array_equal(extract(COLOURS, files, batch=3), whole)
    np.testing.assert_array_equal(extract(COLOURS, files, batch=3, workers=1), whole)


def test_flip_averaging_makes_a_picture_and_its_mirror_image_alike() -> None:
    image = np.zeros((4, 2, 3), np.uint8)
    image[:, 0], image[:, 1] = (200, 0, 0), (0, 0, 100)
    plain = extract(COLOURS, [image, image[:, ::-1]])
    averaged = extract(COLOURS, [image, image[:, ::-1]], flip=True)
    assert plain[0] @ plain[1] < 0.1
    assert averaged[0] @ averaged[1] == pytest.approx(1)


@pytest.mark.parametrize("workers", [0, 1])
def test_an_unreadable_picture_is_named_in_one_line(tmp_path: Path, workers: int) -> None:
    folder = write_flat(tmp_path, 2)
    (folder / "p01_c1.png").write_bytes(b"no picture")
    with pytest.raises(Refused, match=r"p01_c1\.png") as refused:
        extract(COLOURS, Files(samples(folder)), workers=workers)
    assert "\n" not in str(refused.value)


def test_vectors_that_are_not_finite_are_refused() -> None:
    broken = Model("broken", 4, 2, lambda crops: np.full((len(crops), 3), np.nan, np.float32))
    with pytest.raises(Refused, match="broken gives vectors that are not finite"):
        extract(broken, [np.zeros((4, 2, 3), np.uint8)])


def test_no_picture_at_all_is_refused() -> None:
    with pytest.raises(Refused, match="no picture to describe"):
        extract(COLOURS, [])


def test_a_run_gives_the_vectors_of_its_best_weights(tmp_path: Path) -> None:
    torch.set_num_threads(1)
    network = write_run(tmp_path / "run")
    images = [picture(k, 0) for k in range(3)]
    opened = open_model(str(tmp_path / "run"), threads=1)
    assert (opened.height, opened.width) == (TINY.height, TINY.width)
    vectors = extract(opened, images)
    assert vectors.shape == (3, TINY.dim)
    np.testing.assert_allclose(vectors, extract(model_of(network, "same"), images), atol=1e-6)


def test_an_exported_folder_and_its_bare_file_give_the_same_vectors() -> None:
    images = [picture(k, 0) for k in range(3)]
    folder, file = (open_model(place, threads=1) for place in (DEFAULT, f"{DEFAULT}/model.onnx"))
    assert folder.name.startswith("reid-default@")
    np.testing.assert_allclose(extract(folder, images), extract(file, images), atol=1e-6)


def test_what_is_no_model_is_refused_with_what_is_one(tmp_path: Path) -> None:
    with pytest.raises(Refused, match=r"run\.json"):
        open_model(str(tmp_path))
    (tmp_path / "bad.onnx").write_bytes(b"no graph")
    with pytest.raises(Refused, match=r"cannot load .*bad\.onnx"):
        open_model(str(tmp_path / "bad.onnx"))
    (tmp_path / "manifest.json").write_text("{}")
    with pytest.raises(Refused, match=r"manifest\.json is not a valid manifest"):
        open_model(str(tmp_path))


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device, so it is not refused")
def test_an_absent_gpu_is_refused(tmp_path: Path) -> None:
    write_run(tmp_path / "run")
    with pytest.raises(Refused, match="no CUDA device"):
        open_model(str(tmp_path / "run"), device="cuda")


def test_the_classifier_of_a_run_is_judged_on_its_training_people(tmp_path: Path) -> None:
    torch.set_num_threads(1)
    people = samples(write_flat(tmp_path / "pictures", 4))
    first = np.stack([np.asarray(Image.open(one.path).resize((32, 64))) for one in people[::2]])
    network = write_run(tmp_path / "scrap")
    with torch.inference_mode():
        rows = torch.nn.functional.normalize(network.embed(torch.from_numpy(first)).after)
    write_run(tmp_path / "run", classifier=rows)
    found = classify_training(tmp_path / "run", people)
    assert found.accuracy == found.f1 == 1  # the pictures of a person are alike up to noise
    write_run(tmp_path / "wrong", classifier=rows[[1, 0, 2, 3]])
    swapped = classify_training(tmp_path / "wrong", people)
    assert (swapped.accuracy, swapped.recall) == (0.5, 0.5)


def test_a_classifier_is_judged_with_the_weights_it_was_trained_with_not_their_average(tmp_path: Path) -> None:
    torch.set_num_threads(1)
    people = samples(write_flat(tmp_path / "pictures", 4))
    rows = torch.randn(4, TINY.dim, generator=torch.Generator().manual_seed(1))
    network = write_run(tmp_path / "run", classifier=rows)
    plain = classify_training(tmp_path / "run", people)
    assert plain.accuracy < 1
    checkpoint, weights = read_checkpoint(tmp_path / "run"), network.state_dict()
    average = {f"module.{name}": -value if name == "project.weight" else value for name, value in weights.items()}
    write_checkpoint(tmp_path / "run", replace(checkpoint, average=average))
    assert not torch.equal(load_run(tmp_path / "run", "last").state_dict()["project.weight"], weights["project.weight"])
    assert classify_training(tmp_path / "run", people) == plain


def test_a_classifier_of_other_people_is_refused(tmp_path: Path) -> None:
    people = samples(write_flat(tmp_path / "pictures", 3))
    write_run(tmp_path / "run", classifier=torch.zeros(4, TINY.dim))
    with pytest.raises(Refused, match="trained on 4 people and the training part has 3"):
        classify_training(tmp_path / "run", people)
    write_run(tmp_path / "bare")
    with pytest.raises(Refused, match="no identity classifier"):
        classify_training(tmp_path / "bare", people)


def write_graph(path: Path, shape: list[str | int], mean_over: list[int]) -> str:
    """A file that takes uint8 pictures of a shape and gives means of their bytes."""
    floats = onnx.helper.make_node("Cast", ["images"], ["floats"], to=onnx.TensorProto.FLOAT)
    means = onnx.helper.make_node("ReduceMean", ["floats", "axes"], ["vectors"], keepdims=0)
    graph = onnx.helper.make_graph(
        [floats, means], "means",
        [onnx.helper.make_tensor_value_info("images", onnx.TensorProto.UINT8, shape)],
        [onnx.helper.make_tensor_value_info("vectors", onnx.TensorProto.FLOAT, None)],
        [onnx.numpy_helper.from_array(np.array(mean_over), "axes")],
    )  # fmt: skip
    opset = [onnx.helper.make_opsetid("", 18)]
    path.write_bytes(onnx.helper.make_model(graph, opset_imports=opset, ir_version=10).SerializeToString())
    return str(path)


@pytest.mark.parametrize(
    ("shape", "mean_over", "said"),
    [
        (["N", "H", "W", 3], [1, 2], "any size"),
        ([1, 8, 4, 3], [1, 2], "1 pictures at a time"),
        (["N", 8, 4, 3], [1], r"shape \(2, 4, 3\)"),
        (["N", 8, 4, 3], [0, 1], r"shape \(4, 3\)"),
        (["N", 3, 8, 4], [2, 3], r"not uint8 \(N, height, width, 3\)"),
    ],
)
def test_a_file_that_cannot_be_fed_as_it_is_is_refused_with_the_command_that_helps(
    shape: list[str | int], mean_over: list[int], said: str, tmp_path: Path
) -> None:
    with pytest.raises(Refused, match=rf"m\.onnx .*{said}.*`python -m models import` first") as refused:
        open_model(write_graph(tmp_path / "m.onnx", shape, mean_over))
    assert "\n" not in str(refused.value)


def test_a_bare_file_that_can_be_fed_is_taken(tmp_path: Path) -> None:
    model = open_model(write_graph(tmp_path / "m.onnx", ["N", 8, 4, 3], [1, 2]))
    assert (model.height, model.width) == (8, 4)
    assert model.run(np.full((5, 8, 4, 3), 7, np.uint8)).tolist() == [[7, 7, 7]] * 5
