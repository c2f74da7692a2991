"""What a manifest must say, and that one that says something else is refused with the place named."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from service.config import Settings
from service.embedding.manifest import read_manifest, sha256_of
from service.errors import ModelRefused

ACCEPTANCE = {"set": "people", "queries": 10, "mean_ap": 0.5, "rank_1": 0.6}
Spoil = Callable[[Callable[[dict[str, Any]], Any]], Path]


def test_the_manifest_in_use_names_its_version_by_name_and_checksum() -> None:
    folder = Settings().model_dir
    manifest = read_manifest(folder)
    assert manifest.version == f"{manifest.name}@sha256:{manifest.sha256[:12]}"
    assert sha256_of(folder / manifest.file) == manifest.sha256
    assert -1 <= manifest.thresholds.possible <= manifest.thresholds.match <= 1


@pytest.mark.parametrize(
    ("how", "word"),
    [
        (lambda manifest: manifest.pop("format"), "format"),
        (lambda manifest: manifest.update(format=2), "format"),
        (lambda manifest: manifest.update(colour="red"), "colour"),
        (lambda manifest: manifest.update(name=""), "name"),
        (lambda manifest: manifest.update(name="Zoë's model"), "name"),
        (lambda manifest: manifest.update(name="x" * 65), "name"),
        (lambda manifest: manifest.update(file="../model.onnx"), "file"),
        (lambda manifest: manifest.update(file="/etc/passwd"), "file"),
        (lambda manifest: manifest.update(sha256="abc"), "sha256"),
        (lambda manifest: manifest["input"].update(layout="NCHW"), "input.layout"),
        (lambda manifest: manifest["input"].update(dtype="float32"), "input.dtype"),
        (lambda manifest: manifest["input"].update(colour="BGR"), "input.colour"),
        (lambda manifest: manifest["input"].update(height=0), "input.height"),
        (lambda manifest: manifest["output"].update(dim=0), "output.dim"),
        (lambda manifest: manifest["golden"]["vector"].pop(), "golden vector"),
        (
            lambda manifest: manifest["golden"].update(vector=[None] * len(manifest["golden"]["vector"])),
            "golden.vector",
        ),
        (lambda manifest: manifest["thresholds"].update(match=1.5), "thresholds.match"),
        (lambda manifest: manifest["thresholds"].update(match=0.1, possible=0.2), "thresholds.possible"),
        (lambda manifest: manifest["thresholds"].pop("made_from"), "thresholds.made_from"),
        (lambda manifest: manifest.update(precision="fp8"), "precision"),
        (lambda manifest: manifest.update(source={"sha256": "abc"}), "source.sha256"),
        (lambda manifest: manifest.update(acceptance={**ACCEPTANCE, "mean_ap": 1.5}), "acceptance.mean_ap"),
        (lambda manifest: manifest.update(acceptance={**ACCEPTANCE, "map": 0.5}), "acceptance.map"),
    ],
)
def test_a_manifest_that_says_something_else_is_refused_by_its_place(
    how: Callable[[dict[str, Any]], Any], word: str, spoil: Spoil
) -> None:
    folder = spoil(how)
    with pytest.raises(ModelRefused, match=r"manifest\.json is not a valid manifest") as refusal:
        read_manifest(folder)
    assert word in refusal.value.detail


def test_where_a_network_comes_from_and_what_it_was_accepted_by_may_be_left_out(spoil: Spoil) -> None:
    for part in ("precision", "source", "acceptance"):
        spoil(lambda manifest, part=part: manifest.pop(part, None))
    folder = spoil(lambda manifest: None)
    manifest = read_manifest(folder)
    assert (manifest.precision, manifest.source, manifest.acceptance) == ("fp32", None, None)
    told = {"precision": "fp16", "source": {"sha256": "a" * 64}, "acceptance": ACCEPTANCE}
    manifest = read_manifest(spoil(lambda manifest: manifest.update(told)))
    assert manifest.precision == "fp16"
    assert manifest.source is not None
    assert (manifest.source.sha256, manifest.source.url) == ("a" * 64, "")
    assert manifest.acceptance is not None
    assert manifest.acceptance.mean_ap == 0.5


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"\xff\xfe", b'{"format": NaN}'])
def test_a_manifest_that_is_no_json_object_is_refused(content: bytes, model_copy: Path) -> None:
    (model_copy / "manifest.json").write_bytes(content)
    with pytest.raises(ModelRefused, match=r"manifest\.json is not a valid manifest"):
        read_manifest(model_copy)


def test_a_folder_without_a_manifest_names_the_setting_to_change(tmp_path: Path) -> None:
    for folder in (tmp_path, tmp_path / "nowhere"):
        with pytest.raises(ModelRefused, match="REAPPEAR_MODEL_DIR"):
            read_manifest(folder)
