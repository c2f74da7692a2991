"""Services that the tests of one module share: to read from, or to be refused by. Tests that write take their own."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from service.app import create_app
from service.config import Settings
from tests.api.holdings import holdings
from tests.api.sending import form
from tests.conftest import fresh_database, wait_until_ready
from tests.pictures import jpeg


@dataclass
class Filled:
    """A service with two people in `default`, one in `other`, and what it held when it was filled."""

    client: TestClient
    data_dir: Path
    before: dict[str, Any]

    def assert_untouched(self) -> None:
        """Each test is compared with the one before it, so that one that leaves a trace fails alone."""
        before, self.before = self.before, holdings(self.client, self.data_dir)
        changed = [name for name in before if before[name] != self.before[name]]
        assert not changed, f"{', '.join(changed)} changed"


@contextmanager
def running(data_dir: Path, database_url: str, **values: Any) -> Iterator[TestClient]:
    """A service in this process with settings of its own."""
    settings = Settings(data_dir=data_dir, database_url=database_url, log_level="error", **values)
    with TestClient(create_app(settings), base_url="http://127.0.0.1") as client:
        wait_until_ready(client)
        yield client


@contextmanager
def _filled(data_dir: Path, database_url: str) -> Iterator[Filled]:
    with running(data_dir, database_url) as client:
        assert client.post("/collections", json={"name": "other"}).status_code == 201
        for collection, identity, seed in (("default", "p-1", 1), ("default", "p-2", 2), ("other", "p-3", 3)):
            sent = form("images", [jpeg(seed), jpeg(seed, view=1)], identity=identity, collection=collection)
            assert client.post("/gallery", **sent).status_code == 201
        yield Filled(client, data_dir, holdings(client, data_dir))


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def module_url(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """`database_url` for a whole module."""
    with fresh_database(request, tmp_path_factory.mktemp("module") / "reappear.db") as url:
        yield url


@pytest.fixture(scope="module")
def filled_on_each(module_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Filled]:
    """A filled service on each kind of database."""
    with _filled(tmp_path_factory.mktemp("filled") / "data", module_url) as filled:
        yield filled


@pytest.fixture(scope="module")
def filled(sqlite_template: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Filled]:
    """A filled service on SQLite, for refusals that never reach a database."""
    folder = tmp_path_factory.mktemp("filled")
    (folder / "reappear.db").write_bytes(sqlite_template.read_bytes())
    with _filled(folder / "data", f"sqlite:///{folder / 'reappear.db'}") as filled:
        yield filled
