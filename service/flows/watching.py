"""What the metrics say of the running parts. Read when somebody looks, in a thread of its own."""

import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path

from service.errors import DatabaseDown, NotReady
from service.flows.container import CGROUP, memory_of
from service.flows.parts import Parts
from service.flows.readiness import Readiness
from service.telemetry import Telemetry

NOTHING = float("nan")


class Watch:
    """The gauges of one service. Once it has stopped they hold nothing of it: FastAPI keeps apps, and with them their
    metrics, in caches of its own."""

    def __init__(
        self, telemetry: Telemetry, parts: Parts, readiness: Readiness, data_dir: Path, cgroup: Path = CGROUP
    ) -> None:
        """Register the gauges."""
        self._parts: Parts | None = parts
        self._readiness: Readiness | None = readiness
        gauges: list[tuple[str, str, Callable[[Parts], float]]] = [
            ("reappear_index_crops", "Crops in the index", lambda parts: len(parts.galleries)),
            ("reappear_index_bytes", "Memory of the vectors in the index", lambda parts: parts.galleries.vector_bytes),
            ("reappear_index_accelerated", "Vectors on a card or in a FAISS index; 0 with exact kinds",
             lambda parts: parts.galleries.accelerated),
            ("reappear_generation", "Last change applied to the index", lambda parts: parts.galleries.generation),
            ("reappear_audit_waiting", "Reads not yet written to the audit log", lambda parts: len(parts.audit)),
            ("reappear_database_reads_waiting", "Reads that wait for one of the readers",
             lambda parts: parts.database.waiting),
            ("reappear_rewrite_waiting_seconds", "How long removed rows have waited to be overwritten",
             lambda parts: parts.rewriting.waiting_s),
            ("reappear_rewrite_promised_seconds", "Within how long removed rows are to be overwritten",
             lambda parts: parts.rewriting.promised_s),
            ("reappear_retention_waits", "1 while retention removes nothing, as the clock may be wrong",
             lambda parts: parts.clock.doubtful),
            ("reappear_snapshot_age_seconds", "Age of the newest snapshot of the index; NaN where there is none",
             lambda parts: parts.snapshots.age_s),
        ]  # fmt: skip
        for name, meaning, read in gauges:
            telemetry.watch(name, meaning, partial(self._read, read))
        telemetry.watch_together(
            [("reappear_ready", "1 while the service can enrol and query"),
             ("reappear_outbox_pictures", "Removed pictures not yet unlinked; NaN while the database does not answer")],
            self._read_database,
        )  # fmt: skip
        telemetry.watch(
            "reappear_disk_free_bytes", "Free space for the data folder", lambda: shutil.disk_usage(data_dir).free
        )
        telemetry.watch(
            "reappear_disk_bytes", "Size of the disk of the data folder", lambda: shutil.disk_usage(data_dir).total
        )
        telemetry.watch_together(
            [("reappear_memory_used_bytes", "What counts against the container's limit; NaN where there is none"),
             ("reappear_memory_limit_bytes", "Memory past which the container is killed; NaN where there is no limit")],
            partial(memory_of, cgroup),
        )  # fmt: skip
        for pool, state in parts.database.connections():
            telemetry.watch_connections(pool, state, partial(self._read, partial(_connections, pool, state)))
        for part in ("embedder", "courses", "long_courses", "writer"):
            name = getattr(parts, part).batcher.name
            telemetry.waiting.labels(name).set_function(partial(self._read, partial(_waiting, part)))

    def end(self) -> None:
        """The service has stopped."""
        self._parts = self._readiness = None

    def _read(self, read: Callable[[Parts], float]) -> float:
        return NOTHING if self._parts is None else read(self._parts)

    def _read_database(self) -> tuple[float, float]:
        """Whether the service is ready, as /readyz says it, and the pictures in the outbox."""
        if self._parts is None or self._readiness is None:
            return 0, NOTHING
        try:
            waiting = self._parts.pulse.ask()
        except (DatabaseDown, NotReady):
            return 0, NOTHING
        try:
            self._readiness.check()
        except NotReady:
            return 0, waiting
        return 1, waiting


def _connections(pool: str, state: str, parts: Parts) -> float:
    return parts.database.connections()[pool, state]


def _waiting(part: str, parts: Parts) -> float:
    waiting: int = getattr(parts, part).batcher.waiting
    return waiting
