"""`python -m benchmarks.load`: requests at a fixed rate, or from clients that wait for their answers, in a process of
its own, so that a slow service does not slow down what it is asked.

Raw sockets and requests made beforehand, because every microsecond here is taken from the service's cores.
"""

import argparse
import asyncio
import itertools
import json
import os
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

import numpy as np

TICK_S = 0.001
MAX_CONNECTIONS = 4000
PATIENCE_S = 30.0  # for the last answers
NOT_FINISHED = -1


@dataclass(slots=True)
class Tally:
    """What was sent and what came back. Times in seconds."""

    latencies: dict[int, list[float]] = field(default_factory=dict)  # by status
    lags: list[float] = field(default_factory=list)  # from when a request was due to when it was sent
    in_time: int = 0  # answers 200 or 201 before the end of the measurement
    without_retry_after: int = 0


class Connection(asyncio.Protocol):
    """One keep-alive connection with at most one request on its way."""

    def __init__(self, load: "Load") -> None:
        self._load = load
        self._transport: asyncio.Transport | None = None
        self._received = b""
        self._sent_at = 0.0
        self.busy = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the way back."""
        self._transport = cast(asyncio.Transport, transport)

    def send(self, request: bytes) -> None:
        """Send one request; the load is told of its answer."""
        assert self._transport is not None
        self.busy = True
        self._received = b""
        self._sent_at = time.perf_counter()
        self._transport.write(request)

    def data_received(self, data: bytes) -> None:
        """Collect one answer."""
        self._received = self._received + data if self._received else data
        end = self._received.find(b"\r\n\r\n")
        if end < 0:
            return
        head = self._received[:end].lower()
        start = head.index(b"content-length:") + 15
        length = int(head[start : head.find(b"\r", start) if head.find(b"\r", start) > 0 else None])
        if len(self._received) < end + 4 + length:
            return
        self.busy = False
        status = int(head[9:12])
        refused_badly = status == 503 and b"retry-after:" not in head
        self._load.answered(self, status, time.perf_counter() - self._sent_at, refused_badly)

    def connection_lost(self, error: Exception | None) -> None:
        """An answer that never came is counted as such."""
        if self.busy:
            self._load.answered(self, NOT_FINISHED, time.perf_counter() - self._sent_at, False)
        self._load.lost(self)

    def close(self) -> None:
        """Nothing more is sent."""
        if self._transport is not None:
            self._transport.close()


class Load:
    """Requests, round and round, to one port."""

    def __init__(self, port: int, requests: list[bytes], seconds: float) -> None:
        self.tally = Tally()
        self._port = port
        self._requests = itertools.cycle(requests)
        self._seconds = seconds
        self._idle: list[Connection] = []
        self._all: set[Connection] = set()
        self._keeps_asking = False
        self._ends_at = 0.0

    async def closed(self, clients: int) -> None:
        """Each client sends its next request when it has its answer."""
        await self._open(clients)
        self._keeps_asking = True
        self._ends_at = time.perf_counter() + self._seconds
        for connection in list(self._idle):
            connection.send(next(self._requests))
        self._idle.clear()
        await asyncio.sleep(self._seconds)
        await self._finish()

    async def open(self, rate: float, connections: int) -> None:
        """Requests when they are due, whether or not earlier ones were answered."""
        await self._open(connections)
        started = time.perf_counter()
        self._ends_at = started + self._seconds
        sent, total = 0, int(rate * self._seconds)
        while sent < total:
            due = min(total, int((time.perf_counter() - started) * rate) + 1)
            while sent < due:
                if not self._idle:
                    await self._open(min(16, MAX_CONNECTIONS - len(self._all)))
                self.tally.lags.append(time.perf_counter() - started - sent / rate)
                self._idle.pop().send(next(self._requests))
                sent += 1
            await asyncio.sleep(TICK_S)
        await self._finish()

    def answered(self, connection: Connection, status: int, latency_s: float, refused_badly: bool) -> None:
        """Count an answer, and ask again where clients wait for their answers."""
        self.tally.latencies.setdefault(status, []).append(latency_s)
        self.tally.without_retry_after += refused_badly
        now = time.perf_counter()
        self.tally.in_time += status in (200, 201) and now < self._ends_at
        if status == NOT_FINISHED:
            return
        if self._keeps_asking and now < self._ends_at:
            connection.send(next(self._requests))
        else:
            self._idle.append(connection)

    def lost(self, connection: Connection) -> None:
        """The service closed it."""
        self._all.discard(connection)
        if connection in self._idle:
            self._idle.remove(connection)

    async def _open(self, connections: int) -> None:
        loop = asyncio.get_running_loop()
        if connections < 1:
            raise RuntimeError(f"{MAX_CONNECTIONS} requests are on their way; the service does not answer")
        for _ in range(connections):
            _, connection = await loop.create_connection(lambda: Connection(self), "127.0.0.1", self._port)
            self._all.add(connection)
            self._idle.append(connection)

    async def _finish(self) -> None:
        deadline = time.perf_counter() + PATIENCE_S
        while any(one.busy for one in self._all) and time.perf_counter() < deadline:
            await asyncio.sleep(TICK_S)
        for one in list(self._all):
            if one.busy:
                self.tally.latencies.setdefault(NOT_FINISHED, []).append(PATIENCE_S)
            one.busy = False
            one.close()


def request_of(picture: bytes, path: str = "/query?k=5", content_type: str = "image/jpeg") -> bytes:
    """A POST with a raw picture as its body."""
    head = (
        f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: {content_type}\r\nContent-Length: {len(picture)}\r\n"
    )
    return head.encode() + b"\r\n" + picture


def percentiles_ms(latencies: list[float]) -> dict[str, float]:
    """p50, p90, p99 and the longest, in milliseconds."""
    p50, p90, p99, longest = np.percentile(latencies or [0.0], (50, 90, 99, 100)) * 1000
    return {"p50_ms": round(p50, 2), "p90_ms": round(p90, 2), "p99_ms": round(p99, 2), "max_ms": round(longest, 2)}


def report(tally: Tally, seconds: float) -> dict[str, object]:
    """As printed."""
    used = os.times()
    return {
        "statuses": dict(Counter({str(status): len(found) for status, found in tally.latencies.items()})),
        "answered_per_s": round(tally.in_time / seconds, 1),
        "accepted": percentiles_ms(tally.latencies.get(200, []) + tally.latencies.get(201, [])),
        "refused": percentiles_ms(tally.latencies.get(503, [])),
        "sent_late": percentiles_ms(tally.lags),
        "without_retry_after": tally.without_retry_after,
        "generator_cpu_s": round(used.user + used.system, 2),
    }


def main() -> int:
    """Prints one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--pictures", type=Path, help="folder of JPEG files to ask for")
    source.add_argument("--requests", type=Path, help="folder of whole requests, one in each file")
    parser.add_argument("--seconds", type=float, required=True)
    parser.add_argument("--clients", type=int, default=32, help="connections; without --rate each waits for its answer")
    parser.add_argument("--rate", type=float, help="requests a second, whatever is answered")
    arguments = parser.parse_args()
    if arguments.pictures is not None:
        requests = [request_of(path.read_bytes()) for path in sorted(arguments.pictures.glob("*.jpg"))]
    else:
        requests = [path.read_bytes() for path in sorted(arguments.requests.iterdir())]
    load = Load(arguments.port, requests, arguments.seconds)
    asyncio.run(load.open(arguments.rate, arguments.clients) if arguments.rate else load.closed(arguments.clients))
    print(json.dumps(report(load.tally, arguments.seconds)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
