"""What a service holds: every row of every table, and every file of its data folder. And how to keep it busy."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from fastapi.testclient import TestClient
from sqlalchemy import Connection, select

from service.db.audit import list_entries
from service.db.changes import ChangeLog
from service.db.tables import metadata
from service.domain import AuditEntry
from service.flows.parts import Parts

PATIENCE_S = 10.0
CONTENT = [table for table in metadata.sorted_tables if table.name != "audit"]  # which grows with reads


def parts_of(client: TestClient) -> Parts:
    parts: Parts = client.app_state["parts"]
    return parts


def holdings(client: TestClient, data_dir: Path) -> dict[str, Any]:
    """All rows by table, all picture files by path, and the state of the index: equal where nothing was stored."""
    parts = parts_of(client)

    def rows(connection: Connection) -> dict[str, Any]:
        return {table.name: sorted(map(repr, connection.execute(select(table)))) for table in CONTENT}

    return {
        **parts.database.read_now(rows),
        "files": files(data_dir),
        "index": (len(parts.galleries), parts.galleries.generation),
    }


def files(data_dir: Path) -> dict[str, bytes]:
    """The picture files, staged ones included."""
    root = data_dir / "pictures"
    return {str(path.relative_to(root)): path.read_bytes() for path in root.glob("*/*")}


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline, "it did not come to that in time"
        time.sleep(0.002)


@contextmanager
def writer_held(client: TestClient) -> Iterator[threading.Event]:
    """Keep the one writer busy, so that writes of the block wait, until the event is set or the block ends."""
    started, release = threading.Event(), threading.Event()

    def job(connection: Connection, changes: ChangeLog) -> None:
        started.set()
        assert release.wait(PATIENCE_S)

    assert client.portal is not None
    held = client.portal.start_task_soon(parts_of(client).writer.write, job)
    assert started.wait(PATIENCE_S)
    try:
        yield release
    finally:
        release.set()
        held.result(PATIENCE_S)


def noted(client: TestClient) -> list[AuditEntry]:
    """What is in the table, without what still waits."""
    return [one for _, one in parts_of(client).database.read_now(lambda on: list_entries(on, after=0, limit=100_000))]


def flushed(client: TestClient) -> list[AuditEntry]:
    """What is in the table once nothing waits."""
    wait_for(lambda: len(parts_of(client).audit) == 0)
    return noted(client)
