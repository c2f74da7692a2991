"""manifest.json: what a model folder says of itself. The service trusts it only after the checksum and the golden
vector agree with what the network really does."""

import hashlib
from pathlib import Path
from typing import Literal

import pydantic

from service.errors import ModelRefused

MANIFEST_FILE = "manifest.json"


class _Part(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(frozen=True, extra="forbid")


class InputSpec(_Part):
    """The tensor the network takes: uint8 NHWC, so that all arithmetic on pixels is inside the graph."""

    name: str
    height: int = pydantic.Field(gt=0)
    width: int = pydantic.Field(gt=0)
    layout: Literal["NHWC"]
    dtype: Literal["uint8"]
    colour: Literal["RGB"]


class OutputSpec(_Part):
    """The vectors the network gives: float32 (N, dim), unit length."""

    name: str
    dim: int = pydantic.Field(gt=0)


class Golden(_Part):
    """A crop and the vector the exporting machine got for it."""

    picture: str
    vector: list[float]


class Thresholds(_Part):
    """Cosine similarities at or above which a pair is a match, or possible, and what they rest on."""

    match: float = pydantic.Field(ge=-1, le=1)
    possible: float = pydantic.Field(ge=-1, le=1)
    identities: int = pydantic.Field(gt=0, description="how many unseen people they rest on")
    gallery: int = pydantic.Field(
        gt=0, description="how many people were enrolled; more make strangers pass more often"
    )
    fpir_match: float = pydantic.Field(gt=0, lt=1, description="share of strangers whose best candidate is a match")
    fpir_possible: float = pydantic.Field(gt=0, lt=1, description="share of strangers whose best is at least possible")
    made_from: str


class Source(_Part):
    """The outside file that the network was made of; absent for one that was trained here."""

    sha256: str = pydantic.Field(pattern=r"^[0-9a-f]{64}$", description="of the file as it was brought")
    url: str = pydantic.Field(default="", description="where it came from, as far as it was told")


class Acceptance(_Part):
    """The retrieval figures by which this very file was accepted (Market-1501 protocol, cosine)."""

    set: str = pydantic.Field(description="the name of the picture set")
    queries: int = pydantic.Field(gt=0, description="how many of them had somebody to find")
    mean_ap: float = pydantic.Field(ge=0, le=1)
    rank_1: float = pydantic.Field(ge=0, le=1)


class Manifest(_Part):
    """The whole file."""

    format: Literal[1]
    name: str = pydantic.Field(min_length=1, max_length=64, pattern=r"^[a-z0-9][a-z0-9._-]*$")
    file: str = pydantic.Field(pattern=r"^[^/\\]+$")
    sha256: str = pydantic.Field(pattern=r"^[0-9a-f]{64}$")
    input: InputSpec
    output: OutputSpec
    golden: Golden
    thresholds: Thresholds
    precision: Literal["fp32", "fp16", "int8"] = "fp32"
    source: Source | None = None
    acceptance: Acceptance | None = None

    @pydantic.model_validator(mode="after")
    def _agree(self) -> "Manifest":
        if len(self.golden.vector) != self.output.dim:
            raise ValueError(
                f"the golden vector has {len(self.golden.vector)} numbers, output.dim is {self.output.dim}"
            )
        if self.thresholds.possible > self.thresholds.match:
            raise ValueError("thresholds.possible is above thresholds.match")
        return self

    @property
    def version(self) -> str:
        """The model version as answers name it: name and the first 12 hex digits of the checksum."""
        return f"{self.name}@sha256:{self.sha256[:12]}"


def read_manifest(folder: Path) -> Manifest:
    """Read and check folder/manifest.json. Raises ModelRefused that says what is wrong with it."""
    path = folder / MANIFEST_FILE
    try:
        return Manifest.model_validate_json(path.read_bytes())
    except OSError as error:
        raise ModelRefused(
            f"{path} cannot be read ({error.strerror}); set REAPPEAR_MODEL_DIR to a model folder"
        ) from error
    except pydantic.ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "the file"
        raise ModelRefused(f"{path} is not a valid manifest: {where}: {first['msg']}") from error


def sha256_of(path: Path) -> str:
    """The hex SHA-256 of a file. Raises ModelRefused where it cannot be read."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise ModelRefused(f"{path} cannot be read ({error.strerror})") from error
