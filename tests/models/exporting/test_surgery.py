"""Outside graphs get nodes before and behind them, and nothing about their vectors changes but the length."""

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper

from models.errors import Refused
from models.evaluation.graphs import open_graph
from models.exporting.running import AGREEMENT, least_cosine, run
from models.exporting.surgery import Feeding, fixed_size, read_foreign, with_metadata, wrap
from tests.models.foreign import DEVIATION, DIM, HEIGHT, MEAN, WIDTH, Made, build, write

SIZE = (HEIGHT, WIDTH)
RIGHT = Feeding(mean=MEAN, deviation=DEVIATION)
IMAGES = np.random.default_rng(0).integers(0, 256, (7, HEIGHT, WIDTH, 3), dtype=np.uint8)


def by_hand(made: Made, feeding: Feeding, images: np.ndarray) -> np.ndarray:
    """What the network gives when it is fed with plain NumPy, one picture at a time, at unit length."""
    session = onnxruntime.InferenceSession(build(made).SerializeToString(), providers=["CPUExecutionProvider"])
    x = images.astype(np.float32)[..., :: 1 if feeding.colour == "rgb" else -1]
    x = ((x / 255 if feeding.range == "0-1" else x) - np.float32(feeding.mean)) / np.float32(feeding.deviation)
    x = x.transpose(0, 3, 1, 2) if feeding.layout == "nchw" else x
    kind = {TensorProto.FLOAT: np.float32, TensorProto.FLOAT16: np.float16, TensorProto.UINT8: np.uint8}[made.element]
    copies = made.batch if isinstance(made.batch, int) else 1
    rows = [session.run(None, {"input": np.repeat(one[None], copies, 0).astype(kind)})[-1][0].ravel() for one in x]
    vectors = np.stack(rows).astype(np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


@pytest.mark.parametrize(
    ("made", "feeding"),
    [
        (Made(), Feeding(mean=MEAN, deviation=DEVIATION)),
        (Made(output="2d"), Feeding(colour="bgr", mean=MEAN[::-1], deviation=DEVIATION[::-1])),
        (Made(layout="nhwc", inside="0-1"), Feeding(layout="nhwc")),
        (Made(inside="0-255"), Feeding(range="0-255")),
        (Made(output="unit"), Feeding(range="0-255", mean=(123.0, 116.0, 103.0))),
        (Made(element=TensorProto.FLOAT16, inside="0-1"), Feeding()),
        (Made(element=TensorProto.UINT8, inside="0-255", layout="nhwc"), Feeding("nhwc", "bgr", "0-255")),
        (Made(opset=18), Feeding(mean=MEAN, deviation=DEVIATION)),
        (Made(opset=11, baked=""), Feeding(mean=MEAN, deviation=DEVIATION)),
    ],
    ids=lambda one: "-".join(str(value) for value in vars(one).values()) if isinstance(one, Made) else "",
)
@pytest.mark.parametrize("alone", [False, True], ids=["together", "alone"])
def test_a_wrapped_network_gives_the_vectors_it_gives_when_fed_by_hand(
    made: Made, feeding: Feeding, alone: bool, tmp_path: Path
) -> None:
    graph = wrap(read_foreign(write(made, tmp_path)), feeding, SIZE, alone=alone)
    onnx.checker.check_model(onnx.load_from_string(graph), full_check=True)
    vectors = run(open_graph(graph), IMAGES)
    assert vectors.shape == (7, DIM)
    assert vectors.dtype == np.float32
    assert np.linalg.norm(vectors, axis=1) == pytest.approx(np.ones(7), abs=1e-5)
    assert least_cosine(vectors, by_hand(made, feeding, IMAGES)) >= AGREEMENT


@pytest.mark.parametrize(
    ("made", "alone"),
    [
        (Made(batch=1), False),
        (Made(batch=1, baked="reshape"), False),
        (Made(batch=1, baked="reshape"), True),
        (Made(batch=1, baked="squeeze"), True),
        (Made(batch=4), False),
        (Made(batch=4), True),
    ],
    ids=str,
)
def test_a_fixed_batch_is_freed_or_run_one_by_one(made: Made, alone: bool, tmp_path: Path) -> None:
    feeding = Feeding(mean=MEAN, deviation=DEVIATION)
    session = open_graph(wrap(read_foreign(write(made, tmp_path)), feeding, SIZE, alone=alone))
    assert isinstance(session.get_inputs()[0].shape[0], str)
    expected = by_hand(made, feeding, IMAGES)
    for batch in (1, 2, 7):
        assert least_cosine(run(session, IMAGES, batch), expected) >= AGREEMENT


def test_a_picture_that_gives_zeros_gives_no_nan(tmp_path: Path) -> None:
    graph = wrap(read_foreign(write(Made(), tmp_path)), Feeding(mean=MEAN, deviation=DEVIATION), SIZE, alone=False)
    grey = np.full((1, HEIGHT, WIDTH, 3), (124, 116, 104), np.uint8)
    assert not run(open_graph(graph), grey).any()


def test_an_old_opset_is_converted_to_one_that_our_nodes_know(tmp_path: Path) -> None:
    picture = helper.make_tensor_value_info("input", TensorProto.FLOAT, ["N", 3, HEIGHT, WIDTH])
    vector = helper.make_tensor_value_info("output", TensorProto.FLOAT, ["N", 3, 1, 1])
    nodes = [helper.make_node("GlobalAveragePool", ["input"], ["output"])]
    old = helper.make_model(
        helper.make_graph(nodes, "old", [picture], [vector]), opset_imports=[helper.make_opsetid("", 8)], ir_version=4
    )
    onnx.save(old, tmp_path / "old.onnx")
    vectors = run(open_graph(wrap(read_foreign(tmp_path / "old.onnx"), Feeding(), SIZE, alone=True)), IMAGES)
    means = IMAGES.mean((1, 2))
    assert vectors == pytest.approx(means / np.linalg.norm(means, axis=1, keepdims=True), abs=1e-5)


def test_of_several_outputs_one_is_named_and_any_inner_tensor_may_be(tmp_path: Path) -> None:
    made = Made(output="two")
    path = write(made, tmp_path)
    with pytest.raises(Refused, match=r"has 2 outputs .* --output"):
        read_foreign(path)
    with pytest.raises(Refused, match="has no tensor vectors; its outputs are"):
        read_foreign(path, "vectors")
    name = onnx.load(path).graph.output[1].name
    feeding = Feeding(mean=MEAN, deviation=DEVIATION)
    for alone in (False, True):
        vectors = run(open_graph(wrap(read_foreign(path, name), feeding, SIZE, alone=alone)), IMAGES)
        assert least_cosine(vectors, by_hand(made, feeding, IMAGES)) >= AGREEMENT
    inner = next(node.output[0] for node in onnx.load(path).graph.node if node.op_type == "AveragePool")
    assert run(open_graph(wrap(read_foreign(path, inner), feeding, SIZE, alone=False)), IMAGES).shape == (7, 16)


def test_weights_that_are_listed_as_inputs_are_not_taken_for_pictures(tmp_path: Path) -> None:
    model = build(Made(inside="0-1"))
    for one in model.graph.initializer:
        model.graph.input.append(helper.make_tensor_value_info(one.name, one.data_type, one.dims))
    onnx.save(model, tmp_path / "old.onnx")
    foreign = read_foreign(tmp_path / "old.onnx")
    assert run(open_graph(wrap(foreign, Feeding(), SIZE, alone=False)), IMAGES).shape == (7, DIM)


def test_names_of_the_outside_graph_may_be_ours(tmp_path: Path) -> None:
    model = build(Made(inside="0-1"))
    for node in model.graph.node:
        node.input[:] = ["images" if name == "input" else name for name in node.input]
    model.graph.input[0].name = "images"
    model.graph.node[-1].output[0] = model.graph.output[0].name = "vectors"
    onnx.save(model, tmp_path / "same.onnx")
    graph = wrap(read_foreign(tmp_path / "same.onnx"), Feeding(), SIZE, alone=False)
    assert least_cosine(run(open_graph(graph), IMAGES), by_hand(Made(inside="0-1"), Feeding(), IMAGES)) >= AGREEMENT


@pytest.mark.parametrize(
    ("spoil", "word"),
    [
        (lambda model: model.graph.input.append(helper.make_tensor_value_info("mask", 1, [1])), "takes 2 inputs"),
        (lambda model: model.graph.input[0].type.tensor_type.shape.dim.pop(), "of 3 dimensions"),
        (lambda model: setattr(model.graph.input[0].type.tensor_type, "elem_type", TensorProto.DOUBLE), "DOUBLE"),
    ],
)
def test_a_graph_that_takes_no_picture_is_refused_by_what_it_takes(spoil, word: str, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    model = build(Made())
    spoil(model)
    onnx.save(model, tmp_path / "other.onnx")
    with pytest.raises(Refused, match=word):
        read_foreign(tmp_path / "other.onnx")


@pytest.mark.parametrize("content", [b"", b"no network", b"\x08\x08"])
def test_a_file_that_is_no_network_is_refused_by_its_name(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "broken.onnx"
    path.write_bytes(content)
    with pytest.raises(Refused, match=r"broken\.onnx"):
        read_foreign(path)
    with pytest.raises(Refused, match="No such file"):
        read_foreign(tmp_path / "missing.onnx")


def test_the_size_is_read_where_the_layout_has_it(tmp_path: Path) -> None:
    assert fixed_size(read_foreign(write(Made(), tmp_path)), "nchw") == SIZE
    assert fixed_size(read_foreign(write(Made(layout="nhwc", size=(None, 24)), tmp_path)), "nhwc") == (None, 24)


def test_metadata_is_added_to_what_was_there_in_one_order(tmp_path: Path) -> None:
    graph = wrap(read_foreign(write(Made(), tmp_path)), Feeding(), SIZE, alone=False)
    some = with_metadata(with_metadata(graph, {"b": "1"}), {"a": "2"})
    assert some == with_metadata(graph, {"a": "2", "b": "1"})
    assert [(one.key, one.value) for one in onnx.load_from_string(some).metadata_props] == [("a", "2"), ("b", "1")]
