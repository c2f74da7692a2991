"""Takes in an outside ONNX file and puts nodes before and behind it, so that it goes from uint8 RGB (N, H, W, 3) to
unit vectors (N, dim) for any N. It judges nothing. No torch."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from models.errors import Refused
from models.evaluation.graphs import first_line

PREFIX = "network/"  # of all names of the outside graph, so that ours never collide with them
OLDEST_OPSET = 11  # what our own nodes need; older files are converted
OPSET = 18
MEAN, DEVIATION = (0.0, 0.0, 0.0), (1.0, 1.0, 1.0)

Layout = Literal["nchw", "nhwc"]
Colour = Literal["rgb", "bgr"]
Range = Literal["0-1", "0-255"]
Triple = tuple[float, float, float]


@dataclass(frozen=True, slots=True)
class Feeding:
    """How the network wants its pictures. Mean and deviation are on the scale of the range, in the order of the
    network's own channels, and (0, 0, 0), (1, 1, 1) where the graph has them inside or none are needed."""

    layout: Layout = "nchw"
    colour: Colour = "rgb"
    range: Range = "0-1"
    mean: Triple = MEAN
    deviation: Triple = DEVIATION

    @property
    def flags(self) -> str:
        """As the command line of `import` says it."""
        told = f"--layout {self.layout} --colour {self.colour} --range {self.range}"
        if (self.mean, self.deviation) == (MEAN, DEVIATION):
            return told
        mean, deviation = (",".join(f"{value:g}" for value in part) for part in (self.mean, self.deviation))
        return f"{told} --mean {mean} --std {deviation}"


@dataclass(frozen=True, slots=True)
class Foreign:
    """An outside network: its graph, with all names prefixed, and what its input and output look like."""

    model: Any  # onnx.ModelProto
    put: str
    got: str
    element: int  # TensorProto data type of the input
    shape: tuple[int | None, ...]  # of the input, None where it is free


def read_foreign(path: Path, output: str | None = None) -> Foreign:
    """Read and check a file. `output` names the tensor to take where there are several.

    Raises Refused with what is wrong and what to do.
    """
    try:
        model = onnx.load(path)  # with external data that lies beside it
        onnx.checker.check_model(model)
    except OSError as error:
        raise Refused(f"{path} cannot be read: {error.strerror or error}") from error
    except Exception as error:  # protobuf's and the checker's own
        raise Refused(f"{path} is not an ONNX network: {first_line(error)}") from error
    model = onnx.compose.add_prefix(_modernise(model, path), PREFIX)
    weights = {one.name for one in model.graph.initializer}
    inputs = [one for one in model.graph.input if one.name not in weights]
    if len(inputs) != 1:
        names = ", ".join(one.name.removeprefix(PREFIX) for one in inputs)
        raise Refused(f"{path} takes {len(inputs)} inputs ({names}); one picture tensor is needed")
    tensor = inputs[0].type.tensor_type
    shape = tuple(dim.dim_value if dim.dim_value > 0 else None for dim in tensor.shape.dim)
    if len(shape) != 4:
        raise Refused(f"{path} takes a tensor of {len(shape)} dimensions; pictures have 4 (N, C, H, W or N, H, W, C)")
    if tensor.elem_type not in (TensorProto.FLOAT, TensorProto.FLOAT16, TensorProto.UINT8):
        raise Refused(f"{path} takes {TensorProto.DataType.Name(tensor.elem_type)}; float, float16 or uint8 is needed")
    return Foreign(model, inputs[0].name, _choose_output(model, path, output), tensor.elem_type, shape)


def _modernise(model: Any, path: Path) -> Any:
    version = next((one.version for one in model.opset_import if one.domain in ("", "ai.onnx")), 0)
    if version >= OLDEST_OPSET:
        return model
    try:
        return onnx.version_converter.convert_version(model, OPSET)
    except Exception as error:
        raise Refused(
            f"{path} is of opset {version} and cannot be converted ({first_line(error)}); export it again with opset "
            f"{OPSET}"
        ) from error


