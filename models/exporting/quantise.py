"""Smaller numbers for an exported graph: fp16 weights and sums, or int8 by calibration. No torch.

Whether what comes out is good enough is for retrieval figures to say, not for this.
"""

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static
from onnxruntime.quantization.shape_inference import quant_pre_process
from onnxruntime.transformers.float16 import DEFAULT_OP_BLOCK_LIST, convert_float_to_float16
from onnxruntime.transformers.onnx_model import OnnxModel as Graph

from models.errors import Refused
from models.evaluation.graphs import first_line

LEARNT = ("Conv", "Gemm", "MatMul")  # the layers with most of the weights and of the work
WIDE = ("InstanceNormalization", "Pow", "ReduceMean", "ReduceSum")  # sums and powers that pass what fp16 can hold


def to_fp16(graph: bytes) -> bytes:
    """The graph with fp16 between its first and its last learnt layer.

    Pixels are standardised, and vectors normalised, in float32: sums of squared pixels pass what fp16 can hold
    (65,504), and input and output stay what they are.
    """
    model = onnx.load_from_string(graph)
    weights = {one.name: one for one in model.graph.initializer}
    halved = convert_float_to_float16(
        onnx.load_from_string(graph),
        keep_io_types=True,
        op_block_list=[*DEFAULT_OP_BLOCK_LIST, *WIDE],
        node_block_list=outer_nodes(model),
    )
    nodes = {node.output[0]: node for node in halved.graph.node}  # one cast is put in for each use of a tensor
    whole = {}
    for name, node in list(nodes.items()):
        if node.op_type == "Cast" and node.input[0] in weights:  # a float32 node's weight was halved and cast back,
            whole[name] = onnx.TensorProto()  # which makes the 1e-12 below a length 0
            whole[name].CopyFrom(weights[node.input[0]])
            whole[name].name = name
            del nodes[name]
    used = {name for node in nodes.values() for name in node.input}
    kept = [one for one in halved.graph.initializer if one.name in used]
    del halved.graph.node[:], halved.graph.initializer[:]
    halved.graph.node.extend(nodes.values())
    halved.graph.initializer.extend([*kept, *whole.values()])
    Graph.graph_topological_sort(halved.graph)  # casts are put at its end
    joined = Graph(halved)
    joined.remove_cascaded_cast_nodes()  # between two float32 nodes: to fp16 and back
    return _tidy(joined.model)


def outer_nodes(model: Any) -> list[str]:
    """The names of nodes before every learnt layer and of those behind every one."""
    before, after = [], []
    touched: set[str] = set()
    for node in model.graph.node:
        if node.op_type in LEARNT or touched.intersection(node.input):
            touched.update(node.output)
        else:
            before.append(str(node.name))
    needed: set[str] = set()
    for node in reversed(model.graph.node):
        if node.op_type in LEARNT or needed.intersection(node.output):
            needed.update(node.input)
        else:
            after.append(str(node.name))
    return list(dict.fromkeys(before + after))


def to_int8(graph: bytes, images: NDArray[np.uint8]) -> bytes:
    """The graph with 8-bit learnt layers, weights by channel, ranges from what passes on images (n, h, w, 3).

    QDQ format, as ONNX Runtime advises; weights of 7 bits, because without VNNI a sum of two products of 8 bits
    saturates and the same file would give other vectors on an older processor.
    """
    with tempfile.TemporaryDirectory() as folder:
        given, ready, done = (Path(folder) / f"{name}.onnx" for name in ("given", "ready", "done"))
        given.write_bytes(graph)
        try:
            quant_pre_process(given, ready, skip_symbolic_shape=True)
            quantize_static(
                ready, done, _Batches(images), quant_format=QuantFormat.QDQ, op_types_to_quantize=list(LEARNT),
                per_channel=True, reduce_range=True, activation_type=QuantType.QUInt8, weight_type=QuantType.QInt8,
            )  # fmt: skip
        except Exception as error:  # its own and ONNX Runtime's
            raise Refused(f"the network cannot be made int8: {first_line(error)}; leave it fp32") from error
        return _tidy(onnx.load(done))


class _Batches(CalibrationDataReader):  # type: ignore[misc]  # untyped
    """Images one batch at a time, as calibration reads them."""

    def __init__(self, images: NDArray[np.uint8], batch: int = 16) -> None:
        parts = (images[k : k + batch] for k in range(0, len(images), batch))
        self._parts: Iterator[dict[str, NDArray[np.uint8]]] = ({"images": part} for part in parts)

    def get_next(self) -> dict[str, NDArray[np.uint8]] | None:
        """The next batch, None at the end."""
        return next(self._parts, None)


def _tidy(model: Any) -> bytes:
    """Checked, and without what tells tools how it was made."""
    model.ClearField("doc_string")
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString())
