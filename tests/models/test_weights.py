"""Weights under public names arrive in the right places, and what cannot be used is refused with nothing changed.

The reference networks here are plain sums over a state dict with torchreid's names, worked by name, not by our modules.
"""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d, batch_norm, conv2d, instance_norm, max_pool2d

from models.errors import Refused
from models.network import Architecture, Extractor
from models.weights import load_weights

State = dict[str, Tensor]
CHANNELS = {"x0.25": (16, 64, 96, 128), "x1.0": (64, 256, 384, 512)}
GLOBAL = Architecture("osnet-x0.25", "average", standardise="imagenet", height=64, width=32)


class Names:
    """Makes a state dict with random weights, under torchreid's names."""

    def __init__(self) -> None:
        self.state: State = {}
        self.generator = torch.Generator().manual_seed(0)

    def draw(self, *shape: int) -> Tensor:
        return 0.3 * torch.randn(*shape, generator=self.generator)

    def conv(self, name: str, inputs: int, outputs: int, kernel: int = 1, bias: bool = False) -> None:
        self.state[f"{name}.weight"] = self.draw(outputs, inputs, kernel, kernel)
        if bias:
            self.state[f"{name}.bias"] = self.draw(outputs)

    def norm(self, name: str, channels: int, instance: bool = False) -> None:
        self.state[f"{name}.weight"] = 1 + self.draw(channels)
        self.state[f"{name}.bias"] = self.draw(channels)
        if not instance:
            self.state[f"{name}.running_mean"] = self.draw(channels)
            self.state[f"{name}.running_var"] = 1 + self.draw(channels).abs()
            self.state[f"{name}.num_batches_tracked"] = torch.tensor(7)

    def layer(self, name: str, inputs: int, outputs: int, kernel: int = 1, instance: bool = False) -> None:
        self.conv(f"{name}.conv", inputs, outputs, kernel)
        self.norm(f"{name}.bn", outputs, instance)

    def light(self, name: str, channels: int) -> None:
        self.conv(f"{name}.conv1", channels, channels)
        self.state[f"{name}.conv2.weight"] = self.draw(channels, 1, 3, 3)
        self.norm(f"{name}.bn", channels)

    def block(self, name: str, inputs: int, outputs: int, kind: str, instance: bool) -> None:
        middle = outputs // 4
        self.layer(f"{name}.conv1", inputs, middle)
        for stream, lights in enumerate(streams(name, kind)):
            assert len(lights) == stream + 1
            for light in lights:
                self.light(light, middle)
        self.conv(f"{name}.gate.fc1", middle, middle // 16, bias=True)
        self.conv(f"{name}.gate.fc2", middle // 16, middle, bias=True)
        self.conv(f"{name}.conv3.conv", middle, outputs)
        if not (instance and kind == "ain"):
            self.norm(f"{name}.conv3.bn", outputs)
        if inputs != outputs:
            self.layer(f"{name}.downsample", inputs, outputs)
        if instance:
            self.norm(f"{name}.IN", outputs, instance=True)


def streams(block: str, kind: str) -> list[list[str]]:
    """The names of the light convolutions in each stream of a block."""
    if kind == "ain":
        return [[f"{block}.conv2.{t}.layers.{k}" for k in range(t + 1)] for t in range(4)]
    return [
        [f"{block}.conv2a"],
        *([f"{block}.conv2{c}.{k}" for k in range(n)] for c, n in (("b", 2), ("c", 3), ("d", 4))),
    ]


INSTANCE = {  # blocks with instance normalisation
    "plain": (),
    "ibn": ("conv2.0", "conv2.1"),
    "ain": ("conv2.0", "conv2.1", "conv3.1", "conv4.0"),
}


def torchreid_state(kind: str = "plain", width: str = "x0.25", identities: int = 7) -> State:
    names, (stem, *stages) = Names(), CHANNELS[width]
    names.layer("conv1", 3, stem, 7, instance=kind != "plain")
    inputs = stem
    for stage, outputs in enumerate(stages, start=2):
        for k in range(2):
            names.block(f"conv{stage}.{k}", inputs, outputs, kind, f"conv{stage}.{k}" in INSTANCE[kind])
            inputs = outputs
        if stage < 4:
            names.layer(f"pool{stage}.0" if kind == "ain" else f"conv{stage}.2.0", outputs, outputs)
    names.layer("conv5", inputs, inputs)
    names.state["fc.0.weight"], names.state["fc.0.bias"] = names.draw(512, inputs), names.draw(512)
    names.norm("fc.1", 512)
    names.state["classifier.weight"], names.state["classifier.bias"] = (
        names.draw(identities, 512),
        names.draw(identities),
    )
    return names.state


def describe(s: State, x: Tensor, kind: str) -> Tensor:
    """Vectors before the last ReLU, by the names of the state dict alone: the published forward pass, written out."""

    def norm(name: str, x: Tensor) -> Tensor:
        weight, bias = s[f"{name}.weight"], s[f"{name}.bias"]
        if f"{name}.running_mean" not in s:
            return instance_norm(x, weight=weight, bias=bias)
        return batch_norm(x, s[f"{name}.running_mean"], s[f"{name}.running_var"], weight, bias)

    def layer(name: str, x: Tensor, stride: int = 1) -> Tensor:
        weight = s[f"{name}.conv.weight"]
        return norm(f"{name}.bn", conv2d(x, weight, stride=stride, padding=weight.shape[2] // 2))

    def light(name: str, x: Tensor) -> Tensor:
        x = conv2d(x, s[f"{name}.conv1.weight"])
        return norm(f"{name}.bn", conv2d(x, s[f"{name}.conv2.weight"], padding=1, groups=x.shape[1])).relu()

    def gate(name: str, x: Tensor) -> Tensor:
        small = conv2d(x.mean((2, 3), keepdim=True), s[f"{name}.fc1.weight"], s[f"{name}.fc1.bias"]).relu()
        return x * conv2d(small, s[f"{name}.fc2.weight"], s[f"{name}.fc2.bias"]).sigmoid()

    def block(name: str, x: Tensor) -> Tensor:
        reduced, fused = layer(f"{name}.conv1", x).relu(), torch.tensor(0.0)
        for lights in streams(name, kind):
            y = reduced
            for one in lights:
                y = light(one, y)
            fused = fused + gate(f"{name}.gate", y)
        y = conv2d(fused, s[f"{name}.conv3.conv.weight"])
        instance = name in INSTANCE[kind]
        y = norm(f"{name}.IN" if instance and kind == "ain" else f"{name}.conv3.bn", y)
        y = y + (layer(f"{name}.downsample", x) if f"{name}.downsample.conv.weight" in s else x)
        return (norm(f"{name}.IN", y) if instance and kind == "ibn" else y).relu()

    x = max_pool2d(layer("conv1", x, 2).relu(), 3, 2, 1)
    for stage in (2, 3, 4):
        x = block(f"conv{stage}.1", block(f"conv{stage}.0", x))
        if stage < 4:
            x = avg_pool2d(layer(f"pool{stage}.0" if kind == "ain" else f"conv{stage}.2.0", x).relu(), 2)
    x = layer("conv5", x).relu().mean((2, 3))
    return norm("fc.1", x @ s["fc.0.weight"].T + s["fc.0.bias"])


def save(content: object, tmp_path: Path) -> Path:
    torch.save(content, tmp_path / "model.pth")
    return tmp_path / "model.pth"


@pytest.mark.parametrize("kind", ["plain", "ibn", "ain"])
@pytest.mark.parametrize("prefix", ["", "module."])
def test_a_torchreid_osnet_gives_here_what_its_own_forward_pass_gives(kind: str, prefix: str, tmp_path: Path) -> None:
    state = torchreid_state(kind)
    content = {"state_dict": {prefix + name: weight for name, weight in state.items()}, "rank1": np.float32(0.9)}
    name = "osnet-x0.25" if kind == "plain" else f"osnet-{kind}-x0.25"
    network = Extractor(Architecture(name, "average", standardise="imagenet", height=64, width=32)).eval()

    loaded = load_weights(network, save(content, tmp_path))

    assert (loaded.missing, loaded.reshaped) == ((), ())
    assert set(loaded.matched) == set(network.state_dict())
    assert loaded.unused == ("classifier.weight", "classifier.bias")
    images = torch.randint(0, 256, (3, 64, 32, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        expected = describe(state, network.standardise(images), kind)
        torch.testing.assert_close(network.embed(images).after, expected, rtol=1e-3, atol=1e-4)


def test_a_head_of_stripes_is_left_as_it_was(tmp_path: Path) -> None:
    network = Extractor()  # its projection has, by chance, the shape of torchreid's fc
    before = network.get_parameter("project.weight").clone()
    loaded = load_weights(network, save(torchreid_state(), tmp_path))
    assert torch.equal(network.get_parameter("project.weight"), before)
    assert loaded.missing == ("project.weight", "norm.weight", "norm.bias", "norm.running_mean", "norm.running_var")
    assert "fc.0.weight" in loaded.unused


def test_our_own_checkpoint_loads_whole(tmp_path: Path) -> None:
    torch.manual_seed(0)
    source, network = Extractor(GLOBAL), Extractor(GLOBAL)
    loaded = load_weights(network, save(source.state_dict(), tmp_path))
    assert (loaded.missing, loaded.unused) == ((), ())
    assert all(
        torch.equal(a, b) for a, b in zip(source.state_dict().values(), network.state_dict().values(), strict=True)
    )


@pytest.mark.parametrize("ibn", ["", "-ibn"])
def test_a_fast_reid_resnet_loads_with_its_neck_and_pooling(ibn: str, tmp_path: Path) -> None:
    architecture = Architecture(f"resnet50{ibn}", "gem", dim=2048, projected=False, standardise="imagenet")
    source, network = Extractor(architecture), Extractor(architecture)
    state = {name: weight for name, weight in source.state_dict().items() if name.startswith("backbone.")}
    assert "backbone.layer3.5.conv2.weight" in state  # ours are the public names already
    assert ("backbone.layer1.0.bn1.IN.weight" in state) == bool(ibn)
    state |= {
        f"heads.bottleneck.0.{k}": 2 + torch.rand(2048) for k in ("weight", "bias", "running_mean", "running_var")
    }
    state |= {"heads.pool_layer.p": torch.tensor([4.5]), "heads.weight": torch.rand(9, 2048)}
    state |= {"pixel_mean": torch.rand(1, 3, 1, 1)}
    loaded = load_weights(network, save({"model": state, "iteration": 3}, tmp_path))
    assert loaded.missing == ()
    assert loaded.unused == ("heads.weight", "pixel_mean")
    assert torch.equal(network.state_dict()["norm.running_var"], state["heads.bottleneck.0.running_var"])
    assert torch.equal(network.state_dict()["pool.p"], torch.tensor([4.5]))


def test_a_fast_reid_projection_of_one_by_one_becomes_ours(tmp_path: Path) -> None:
    state = {f"backbone.{name}": weight for name, weight in torchreid_state().items() if name.startswith("conv")}
    state["heads.bottleneck.0.weight"] = torch.rand(512, 128, 1, 1)
    network = Extractor(GLOBAL)
    loaded = load_weights(network, save({"model": state}, tmp_path))
    assert set(loaded.missing) == {f"norm.{part}" for part in ("weight", "bias", "running_mean", "running_var")}
    assert torch.equal(network.get_parameter("project.weight"), state["heads.bottleneck.0.weight"].squeeze(3))


def test_torchvision_mobilenet_names_are_ours_behind_features(tmp_path: Path) -> None:
    architecture = Architecture("mobilenetv2-x0.5", "average", height=64, width=32)
    source, network = Extractor(architecture), Extractor(architecture)
    state = {f"features.{name}": weight for name, weight in source.backbone.state_dict().items()}
    assert state["features.2.conv.1.0.weight"].shape == (48, 1, 3, 3)
    assert state["features.18.0.weight"].shape == (1280, 160, 1, 1)
    loaded = load_weights(network, save({**state, "classifier.1.weight": torch.rand(1000, 1280)}, tmp_path))
    assert len([name for name in loaded.matched if name.startswith("backbone.")]) == len(state)
    assert loaded.unused == ("classifier.1.weight",)


def test_a_head_of_another_size_is_reported_and_the_rest_loaded(tmp_path: Path) -> None:
    network = Extractor(Architecture("osnet-x0.25", "average", dim=64))
    loaded = load_weights(network, save(torchreid_state(), tmp_path))
    assert "project.weight" in loaded.reshaped
    assert "backbone.0.0.weight" in loaded.matched


def test_what_was_loaded_is_told_in_a_line(tmp_path: Path) -> None:
    network = Extractor()
    loaded = load_weights(network, save(torchreid_state(), tmp_path))
    count = sum(name.startswith("backbone.") and "num_batches" not in name for name in network.state_dict())
    assert loaded.in_words() == (
        f"{count} of {count + 5} weights loaded; left as drawn: project.weight, norm.weight, norm.bias and 2 more; "
        "unused: fc.0.weight, fc.0.bias, fc.1.weight and 6 more"
    )


def test_the_mobilenet_of_torchreid_is_refused_by_its_layer(tmp_path: Path) -> None:
    state = {"conv1.conv.weight": torch.rand(32, 3, 3, 3), "conv2.0.dwconv2.conv.weight": torch.rand(32, 1, 3, 3)}
    with pytest.raises(Refused, match=r"torchreid's MobileNetV2 has a layer more .*give torchvision's"):
        load_weights(Extractor(Architecture("mobilenetv2-x1.0", "average")), save(state, tmp_path))


class Code:
    """What a checkpoint must not be able to do."""

    def __reduce__(self) -> tuple[Callable[[str], None], tuple[str]]:
        return print, ("ran",)


def with_a_hole(state: State) -> State:
    state["conv5.bn.bias"][3] = torch.nan
    return state


def part_of_a_backbone(state: State) -> State:
    return {name: state[name] for name in ("conv1.conv.weight", "conv5.conv.weight", "conv5.bn.weight")}


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (lambda: {"state_dict": torchreid_state(), "extra": Code()}, "holds more than weights"),
        (lambda: [1, 2], "holds a list, not a state dict"),
        (lambda: {"epoch": 3}, "no weights in it"),
        (lambda: {"encoder.weight": torch.rand(3, 3)}, "none of its 1 weights fits osnet-x0.25"),
        (lambda: part_of_a_backbone(torchreid_state()), r"holds 3 of the \d+ weights of the backbone osnet-x0.25.*50%"),
        (lambda: torchreid_state(width="x1.0"), "choose the backbone and width it was trained as"),
        (lambda: torchreid_state("ain"), "another kind of normalisation in osnet-x0.25"),
        (lambda: torchreid_state("ibn"), "another kind of normalisation in osnet-x0.25"),
        (lambda: with_a_hole(torchreid_state()), r"backbone.12.1.bias has numbers that are not finite"),
    ],
)
def test_what_cannot_be_used_is_refused_and_nothing_changes(
    content: Callable[[], object], reason: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    network = Extractor(GLOBAL)
    before = {name: weight.clone() for name, weight in network.state_dict().items()}
    with pytest.raises(Refused, match=reason) as refused:
        load_weights(network, save(content(), tmp_path))
    assert "model.pth" in str(refused.value)
    assert "\n" not in str(refused.value)
    assert all(torch.equal(weight, before[name]) for name, weight in network.state_dict().items())
    assert "ran" not in capsys.readouterr().out


def test_a_plain_osnet_is_no_start_for_one_with_instance_normalisation(tmp_path: Path) -> None:
    for name in ("osnet-ain-x0.25", "osnet-ibn-x0.25"):
        with pytest.raises(Refused, match=f"another kind of normalisation in {name}"):
            load_weights(Extractor(Architecture(name)), save(torchreid_state(), tmp_path))


@pytest.mark.parametrize("content", [b"", b"not a checkpoint", b"PK\x03\x04 half a zip"])
def test_a_file_that_is_no_checkpoint_is_refused(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "x.pth").write_bytes(content)
    with pytest.raises(Refused, match=r"x\.pth"):
        load_weights(Extractor(GLOBAL), tmp_path / "x.pth")


def test_half_a_checkpoint_and_none_are_refused(tmp_path: Path) -> None:
    path = save(torchreid_state(), tmp_path)
    path.write_bytes(path.read_bytes()[:20_000])
    with pytest.raises(Refused, match="not a complete"):
        load_weights(Extractor(GLOBAL), path)
    with pytest.raises(Refused, match="no such"):
        load_weights(Extractor(GLOBAL), tmp_path / "none.pth")