def _choose_output(model: Any, path: Path, output: str | None) -> str:
    outputs = [one.name for one in model.graph.output]
    if output is not None:
        known = {name for node in model.graph.node for name in node.output}
        if PREFIX + output not in known:
            told = ", ".join(name.removeprefix(PREFIX) for name in outputs)
            raise Refused(f"{path} has no tensor {output}; its outputs are {told}")
        return PREFIX + output
    if len(outputs) != 1:
        told = ", ".join(name.removeprefix(PREFIX) for name in outputs)
        raise Refused(f"{path} has {len(outputs)} outputs ({told}); name the one with the vectors with --output")
    return str(outputs[0])


def wrap(foreign: Foreign, feeding: Feeding, size: tuple[int, int], *, alone: bool) -> bytes:
    """The whole graph, `images` uint8 (N, height, width, 3) to `vectors` float32 (N, dim) of unit length.

    `alone` runs the network on one picture after the other (ONNX Scan), for a graph whose batch is fixed deep inside or
    whose vectors depend on their neighbours.
    """
    model = onnx.ModelProto()
    model.CopyFrom(foreign.model)
    graph, free = model.graph, "N"
    nodes, weights = _feed(foreign, feeding)
    if alone:
        nodes += _scan(foreign, graph, feeding.layout, size, weights)
    else:
        _free_batch(foreign, graph)
        _rename(graph, foreign.put, "prepared")
        nodes += [*graph.node, helper.make_node("Flatten", [foreign.got], ["flat"], axis=1)]
    nodes += _normalise(model, weights)
    del graph.node[:], graph.input[:], graph.output[:], graph.value_info[:]
    graph.node.extend(nodes)
    graph.initializer.extend(numpy_helper.from_array(value, name) for name, value in weights.items())
    graph.input.append(helper.make_tensor_value_info("images", TensorProto.UINT8, [free, *size, 3]))
    graph.output.append(helper.make_tensor_value_info("vectors", TensorProto.FLOAT, [free, None]))
    return bytes(model.SerializeToString())


def with_metadata(graph: bytes, told: dict[str, str]) -> bytes:
    """The same graph with entries in its metadata, in the order of their names."""
    model = onnx.load_from_string(graph)
    entries = {one.key: one.value for one in model.metadata_props} | told
    helper.set_model_props(model, dict(sorted(entries.items())))
    return bytes(model.SerializeToString())


def _feed(foreign: Foreign, feeding: Feeding) -> tuple[list[Any], dict[str, NDArray[Any]]]:
    """Nodes from `images` to `prepared`, all arithmetic in float32 and folded into one product and one sum."""
    nodes, weights, name = [], {}, "images"
    if foreign.element != TensorProto.UINT8:
        deviation = np.array(feeding.deviation, np.float32)
        weights["scale"] = (1 / (deviation * (255 if feeding.range == "0-1" else 1))).astype(np.float32)
        weights["shift"] = (-np.array(feeding.mean, np.float32) / deviation).astype(np.float32)
        nodes.append(helper.make_node("Cast", [name], ["floats"], to=TensorProto.FLOAT))
        name = "floats"
    if feeding.colour == "bgr":
        weights["order"] = np.array([2, 1, 0], np.int64)
        nodes.append(helper.make_node("Gather", [name, "order"], ["turned"], axis=3))
        name = "turned"
    if foreign.element != TensorProto.UINT8:
        nodes.append(helper.make_node("Mul", [name, "scale"], ["scaled"]))
        nodes.append(helper.make_node("Add", ["scaled", "shift"], ["shifted"]))
        name = "shifted"
    if foreign.element == TensorProto.FLOAT16:
        nodes.append(helper.make_node("Cast", [name], ["halves"], to=TensorProto.FLOAT16))
        name = "halves"
    order = [0, 3, 1, 2] if feeding.layout == "nchw" else [0, 1, 2, 3]
    nodes.append(helper.make_node("Transpose", [name], ["prepared"], perm=order))
    return nodes, weights


