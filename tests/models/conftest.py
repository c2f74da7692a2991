"""One small set of pictures and one short run on it, for all tests that only look at them."""

from dataclasses import replace
from pathlib import Path

import pytest

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
