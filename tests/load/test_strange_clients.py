"""Clients that stop half way, dawdle, leave or talk nonsense: the others must not notice, and nothing stays behind."""

import re
import resource
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import httpx2 as httpx

from tests.crash.audit import audit
from tests.crash.crowd import JPEG, enrolment
from tests.crash.oracle import Oracle
from tests.pictures import jpeg
from tests.server import Server

Serve = Callable[..., Server]

QUERY = b"POST /query HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: image/jpeg\r\n"
NONSENSE = {
    "TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\x99" * 500,
    "a long path": b"GET /" + b"a" * 100_000 + b" HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n",
    "a negative length": QUERY + b"Content-Length: -5\r\n\r\n",
    "two lengths": QUERY + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nabcde",
    "broken chunks": QUERY + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n",
    "empty lines": b"\r\n" * 1000,
    "a whole request, then garbage": b"GET /livez HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
    + b"\x00\xff garbage\r\n\r\n" * 50,
    "many requests at once": b"GET /livez HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n" * 200,
    "a body longer than it says": QUERY + b"Content-Length: 5\r\n\r\n" + b"abcde" * 50,
}
IDLE = 200


def test_uploads_that_end_half_way_leave_no_memory_taken_and_nothing_enrolled(serve: Serve, tmp_path: Path) -> None:
    """Twenty times half of what all bodies together may take."""
    server = serve(REAPPEAR_MAX_BODY_BYTES="100000", REAPPEAR_MAX_BODIES_BYTES="120000")
    for route in ("/gallery?identity=half", "/query"):
        for _ in range(10):
            with _connected(server) as connection:
                connection.sendall(_head(route, length=90_000) + jpeg(1).ljust(60_000, b"\0"))
                connection.shutdown(socket.SHUT_WR)
                _read_to_end(connection)
    with httpx.Client(base_url=server.url) as client:
        assert client.post("/gallery?identity=whole", content=jpeg(2), headers=JPEG).status_code == 201
        assert [one["id"] for one in client.get("/gallery").json()["identities"]] == ["whole"]
        assert _counted(client, "reappear_request_seconds_count", status="500") == 0
    assert "a request failed" not in server.log.read_text(), "a client that leaves is no failure of ours"
    assert len(audit(f"sqlite:///{tmp_path / 'reappear.db'}", server.data_dir)) == 1


def test_a_client_that_sends_byte_by_byte_holds_nobody_up_and_is_served_in_the_end(serve: Serve) -> None:
    server, picture = serve(), jpeg(3)
    with _connected(server) as connection, httpx.Client(base_url=server.url) as client:
        connection.sendall(_head("/gallery?identity=slow", length=len(picture)))
        for byte in range(20):
            connection.sendall(picture[byte : byte + 1])
            assert client.post("/query", content=jpeg(4), headers=JPEG).status_code == 200
        assert client.get("/gallery").json()["identities"] == []
        connection.sendall(picture[20:])
        assert connection.recv(65_536).startswith(b"HTTP/1.1 201")
        assert [one["id"] for one in client.get("/gallery").json()["identities"]] == ["slow"]


def test_an_upload_that_dribbles_is_cut_off_by_its_deadline_and_enrols_nothing(serve: Serve) -> None:
    server, picture = serve(REAPPEAR_BODY_TIMEOUT_S="1"), jpeg(3)
    for route in ("/gallery?identity=slow", "/query"):
        with _connected(server) as connection, httpx.Client(base_url=server.url) as client:
            connection.sendall(_head(route, length=len(picture)))
            begun = time.monotonic()
            answer = b""
            connection.settimeout(0.05)
            for byte in range(len(picture)):
                try:
                    connection.sendall(picture[byte : byte + 1])
                    answer += connection.recv(65_536)
                    break
                except TimeoutError:
                    continue
            assert 0.9 < time.monotonic() - begun < 5
            answer += _read_to_end(connection)
            assert answer.startswith(b"HTTP/1.1 408"), answer
            assert b'"SLOW_BODY"' in answer
            assert client.get("/gallery").json()["identities"] == []
            assert client.post("/query", content=picture, headers=JPEG).status_code == 200


