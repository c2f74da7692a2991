"""Snapshots of the index have nothing to do with a backup, and none is used after a restore."""

import logging
import shutil
from pathlib import Path

import pytest

from tests.api.sending import raw
from tests.backup.conftest import MakePlace
from tests.pictures import jpeg


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_a_restore_removes_snapshots_and_one_that_stays_is_refused(
    kind: str, place: MakePlace, tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = place(kind)
    with here.serving() as client:
        client.post("/gallery", **raw(jpeg(1), identity="p-1"))
    here.back_up(tmp_path / "backup.tar")
    with here.serving() as client:
        client.post("/gallery", **raw(jpeg(2), identity="p-2"))
    index = here.data_dir / "index"
    shutil.copytree(index, tmp_path / "index")
    here.restore(tmp_path / "backup.tar", replace=True)
    assert list(index.iterdir()) == []
    index.rmdir()
    shutil.copytree(tmp_path / "index", index)
    refused = set(index.glob("*.piece"))
    monkeypatch.setattr(logging.getLogger("service.flows.loading"), "handlers", [caplog.handler])
    with here.serving() as client:
        assert client.get("/readyz").json()["crops"] == 1
        assert client.post("/query", **raw(jpeg(1))).json()["candidates"][0]["similarity"] > 0.9999
        assert refused
        assert refused.isdisjoint(index.iterdir())
