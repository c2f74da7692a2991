"""A service that has stopped leaves nothing behind in its process: tests and tools start many in one."""

import gc
import threading
import weakref
from pathlib import Path
from typing import Any

from tests.api.conftest import running
from tests.api.holdings import parts_of
from tests.api.sending import raw
from tests.pictures import jpeg


def test_a_stopped_service_lets_go_of_its_model_index_database_and_threads(sqlite_url: str, tmp_path: Path) -> None:
    threads = threading.active_count()
    with running(tmp_path / "data", sqlite_url) as client:
        client.post("/gallery", **raw(jpeg(1), identity="p-1"))
        client.post("/query", **raw(jpeg(1)))
        client.get("/metrics")
        parts = parts_of(client)
        held: list[tuple[str, weakref.ref[Any]]] = [
            (type(part).__name__, weakref.ref(part))
            for part in (parts.database, parts.writer, parts.galleries, parts.embedder, parts.reader, parts.audit)
        ]
        app = client.app  # which its libraries may keep for longer
        del parts, client
    gc.collect()
    assert [name for name, part in held if part() is not None] == []
    assert threading.active_count() == threads
    assert app is not None
