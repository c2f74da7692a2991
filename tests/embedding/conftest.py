"""A copy of the model in use, to be spoiled."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from service.config import Settings


@pytest.fixture
def model_copy(tmp_path: Path) -> Path:
    """A folder with a good model."""
    return Path(shutil.copytree(Settings().model_dir, tmp_path / "model"))


@pytest.fixture
def spoil(model_copy: Path) -> Callable[[Callable[[dict[str, Any]], Any]], Path]:
    """Changes the manifest of the copy in place; returns its folder."""

    def change(how: Callable[[dict[str, Any]], Any]) -> Path:
        path = model_copy / "manifest.json"
        manifest = json.loads(path.read_text())
        how(manifest)
        path.write_text(json.dumps(manifest))
        return model_copy

    return change
