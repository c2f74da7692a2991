"""What the metrics say of the running parts. Read when somebody looks, in a thread of its own."""

import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path

from service.db.outbox import count_waiting
from service.errors import DatabaseDown, NotReady
from service.flows.parts import Parts
from service.flows.readiness import Readiness
from service.telemetry import Telemetry


def watch_service(telemetry: Telemetry, parts: Parts, readiness: Readiness, data_dir: Path) -> None:
    """Register the gauges of one running service."""
    gauges: list[tuple[str, str, Callable[[], float]]] = [
        ("reappear_ready", "1 while the service can enrol and query", lambda: _is_ready(readiness)),
        ("reappear_index_crops", "Crops in the index", lambda: len(parts.galleries)),
        ("reappear_index_bytes", "Memory of the vectors in the index", lambda: parts.galleries.vector_bytes),
        ("reappear_generation", "Last change applied to the index", lambda: parts.galleries.generation),
        ("reappear_disk_free_bytes", "Free space for the data folder", lambda: shutil.disk_usage(data_dir).free),
        ("reappear_disk_bytes", "Size of the disk of the data folder", lambda: shutil.disk_usage(data_dir).total),
        ("reappear_audit_waiting", "Reads not yet written to the audit log", lambda: len(parts.audit)),
        ("reappear_outbox_pictures", "Removed pictures not yet unlinked", lambda: _waiting_pictures(parts)),
        ("reappear_rewrite_waiting_seconds", "How long removed rows have waited to be overwritten",
         lambda: parts.rewriting.waiting_s),
    ]  # fmt: skip
    for name, meaning, read in gauges:
        telemetry.watch(name, meaning, read)
    for pool, state in parts.database.connections():
        telemetry.watch_connections(pool, state, partial(_connections, parts, pool, state))
    for batcher in (parts.embedder.batcher, parts.searcher.batcher, parts.writer.batcher):
        telemetry.waiting.labels(batcher.name).set_function(partial(getattr, batcher, "waiting"))


def _connections(parts: Parts, pool: str, state: str) -> float:
    return parts.database.connections()[pool, state]


def _is_ready(readiness: Readiness) -> float:
    try:
        readiness.check()
    except NotReady:
        return 0
    return 1


def _waiting_pictures(parts: Parts) -> float:
    try:
        return parts.database.read_now(count_waiting)
    except DatabaseDown:
        return float("nan")
