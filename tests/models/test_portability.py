"""Every backbone and every pooling becomes an ONNX graph with any batch size that gives PyTorch's vectors."""

import numpy as np
import onnxruntime
import pytest
import torch

from models.network import BACKBONES, Architecture, Extractor

pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning")  # PyTorch's exporter calls what PyTorch deprecated

HEIGHT, WIDTH = 64, 32


def draw(count: int) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(0).integers(0, 256, (count, HEIGHT, WIDTH, 3), dtype=np.uint8))


@pytest.mark.parametrize(
    ("backbone", "pooling", "standardise"),
    [
        ("osnet-x0.25", "global+stripes", "picture"),
        ("osnet-ain-x0.25", "gem", "picture"),
        ("osnet-ibn-x0.25", "max", "none"),
        ("mobilenetv2-x0.5", "stripes", "imagenet"),
        ("resnet50-ibn", "average", "imagenet"),
    ],
)
def test_onnx_gives_pytorchs_vectors_alone_and_in_a_batch(backbone: str, pooling: str, standardise: str) -> None:
    torch.manual_seed(0)
    network = Extractor(
        Architecture(backbone, pooling, stripes=2, dim=32, standardise=standardise, height=HEIGHT, width=WIDTH)
    ).eval()
    network.erase = torch.nn.Threshold(1e9, 0.0)  # would black everything out
    program = torch.onnx.export(
        network,
        (draw(2),),
        dynamo=True,
        opset_version=18,
        input_names=["images"],
        output_names=["vectors"],
        dynamic_shapes={"images": {0: torch.export.Dim("N", min=1, max=4096)}},
        verbose=False,
    )
    assert program is not None
    session = onnxruntime.InferenceSession(program.model_proto.SerializeToString(), providers=["CPUExecutionProvider"])
    images = draw(7)
    with torch.inference_mode():
        expected = network(images).numpy()
    together = session.run(None, {"images": images.numpy()})[0]
    alone = np.concatenate([session.run(None, {"images": image[None].numpy()})[0] for image in images])
    assert (together * expected).sum(1).min() > 0.9999
    assert (alone * expected).sum(1).min() > 0.9999
    others = expected @ expected.T - 2 * np.eye(7)
    assert others.max() < 0.9999  # the vectors differ, so that agreement says something


@pytest.mark.parametrize("backbone", [name for name in BACKBONES if name.endswith(("x0.5", "resnet50"))])
def test_every_kind_of_backbone_is_traced_with_any_batch_size(backbone: str) -> None:
    network = Extractor(Architecture(backbone, height=HEIGHT, width=WIDTH)).eval()
    program = torch.export.export(network, (draw(2),), dynamic_shapes=({0: torch.export.Dim("N", min=1, max=4096)},))
    assert program.module()(draw(3)).shape == (3, 512)