def test_a_client_that_closes_one_side_is_answered_or_dropped_and_its_enrolment_is_whole(
    serve: Serve, tmp_path: Path
) -> None:
    """Its sending side, and then it reads; or its reading side, and then it sends more."""
    server, rounds = serve(), 8
    for number in range(rounds):
        for side in (socket.SHUT_WR, socket.SHUT_RD):
            with _connected(server) as connection:
                picture = jpeg(2 * number + side)
                connection.sendall(_head(f"/gallery?identity=p-{number}-{side}", length=len(picture)) + picture)
                connection.shutdown(side)
                answer = _read_to_end(connection)
                assert answer == b"" or answer.startswith((b"HTTP/1.1 201", b"HTTP/1.1 499")), answer
                if side == socket.SHUT_RD:
                    connection.sendall(_head("/query", length=len(picture)) + picture)
    with httpx.Client(base_url=server.url) as client:
        assert _settles(lambda: _counted(client, "reappear_request_seconds_count", route="/gallery") >= 2 * rounds)
        assert client.post("/query", content=jpeg(1), headers=JPEG).status_code == 200
        assert _counted(client, "reappear_request_seconds_count", status="500") == 0
    assert "a request failed" not in server.log.read_text()
    audit(f"sqlite:///{tmp_path / 'reappear.db'}", server.data_dir)


