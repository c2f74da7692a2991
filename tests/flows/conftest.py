"""What is said of snapshots, and a service that has one."""

import logging

import pytest

from service.config import Settings
from service.store.snapshots import SnapshotFolder
from tests.flows.indexed import PEOPLE, enrol, index_of, serving


@pytest.fixture
def log(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> pytest.LogCaptureFixture:
    """What is said while loading and keeping snapshots."""
    for name in ("service.flows.loading", "service.flows.snapshots"):
        monkeypatch.setattr(logging.getLogger(name), "handlers", [caplog.handler])
        caplog.set_level("INFO", name)
    return caplog


@pytest.fixture
def filled(settings: Settings) -> Settings:
    """Settings of a stopped service with people in two collections, and one snapshot that has them all."""
    with serving(settings) as client:
        client.post("/collections", json={"name": "other"})
        enrol(client, *range(1, PEOPLE + 1))
        enrol(client, 1, 2, collection="other")
        client.delete("/gallery/p-3")
    assert SnapshotFolder(index_of(settings)).numbers() == [1]
    return settings
