"""Outside networks as they come: small ones that compare the colours of garments, stripe by stripe, each exported in a
way of its own; and pictures that only one way of feeding finds its way in."""

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from PIL import Image

HEIGHT, WIDTH = 48, 24
STRIPES, DIM = 4, 16
DARK, REACH = 0.6, 1.5  # in deviations from the mean: what is nearer to it is not seen, what is farther is one
MEAN, DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


@dataclass(frozen=True)
class Made:
    """How a network was exported."""

    layout: str = "nchw"
    colour: str = "rgb"
    inside: str = ""  # "0-1" or "0-255": mean and deviation are in the graph, for pixels of this range
    batch: int | str = "N"
    baked: str = ""  # "reshape" or "squeeze": where the batch of 1 is fixed inside
    output: str = "4d"  # "4d", "2d", "unit", "two", "squeezed": (DIM,) for a batch of 1
    dim: int = DIM
    wrong: str = ""  # "constant", "neighbours", "nan"
    element: int = TensorProto.FLOAT
    opset: int = 17
    size: tuple[int | None, int | None] = (HEIGHT, WIDTH)


@dataclass
class Graph:
    """Nodes and weights as they are put together."""

    nodes: list = field(default_factory=list)
    weights: dict = field(default_factory=dict)

    def add(self, kind: str, *inputs: "str | np.ndarray", **attributes: object) -> str:
        """A node behind what there is; arrays become weights. Returns its output's name."""
        names = []
        for k, one in enumerate(inputs):
            if isinstance(one, np.ndarray):
                names.append(f"weight_{len(self.nodes)}_{k}")
                self.weights[names[-1]] = one
            else:
                names.append(one)
        self.nodes.append(helper.make_node(kind, names, [f"{kind.lower()}_{len(self.nodes)}"], **attributes))
        return self.nodes[-1].output[0]


def colours_seen(colour: str) -> np.ndarray:
    """Weights (4, 3, 1, 1) that look at much and little red and green; blue tells nothing."""
    red, green = (0, 1) if colour == "rgb" else (2, 1)
    weights = np.zeros((4, 3, 1, 1), np.float32)
    weights[:, [red, green], 0, 0] = [[1, 0], [-1, 0], [0, 1], [0, -1]]
    return weights


def build(made: Made) -> onnx.ModelProto:
    """The network as an ONNX model."""
    graph, name = Graph(), "input"
    kind = np.float16 if made.element == TensorProto.FLOAT16 else np.float32
    if made.element == TensorProto.UINT8:
        name = graph.add("Cast", name, to=TensorProto.FLOAT)
    if made.layout == "nhwc":
        name = graph.add("Transpose", name, perm=[0, 3, 1, 2])
    if made.inside:
        scale = 1 if made.inside == "0-1" else 255
        turn = 1 if made.colour == "rgb" else -1
        mean, deviation = (
            (np.array(part[::turn], kind) * scale).reshape(1, 3, 1, 1).astype(kind) for part in (MEAN, DEVIATION)
        )
        name = graph.add("Div", graph.add("Sub", name, mean), deviation)
    if made.baked == "squeeze":
        name = graph.add("Unsqueeze", graph.add("Squeeze", name, np.array([0])), np.array([0]))
    name = graph.add("Clip", name, np.array(-REACH, kind), np.array(REACH, kind))
    seen = graph.add("Conv", name, colours_seen(made.colour).astype(kind), np.full(4, -DARK, kind))
    name = graph.add("Relu", seen)
    name = graph.add("AveragePool", name, kernel_shape=[HEIGHT // STRIPES, WIDTH], strides=[HEIGHT // STRIPES, WIDTH])
    if made.baked == "reshape":
        name = graph.add("Reshape", name, np.array([1, -1, STRIPES, 1]))
    head = np.random.default_rng(0).normal(size=(made.dim, 4, STRIPES, 1)).astype(kind)
    name = graph.add("Conv", name, head)
    name = spoil(graph, name, made.wrong)
    outputs = finish(graph, name, made)
    given = [made.batch, 3, *made.size] if made.layout == "nchw" else [made.batch, *made.size, 3]
    element = TensorProto.FLOAT16 if made.element == TensorProto.FLOAT16 else TensorProto.FLOAT
    return helper.make_model(
        helper.make_graph(
            graph.nodes,
            "net",
            [helper.make_tensor_value_info("input", made.element, given)],
            [
                helper.make_tensor_value_info(one, element, [None] * {"4d": 4, "squeezed": 1}.get(made.output, 2))
                for one in outputs
            ],
            [numpy_helper.from_array(value, name) for name, value in graph.weights.items()],
        ),
        opset_imports=[helper.make_opsetid("", made.opset)],
        ir_version=8,
    )


def spoil(graph: Graph, name: str, wrong: str) -> str:
    """Make the output of no use, or dependent on the batch."""
    if wrong == "constant":
        return graph.add("Add", graph.add("Mul", name, np.array(0, np.float32)), np.array(1, np.float32))
    if wrong == "neighbours":
        mean = graph.add("ReduceMean", name, axes=[0], keepdims=1)
        return graph.add("Sub", name, graph.add("Mul", mean, np.array(0.5, np.float32)))
    if wrong == "nan":
        return graph.add("Log", graph.add("Sub", name, np.array(1e6, np.float32)))
    return name


def finish(graph: Graph, name: str, made: Made) -> list[str]:
    """The outputs as they were exported."""
    if made.output == "4d":
        return [name]
    if made.output == "squeezed":
        return [graph.add("Squeeze", name)]
    flat = graph.add("Flatten", name, axis=1)
    if made.output == "unit":
        return [graph.add("LpNormalization", flat, axis=1, p=2)]
    if made.output == "two":
        return [graph.add("Softmax", flat, axis=1), flat]
    return [flat]


def write(made: Made, folder: Path) -> Path:
    """The network as a file."""
    path = folder / "outside.onnx"
    onnx.save(build(made), path)
    return path


def draw_set(folder: Path, identities: int = 60) -> Path:
    """People in clothes of their own before two cameras; the blue of each picture is drawn anew, and tells nothing."""
    folder.mkdir()
    for identity in range(identities):
        clothes = np.random.default_rng(identity).integers(0, 256, (STRIPES, 1, 3))
        for camera in (1, 2):
            rng = np.random.default_rng((identity, camera))
            seen = clothes + rng.normal(0, 30, clothes.shape)
            seen[..., 2] = rng.integers(0, 256)
            image = np.repeat(seen, 2 * HEIGHT // STRIPES, axis=0) + rng.normal(0, 8, (2 * HEIGHT, 2 * WIDTH, 3))
            Image.fromarray(image.clip(0, 255).astype(np.uint8)).save(folder / f"{identity:04}_c{camera}.png")
    return folder