def test_many_idle_connections_take_nothing_from_those_who_ask(serve: Serve) -> None:
    """Some have said nothing, some are in the middle of a head, some have had an answer and wait."""
    server = serve()
    with ExitStack() as stack, httpx.Client(base_url=server.url, timeout=5) as client:
        for number in range(IDLE):
            connection = stack.enter_context(_connected(server))
            if number % 3 == 1:
                connection.sendall(QUERY[:40])
            elif number % 3 == 2:
                connection.sendall(b"GET /livez HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
                assert connection.recv(65_536).startswith(b"HTTP/1.1 200")
        assert client.post("/gallery?identity=p-1", content=jpeg(1), headers=JPEG).status_code == 201
        for _ in range(20):
            assert client.post("/query", content=jpeg(1), headers=JPEG).json()["candidates"][0]["identity"] == "p-1"
        begun = time.monotonic()
        assert server.stop() == 0, "idle connections must not hold up a stop"
        assert time.monotonic() - begun < 10


def test_a_query_whose_client_left_is_dropped_before_it_costs_anything(serve: Serve) -> None:
    """One picture a batch, so that a queue builds up. Those who stay get their answers, and the right ones."""
    server, leaving, staying = serve(REAPPEAR_MAX_BATCH="1"), 60, 5
    with httpx.Client(base_url=server.url) as client:
        for number in range(staying):
            client.post(f"/gallery?identity=p-{number}", content=jpeg(number), headers=JPEG)
        before = _counted(client, "reappear_batch_size_sum", batcher="embed")
        gone = [_connected(server) for _ in range(leaving)]
        connections = [one.__enter__() for one in gone]
        answers: dict[int, str] = {}

        def ask(number: int) -> None:
            answer = httpx.post(f"{server.url}/query?k=1", content=jpeg(number), headers=JPEG)
            answers[number] = answer.json()["candidates"][0]["identity"]

        patient = [threading.Thread(target=ask, args=(number,)) for number in range(staying)]
        query = _head("/query", length=len(jpeg(9))) + jpeg(9)
        for connection in connections:
            connection.sendall(query)
        for thread in patient:
            thread.start()
        for connection in connections:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            connection.close()
        for thread in patient:
            thread.join()
        assert answers == {number: f"p-{number}" for number in range(staying)}
        assert _settles(lambda: _counted(client, "reappear_request_seconds_count", route="/query") == leaving + staying)
        embedded = _counted(client, "reappear_batch_size_sum", batcher="embed") - before
        assert _counted(client, "reappear_request_seconds_count", route="/query", status="499") > 5
        assert staying <= embedded < staying + leaving - 5
        assert _counted(client, "reappear_request_seconds_count", status="500") == 0


def test_an_enrolment_whose_client_left_is_done_whole_or_not_at_all(serve: Serve, tmp_path: Path) -> None:
    server, oracle = serve(), Oracle()
    with httpx.Client(base_url=server.url) as client:
        for number in range(24):
            pictures = [jpeg(10 * number + one) for one in range(3)]
            identity = f"p-{number}"
            token = oracle.enrolling(identity, pictures)
            request = client.build_request("POST", "/gallery", **enrolment(token, identity, pictures))
            body = request.read()
            head = f"POST {request.url.raw_path.decode()} HTTP/1.1\r\n" + "".join(
                f"{name}: {value}\r\n" for name, value in request.headers.items()
            )
            with _connected(server) as connection:
                connection.sendall(head.encode() + b"\r\n" + body)
                time.sleep(number * 0.001)
        assert _settles(lambda: _counted(client, "reappear_request_seconds_count", route="/gallery") == 24)
    rows = audit(f"sqlite:///{tmp_path / 'reappear.db'}", server.data_dir)
    assert oracle.problems(rows) == []
    assert rows, "not one was finished"


def test_head_is_answered_like_get_without_the_body_and_the_connection_goes_on(serve: Serve) -> None:
    server = serve()
    with httpx.Client(base_url=server.url) as client:
        enrolled = client.post("/gallery?identity=one", content=jpeg(2), headers=JPEG).json()
        picture = f"/crops/{enrolled['accepted'][0]['crop']}/picture"
        for path in ("/livez", "/readyz", "/version", "/gallery/one", picture, "/gallery/nobody"):
            asked, got = client.head(path), client.get(path)
            assert (asked.status_code, asked.content) == (got.status_code, b""), path
            assert asked.headers["content-length"] == str(len(got.content)), path
        assert client.head("/query").status_code == 405


def test_nonsense_is_answered_or_cut_off_and_the_next_client_is_served(serve: Serve) -> None:
    server = serve()
    for name, nonsense in NONSENSE.items():
        for _ in range(5):
            with _connected(server) as connection:
                connection.sendall(nonsense)
                with suppress(OSError):  # it may have been cut off by now
                    connection.shutdown(socket.SHUT_WR)
                answer = _read_to_end(connection)
                assert b"HTTP/1.1 5" not in answer, f"{name}: {answer[:300]!r}"
        assert httpx.post(f"{server.url}/query", content=jpeg(1), headers=JPEG).status_code == 200, name


def test_an_early_refusal_reaches_who_sends_much_and_closes_after_it(serve: Serve) -> None:
    """As a proxy that speaks HTTP/1.0 does: a connection closed with something unread would be reset."""
    server, body = serve(), b"\xff" * 10_000_000
    for version, route, media_type, status in (
        ("1.1", "/nope", "image/jpeg", 404), ("1.1", "/query", "text/plain", 415),
        ("1.0", "/query?foo=1", "image/jpeg", 422), ("1.0", "/nope", "image/jpeg", 404),
    ):  # fmt: skip
        head = f"POST {route} HTTP/{version}\r\nHost: 127.0.0.1\r\nConnection: close\r\nContent-Type: {media_type}\r\n"
        with _connected(server) as connection:
            connection.sendall(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
            answer = _read_to_end(connection)
        assert answer.startswith(f"HTTP/1.1 {status} ".encode()), (version, route, answer[:200])
        assert b'"error"' in answer


def test_too_many_connections_are_told_of_now_and_then_and_the_rest_is_served(serve: Serve) -> None:
    server = serve()
    with httpx.Client(base_url=server.url) as client, ExitStack() as stack:
        client.get("/livez")
        files = len(list(Path(f"/proc/{server.pid}/fd").iterdir()))
        resource.prlimit(server.pid, resource.RLIMIT_NOFILE, (files + 20, files + 20))
        for _ in range(60):
            stack.enter_context(_connected(server))
        time.sleep(3)
        assert client.get("/livez").status_code == 200
    lines = server.log.read_text().splitlines()
    assert sum("no new connections can be taken" in line for line in lines) == 1
    assert sum("Traceback" in line for line in lines) == 0
    assert _settles(lambda: httpx.get(f"{server.url}/livez").status_code == 200)


@contextmanager
def _connected(server: Server) -> Iterator[socket.socket]:
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as connection:
        yield connection


def _head(route: str, *, length: int) -> bytes:
    return (
        f"POST {route} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: image/jpeg\r\nContent-Length: {length}\r\n\r\n"
    ).encode()


def _read_to_end(connection: socket.socket) -> bytes:
    received = b""
    try:
        while part := connection.recv(65_536):
            received += part
    except ConnectionResetError:
        pass
    return received


def _counted(client: httpx.Client, name: str, **labels: str) -> float:
    """The sum of a metric over all series with these labels."""
    total = 0.0
    for line in client.get("/metrics").text.splitlines():
        if line.startswith(f"{name}{{") and all(f'{key}="{value}"' in line for key, value in labels.items()):
            total += float(re.split(r"\}\s+", line)[1])
    return total


def _settles(reached: Callable[[], bool]) -> bool:
    """Whether something comes true within five seconds."""
    deadline = time.monotonic() + 5
    while not reached():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True