def _normalise(model: Any, weights: dict[str, NDArray[Any]]) -> list[Any]:
    """Nodes from `flat` to `vectors`: float32, each divided by its L2 norm."""
    version = next(one.version for one in model.opset_import if one.domain in ("", "ai.onnx"))
    weights["least"] = np.array(1e-12, np.float32)
    nodes = [helper.make_node("Cast", ["flat"], ["raw"], to=TensorProto.FLOAT)]
    if version >= 18:  # from here on axes are an input
        weights["last"] = np.array([1], np.int64)
        nodes.append(helper.make_node("ReduceL2", ["raw", "last"], ["length"], keepdims=1))
    else:
        nodes.append(helper.make_node("ReduceL2", ["raw"], ["length"], axes=[1], keepdims=1))
    nodes.append(helper.make_node("Max", ["length", "least"], ["divisor"]))
    nodes.append(helper.make_node("Div", ["raw", "divisor"], ["vectors"]))
    return nodes


def _scan(
    foreign: Foreign, graph: Any, layout: Layout, size: tuple[int, int], weights: dict[str, NDArray[Any]]
) -> list[Any]:
    """One Scan from `prepared` to `flat`. A network with a batch fixed above 1 gets so many copies of each picture."""
    batch = foreign.shape[0] or 1
    one = [3, *size] if layout == "nchw" else [*size, 3]
    weights |= {"one": np.array([1, *one], np.int64), "copies": np.array([batch, *one], np.int64)}
    weights |= {"first": np.array(0, np.int64), "rows": np.array([batch, -1], np.int64)}
    body = helper.make_graph(
        [
            helper.make_node("Reshape", ["picture", "one"], ["single"]),
            helper.make_node("Expand", ["single", "copies"], [foreign.put]),
            *graph.node,
            helper.make_node("Reshape", [foreign.got, "rows"], ["row"]),  # a batch of 1 may be squeezed out
            helper.make_node("Gather", ["row", "first"], ["vector"], axis=0),
        ],
        "alone",
        [helper.make_tensor_value_info("picture", foreign.element, one)],
        [helper.make_tensor_value_info("vector", TensorProto.FLOAT, [None])],
    )
    body.output[0].type.tensor_type.elem_type = _element_of(foreign)
    return [helper.make_node("Scan", ["prepared"], ["flat"], body=body, num_scan_inputs=1)]


def _element_of(foreign: Foreign) -> int:
    """The data type of the output; float where it is an inner tensor of no stated type."""
    for one in (*foreign.model.graph.output, *foreign.model.graph.value_info):
        if one.name == foreign.got and one.type.tensor_type.elem_type:
            return int(one.type.tensor_type.elem_type)
    return int(TensorProto.FLOAT)


def _free_batch(foreign: Foreign, graph: Any) -> None:
    """Let Reshape nodes that name the fixed batch take the batch they get (0: as it comes)."""
    batch = foreign.shape[0]
    if batch is None:
        return
    constants = {one.name: numpy_helper.to_array(one) for one in graph.initializer}
    for node in graph.node:
        if node.op_type == "Constant" and node.attribute and node.attribute[0].name == "value":
            constants[node.output[0]] = numpy_helper.to_array(node.attribute[0].t)
    reached = {foreign.put}
    for k, node in enumerate(graph.node):  # in topological order, as the checker holds them
        if not reached.intersection(node.input):
            continue
        reached.update(node.output)
        shape = constants.get(node.input[1]) if node.op_type == "Reshape" else None
        if shape is None or not len(shape) or shape[0] != batch or any(a.i for a in node.attribute):
            continue
        name = f"free_shape_{k}"
        graph.initializer.append(numpy_helper.from_array(np.array([0, *shape[1:]], np.int64), name))
        node.input[1] = name


def _rename(graph: Any, old: str, new: str) -> None:
    """Rename a tensor that comes into the graph, in inner graphs as well."""
    for node in graph.node:
        for k, name in enumerate(node.input):
            if name == old:
                node.input[k] = new
        for attribute in node.attribute:
            for inner in (attribute.g, *attribute.graphs):
                _rename(inner, old, new)


def fixed_size(foreign: Foreign, layout: Layout) -> tuple[int | None, int | None]:
    """Height and width that the input fixes, None where they are free."""
    _, first, second, third = foreign.shape
    return (second, third) if layout == "nchw" else (first, second)
