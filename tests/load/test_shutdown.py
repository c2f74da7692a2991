import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx2 as httpx
import pytest

from tests.crash.audit import audit
from tests.crash.crowd import Crowd
from tests.crash.oracle import Oracle
from tests.server import Server

SEED = 20260523
CLIENTS = 16
LOAD_S = 1.5
GRACE_S = 20  # the default of REAPPEAR_STOP_TIMEOUT_S


def test_a_stop_under_load_ends_well_and_keeps_what_was_acknowledged(
    server: Server, database_url: str, record_property: Callable[[str, object], None]
) -> None:
    oracle = Oracle()
    crowd = Crowd(server.url, oracle, clients=CLIENTS, seed=SEED)
    crowd.start()
    time.sleep(LOAD_S)
    begun = time.perf_counter()
    assert server.stop() == 0
    stopped_s = time.perf_counter() - begun
    crowd.join()
    print(f"seed {SEED}: stopped in {stopped_s:.2f} s, {oracle.count()}, {crowd.statuses}")
    assert crowd.failures == []
    assert stopped_s < GRACE_S
    assert oracle.count()["enrolments done"] > CLIENTS // 2
    begun = time.perf_counter()
    server.start()
    ready_s = time.perf_counter() - begun
    record_property("ready_after_restart_s", round(ready_s, 2))
    print(f"ready again after {ready_s:.2f} s")
    rows = audit(database_url, server.data_dir)
    assert oracle.problems(rows) == []


def test_a_stop_does_not_wait_for_an_upload_that_never_ends(tmp_path: Path, sqlite_template: Path) -> None:
    path = tmp_path / "reappear.db"
    path.write_bytes(sqlite_template.read_bytes())
    server = Server(tmp_path / "data", f"sqlite:///{path}", REAPPEAR_STOP_TIMEOUT_S="1")
    server.start()
    with socket.create_connection(("127.0.0.1", server.port)) as upload:
        upload.sendall(
            b"POST /gallery HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: image/jpeg\r\nContent-Length: 9999\r\n\r\n\xff"
        )
        time.sleep(0.2)
        begun = time.perf_counter()
        assert server.stop() == 0
        assert time.perf_counter() - begun < 5
    assert audit(f"sqlite:///{path}", server.data_dir) == []


@pytest.mark.parametrize("connection", ["keep-alive", "close"])
def test_who_is_cut_off_by_a_stop_is_told_so(connection: str, serve: Callable[..., Server]) -> None:
    server = serve(REAPPEAR_STOP_TIMEOUT_S="1")
    told = {"/query": b"STOPPING", "/gallery?identity=one": b"OUTCOME_UNKNOWN"}
    with ExitStack() as stack:
        uploads = {}
        for route in told:
            uploads[route] = stack.enter_context(socket.create_connection(("127.0.0.1", server.port), timeout=10))
            head = f"POST {route} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: {connection}\r\nContent-Type: image/jpeg"
            uploads[route].sendall(f"{head}\r\nContent-Length: 9999\r\n\r\n".encode() + b"\xff")
        time.sleep(0.2)
        assert server.stop() == 0
        for route, code in told.items():
            answer = uploads[route].recv(65_536)
            assert answer.startswith(b"HTTP/1.1 503 ")
            assert code in answer
            assert b"x-request-id" in answer
    assert "Traceback" not in server.log.read_text()


def test_a_terminal_that_is_closed_is_a_stop(serve: Callable[..., Server]) -> None:
    server = serve()
    assert server.stop(signal.SIGHUP) == 0
    assert "Finished server process" in server.log.read_text()


def test_under_nohup_it_outlives_its_terminal(serve: Callable[..., Server]) -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)  # inherited by what is started
    try:
        server = serve()
    finally:
        signal.signal(signal.SIGHUP, before)
    os.kill(server.pid, signal.SIGHUP)
    time.sleep(1)  # a stop would be over by then
    assert httpx.get(f"{server.url}/livez").status_code == 200
    assert server.stop() == 0


def test_standard_output_that_nobody_can_write_to_keeps_no_service_from_starting(
    serve: Callable[..., Server], monkeypatch: pytest.MonkeyPatch
) -> None:
    popen = subprocess.Popen

    def full(*arguments: Any, **options: Any) -> Any:
        return popen(*arguments, **{**options, "stdout": stdout})

    with Path("/dev/full").open("wb") as stdout:
        monkeypatch.setattr(subprocess, "Popen", full)
        server = serve()
    assert httpx.get(f"{server.url}/livez").status_code == 200
    assert server.stop() == 0
