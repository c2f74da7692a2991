"""Requests made beforehand, and both load generators against a real port."""

import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from benchmarks import generator
from benchmarks.generator import in_turn, run_clients, summarise
from benchmarks.pictures import form_request, json_request, query_requests, raw_request, write_requests


class Handler(BaseHTTPRequestHandler):
    """Answers 200 to /good and 503 to all else, and keeps what was sent."""

    protocol_version = "HTTP/1.1"
    seen: set[tuple[str, str, bytes]] = set()  # noqa: RUF012

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.seen.add((self.path, self.headers["Content-Type"], body))
        self.send_response(200 if self.path == "/good" else 503)
        self.send_header("Retry-After", "1")
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"{}")

    def log_message(self, format: str, *arguments: object) -> None:
        pass


@pytest.fixture
def port() -> Iterator[int]:
    Handler.seen.clear()
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server, ThreadPoolExecutor(1) as pool:
        pool.submit(server.serve_forever, 0.05)
        yield server.server_port
        server.shutdown()


@pytest.fixture(params=["wrk", "benchmarks.load"])
def _either(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if request.param == "wrk" and shutil.which("wrk") is None:
        pytest.skip("wrk is not installed")
    if request.param != "wrk":
        monkeypatch.setattr(generator.shutil, "which", lambda name: None)


@pytest.mark.usefixtures("_either")
def test_requests_are_sent_as_they_were_made(port: int, tmp_path: Path) -> None:
    pictures = [b"first", b"second\r\n\x00"]
    run = run_clients(
        port, write_requests(tmp_path, [raw_request("/good", one) for one in pictures]), clients=2, seconds=1
    )
    assert Handler.seen == {("/good", "image/jpeg", one) for one in pictures}
    assert run.answered_per_s > 0
    assert run.refused == 0
    assert run.broken == 0
    assert 0 < run.p50_ms <= run.p90_ms <= run.p99_ms


@pytest.mark.usefixtures("_either")
def test_refusals_are_not_answers(port: int, tmp_path: Path) -> None:
    run = run_clients(port, write_requests(tmp_path, [json_request("/bad", b"{}")]), clients=2, seconds=1)
    assert run.refused > 0
    assert run.answered_per_s == 0


def test_forms_carry_every_picture() -> None:
    form = form_request("/gallery", "images", [b"one", b"two"])
    head, _, body = form.partition(b"\r\n\r\n")
    assert f"Content-Length: {len(body)}".encode() in head
    assert body.count(b'name="images"') == 2
    assert query_requests([b"one"], "raw")[0].endswith(b"\r\n\r\none")


def test_runs_without_answers_have_no_latency() -> None:
    silent, answered = generator.Run(0, 0, 0, 0, 0, 0, 0, 0.1), generator.Run(2, 0, 0, 5, 6, 7, 8, 0.1)
    assert summarise([silent, silent])["p50_ms"] is None
    assert summarise([silent, answered])["p50_ms"] == {"median": 5, "min": 5, "max": 5, "runs": 1}
    assert summarise([silent, answered])["answered_per_s"]["median"] == 1


def test_ways_take_turns() -> None:
    order: list[str] = []

    def way(name: str) -> generator.Run:
        order.append(name)
        return generator.Run(len(order), 1, 0, 1.0, 2.0, 3.0, 4.0, 0.1)

    found = in_turn({"one": lambda: way("one"), "other": lambda: way("other")}, 2)
    assert order == ["one", "other", "one", "other"]
    assert found["one"]["answered_per_s"] == {"median": 2.0, "min": 1, "max": 3, "runs": 2}
    assert found["other"]["refused"] == 2
