"""What the service tells of itself: JSON logs with a request id, and Prometheus metrics. No personal data in either."""

import asyncio
import logging
import sys
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime

import orjson
from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    GCCollector,
    Histogram,
    PlatformCollector,
    ProcessCollector,
    generate_latest,
)
from prometheus_client.metrics_core import GaugeMetricFamily
from prometheus_client.registry import Collector
from pythonjsonlogger.orjson import OrjsonFormatter

request_id: ContextVar[str | None] = ContextVar("request_id", default=None)

STAGE_BUCKETS_S = (0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5)
BATCH_BUCKETS = (1, 2, 4, 8, 16, 32, 64, 128)
LINES_WAIT_S = 0.1  # a crash loses as much of the log of requests


class Telemetry:
    """The metrics of one service, in a registry of their own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.requests = RequestLog()
        self._showing = ThreadPoolExecutor(1, thread_name_prefix="metrics")
        self._stages = Histogram(
            "reappear_stage_seconds", "Time of one stage of a request", ["stage"],
            buckets=STAGE_BUCKETS_S, registry=self.registry,
        )  # fmt: skip
        self._batches = Histogram(
            "reappear_batch_size", "Items in one batch", ["batcher"], buckets=BATCH_BUCKETS, registry=self.registry
        )
        self._requests = Histogram(
            "reappear_request_seconds", "Time of one request", ["method", "route", "status"],
            buckets=STAGE_BUCKETS_S, registry=self.registry,
        )  # fmt: skip
        self._refusals = Counter(
            "reappear_refusals_total", "Requests answered with an error, by status", ["status"], registry=self.registry
        )
        self.waiting = Gauge(
            "reappear_waiting_items", "Items that wait for a place in a batch", ["batcher"], registry=self.registry
        )
        self._connections = Gauge(
            "reappear_database_connections", "Connections to the database", ["pool", "state"], registry=self.registry
        )
        self._info = Gauge(
            "reappear_info", "What is running; always 1", ["version", "model", "provider", "faiss", "database"],
            registry=self.registry,
        )  # fmt: skip
        ProcessCollector(registry=self.registry)
        PlatformCollector(registry=self.registry)
        GCCollector(registry=self.registry)

    def watch(self, name: str, meaning: str, read: Callable[[], float]) -> None:
        """A gauge that is read whenever somebody looks."""
        Gauge(name, meaning, registry=self.registry).set_function(read)

    def watch_together(self, gauges: Sequence[tuple[str, str]], read: Callable[[], Sequence[float]]) -> None:
        """Gauges, each with its name and meaning, that are read at once whenever somebody looks."""
        self.registry.register(_Together(gauges, read))

    async def show(self) -> bytes:
        """All metrics, for Prometheus. They are read in a thread of their own: some ask the database, and when it hangs
        all others may wait for it."""
        return await asyncio.get_running_loop().run_in_executor(self._showing, generate_latest, self.registry)

    def close(self) -> None:
        """Nobody looks any more."""
        self.requests.flush()
        self._showing.shutdown()

    def watch_connections(self, pool: str, state: str, read: Callable[[], float]) -> None:
        """Connections of one pool in one state."""
        self._connections.labels(pool, state).set_function(read)

    def describe(self, **about: str) -> None:
        """Versions, model, provider and database in use."""
        self._info.labels(**about).set(1)

    def observe_batch(self, batcher: str, size: int) -> None:
        """Count one batch."""
        self._batches.labels(batcher).observe(size)

    def observe_request(self, method: str, route: str, status: int, seconds: float) -> None:
        """Count one request. `route` is the template, never the path a client sent."""
        self._requests.labels(method, route, str(status)).observe(seconds)

    def observe_refusal(self, status: int) -> None:
        """Count one request answered with a status of 400 or more."""
        self._refusals.labels(str(status)).inc()

    def observe_stage(self, stage: str, seconds: float) -> None:
        """Count one stage of a request."""
        self._stages.labels(stage).observe(seconds)


class _Together(Collector):
    def __init__(self, gauges: Sequence[tuple[str, str]], read: Callable[[], Sequence[float]]) -> None:
        self._gauges = gauges
        self._read = read

    def collect(self) -> Iterator[GaugeMetricFamily]:
        for (name, meaning), value in zip(self._gauges, self._read(), strict=True):
            yield GaugeMetricFamily(name, meaning, value)


class Stopwatch:
    """The stages of one request: `with watch.stage("decode"): …`."""

    def __init__(self, telemetry: Telemetry) -> None:
        self._telemetry = telemetry
        self.timings_ms: dict[str, float] = {}

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Time a stage; a stage that comes twice adds up."""
        started = time.perf_counter()
        try:
            yield
        finally:
            self.add(name, time.perf_counter() - started)

    def add(self, name: str, seconds: float) -> None:
        """Note a stage that was timed elsewhere."""
        self._telemetry.observe_stage(name, seconds)
        self.timings_ms[name] = round(self.timings_ms.get(name, 0.0) + seconds * 1000, 3)


class RequestLog:
    """A line for each request, written together ten times a second: a write lets other threads run, and under load it
    is half a millisecond until the event loop has its turn again. Used from the event loop only."""

    def __init__(self) -> None:
        self._logger = logging.getLogger(__name__)
        self._lines: list[bytes] = []

    def note(self, method: str, route: str, status: int, seconds: float) -> None:
        """One request was answered. `route` is the template, never the path a client sent."""
        if not self._logger.isEnabledFor(logging.INFO):
            return
        if not self._lines:
            asyncio.get_running_loop().call_later(LINES_WAIT_S, self.flush)
        line = {
            "level": "INFO", "logger": self._logger.name, "message": "request", "request_id": request_id.get(),
            "method": method, "route": route, "status": status, "ms": round(seconds * 1000, 2),
            "time": datetime.now(UTC),
        }  # fmt: skip
        self._lines.append(orjson.dumps(line, option=orjson.OPT_APPEND_NEWLINE))

    def flush(self) -> None:
        """Write what waits."""
        lines, self._lines = b"".join(self._lines), []
        if lines:
            sys.stderr.write(lines.decode())
            sys.stderr.flush()


class _RequestIdFilter(logging.Filter):
    def filter(self, record: logging.LogRecord) -> bool:
        record.request_id = request_id.get()
        record.__dict__.pop("color_message", None)  # of uvicorn, for a terminal
        return True


class _RefusalFilter(logging.Filter):
    """Drops the traceback that uvicorn writes under a refused start, whose reason was logged in one line."""

    def filter(self, record: logging.LogRecord) -> bool:
        last = record.getMessage().rstrip().rpartition("\n")[2]
        return not last.startswith("service.errors.")


def configure_logging(level: str) -> None:
    """JSON lines on standard error, each with the id of the request it belongs to."""
    handler = logging.StreamHandler()
    handler.addFilter(_RequestIdFilter())
    handler.setFormatter(
        OrjsonFormatter(
            "%(levelname)s %(name)s %(message)s %(request_id)s",
            rename_fields={"levelname": "level", "name": "logger"},
            timestamp="time",
        )
    )
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    logging.captureWarnings(True)
    # Python keeps every text of a warning for ever, and Pillow's have numbers from the damaged picture in them
    warnings.filterwarnings("ignore", module=r"PIL\.")
    for name in ("uvicorn", "uvicorn.error", "uvicorn.access"):
        logger = logging.getLogger(name)
        logger.handlers.clear()
        logger.addFilter(_RefusalFilter())
        logger.propagate = name != "uvicorn.access"  # our middleware writes one line a request instead
