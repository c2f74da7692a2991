"""Galleries that benchmarks fill once."""

from pathlib import Path

import numpy as np
import pytest

from benchmarks import galleries


def test_a_gallery_is_kept_for_the_next_run_and_made_anew_for_another_model(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(galleries, "WORK", tmp_path)
    folder = galleries.prepare(100)
    (folder / "vectors.npy").write_bytes(b"kept")
    assert galleries.prepare(100) == folder
    assert (folder / "vectors.npy").read_bytes() == b"kept"
    (folder / "made").write_text("another model")
    galleries.prepare(100)
    assert np.load(folder / "vectors.npy").shape == (100, 512)
