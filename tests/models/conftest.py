"""One small set of pictures and one short run on it, for all tests that only look at them."""

from dataclasses import replace
from pathlib import Path

import pytest

from models.exporting import export
from models.network import Extractor
from models.runs import digest_network
from models.training.train import train
from tests.models.tiny import TINY, make_folder


@pytest.fixture(scope="session")
def people(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Eight people, two cameras, two pictures each."""
    return make_folder(tmp_path_factory.mktemp("pictures") / "eight")


@pytest.fixture(scope="session")
def run(people: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run of four steps."""
    folder = tmp_path_factory.mktemp("runs") / "short"
    train(replace(TINY, data=str(people), average=0.9), folder)
    return folder


@pytest.fixture(scope="session")
def graphs() -> dict[str, bytes]:
    """What was traced, by the network's digest."""
    return {}


@pytest.fixture
def traced_once(graphs: dict[str, bytes], monkeypatch: pytest.MonkeyPatch) -> None:
    """A network is traced by the first test that exports it, in seven seconds, and not again by the others."""
    trace = export.trace

    def trace_once(network: Extractor) -> bytes:
        digest = digest_network(network)
        graphs[digest] = graphs.get(digest) or trace(network)
        return graphs[digest]

    monkeypatch.setattr(export, "trace", trace_once)
