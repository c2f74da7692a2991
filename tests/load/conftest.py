from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.server import Server


@pytest.fixture
def serve(tmp_path: Path, sqlite_template: Path) -> Iterator[Callable[..., Server]]:
    """Start a service on SQLite with settings of the test's own; `server.database_url` is its database."""
    started: list[Server] = []

    def start(**environment: str) -> Server:
        path = tmp_path / "reappear.db"
        path.write_bytes(sqlite_template.read_bytes())
        server = Server(tmp_path / "data", f"sqlite:///{path}", **environment)
        server.start()
        started.append(server)
        return server

    yield start
    for server in started:
        server.stop()
