"""Smaller numbers, where they could go wrong; see test_export for whole networks."""

import numpy as np
import onnx
import pytest

from models.evaluation.graphs import open_graph
from models.exporting.quantise import to_fp16
from models.exporting.running import run


def test_powers_of_large_numbers_are_not_too_much_for_fp16() -> None:
    nodes = [
        onnx.helper.make_node("Cast", ["images"], ["floats"], to=1),
        onnx.helper.make_node("Transpose", ["floats"], ["turned"], perm=[0, 3, 1, 2]),
        onnx.helper.make_node("Conv", ["turned", "first"], ["maps"]),
        onnx.helper.make_node("Pow", ["maps", "three"], ["cubes"]),
        onnx.helper.make_node("ReduceMean", ["cubes", "places"], ["pooled"]),
        onnx.helper.make_node("Pow", ["pooled", "third"], ["means"]),
        onnx.helper.make_node("Conv", ["means", "first"], ["last"]),
        onnx.helper.make_node("Flatten", ["last"], ["vectors"]),
    ]
    for node in nodes:
        node.name = node.output[0]
    weights = {
        "first": np.eye(3, dtype=np.float32)[:, :, None, None],
        "three": np.float32(3),
        "third": np.float32(1 / 3),
    }
    weights["places"] = np.array([2, 3])
    model = onnx.helper.make_model(
        onnx.helper.make_graph(
            nodes, "gem", [onnx.helper.make_tensor_value_info("images", 2, ["N", 4, 4, 3])],
            [onnx.helper.make_tensor_value_info("vectors", 1, ["N", 3])],
            [onnx.numpy_helper.from_array(np.asarray(value), name) for name, value in weights.items()],
        ),
        opset_imports=[onnx.helper.make_opsetid("", 18)], ir_version=10,
    )  # fmt: skip
    images = np.full((1, 4, 4, 3), (255, 100, 50), np.uint8)
    halved = to_fp16(model.SerializeToString())
    assert run(open_graph(halved), images) == pytest.approx(np.array([[255, 100, 50]]), rel=2e-3)
    assert any(one.data_type == 10 for one in onnx.load_from_string(halved).graph.initializer)
