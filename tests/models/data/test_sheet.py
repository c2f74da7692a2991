"""The contact sheet."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from models.data.sheet import GAP, write_sheet
from models.errors import Refused


def test_pictures_stand_row_by_row(tmp_path: Path) -> None:
    images = torch.stack([torch.full((8, 4, 3), 40 * k, dtype=torch.uint8) for k in range(5)])
    write_sheet(images, tmp_path / "sheet.png", columns=3)
    sheet = np.asarray(Image.open(tmp_path / "sheet.png"))
    assert sheet.shape == (2 * 8 + GAP, 3 * 4 + 2 * GAP, 3)
    assert [int(sheet[0, left, 0]) for left in (0, 4 + GAP, 8 + 2 * GAP)] == [0, 40, 80]
    assert [int(sheet[8 + GAP, left, 0]) for left in (0, 4 + GAP, 8 + 2 * GAP)] == [120, 160, 255]
    assert sheet[8, 0, 0] == 255


def test_a_sheet_that_cannot_be_written_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "sheet.png").mkdir()
    with pytest.raises(Refused, match=r"sheet.png cannot be written"):
        write_sheet(torch.zeros((1, 8, 4, 3), dtype=torch.uint8), tmp_path / "sheet.png", columns=1)
    assert [path.name for path in tmp_path.iterdir()] == ["sheet.png"]
