"""What comes before the service sees a request: heads without end or haste, and what is no request at all."""

import asyncio
import json
import socket
from typing import Any

import pytest
import uvicorn
from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.server import ServerState

from service.api import connection
from service.api.connection import MAX_HEAD_BYTES, Connection
from tests.api.holdings import PATIENCE_S
from tests.server import Server

CHUNK = b"y" * 16_384
CHUNKS = 64  # a megabyte


async def tell_length(scope: Scope, receive: Receive, send: Send) -> None:
    """An application that answers how long the body was."""
    length, more = 0, True
    while more:
        message = await receive()
        length, more = length + len(message.get("body", b"")), message.get("more_body", False)
    await send(
        {"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % len(str(length)))]}
    )
    await send({"type": "http.response.body", "body": str(length).encode()})


async def exchange(*parts: bytes, app: ASGIApp = tell_length) -> bytes:
    """Send parts one after the other, each with time to be read, until something is answered; then read to the end."""
    config = uvicorn.Config(app, http=Connection, lifespan="off", log_config=None)
    config.load()
    loop = asyncio.get_running_loop()
    listening = await loop.create_server(
        lambda: Connection(config=config, server_state=ServerState(), app_state={}), "127.0.0.1", 0
    )
    async with listening, asyncio.timeout(PATIENCE_S):
        reader, writer = await asyncio.open_connection(*listening.sockets[0].getsockname()[:2])
        answered = asyncio.ensure_future(reader.read(-1))
        try:
            for part in parts:
                writer.write(part)
                await writer.drain()
                await asyncio.sleep(0.001)
        except ConnectionError:
            pass  # it was answered, and closed
        try:
            return await answered
        finally:
            writer.close()


def ask(*parts: bytes) -> tuple[int, dict[str, str], Any]:
    """The status, headers and JSON of the answer."""
    head, _, body = asyncio.run(exchange(*parts)).partition(b"\r\n\r\n")
    status, *lines = head.decode().split("\r\n")
    headers = dict(line.lower().split(": ", 1) for line in lines)
    return int(status.split()[1]), headers, json.loads(body)


GET = b"GET / HTTP/1.1\r\nHost: x\r\n"
POST = b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"


@pytest.mark.parametrize(
    "begun",
    [GET + b"X: ", GET + b"X", b"GET /", POST + b"1;", POST + b"1\r\na\r\n0\r\nX: "],
    ids=["value", "name", "address", "extension of a chunk", "trailer"],
)
def test_what_never_ends_is_refused_before_it_takes_memory(begun: bytes) -> None:
    status, headers, said = ask(begun, *[CHUNK] * CHUNKS)
    assert (status, said["error"]) == (431, "HEADERS_TOO_LARGE")
    assert "65,536 bytes" in said["detail"]
    assert headers["connection"] == "close"
    assert headers["x-content-type-options"] == "nosniff"


def test_an_address_that_the_parser_does_not_take_is_refused_with_its_limit() -> None:
    status, _, said = ask(b"GET /" + b"x" * 65_535 + b" HTTP/1.1\r\nHost: x\r\n\r\n")
    assert (status, said["error"]) == (414, "ADDRESS_TOO_LONG")


@pytest.mark.parametrize(
    "sent",
    [
        b"hello\r\n\r\n",
        GET + b"Content-Length: x\r\n\r\n",
        POST + b"zz\r\n",
        b"CONNECT x:1 HTTP/1.1\r\nHost: x\r\n\r\n",
        b"CONNECT / HTTP/1.1\r\nHost: x\r\n\r\n",
    ],
    ids=["no HTTP", "length", "chunk", "CONNECT", "CONNECT to a path"],
)
def test_what_is_no_request_is_refused_in_json(sent: bytes) -> None:
    status, headers, said = ask(sent)
    assert (status, said["error"]) == (400, "BAD_REQUEST")
    assert headers["content-type"] == "application/json"
    assert set(said) == {"error", "detail"}


def test_large_bodies_and_heads_up_to_the_limit_pass() -> None:
    body = b"b" * 1_000_000
    close = b"Connection: close\r\n"
    length = b"Content-Length: 1000000\r\n"
    head = b"POST / HTTP/1.1\r\n" + close + length + b"X: " + b"y" * (MAX_HEAD_BYTES - 1000) + b"\r\n\r\n"
    assert ask(head + body)[2] == 1_000_000
    assert ask(head, *[CHUNK] * 61, b"b" * (1_000_000 - 61 * len(CHUNK)))[2] == 1_000_000
    chunks = b"".join(b"1\r\nb\r\n" for _ in range(MAX_HEAD_BYTES))
    assert (
        ask(b"POST / HTTP/1.1\r\n" + close + b"Transfer-Encoding: chunked\r\n\r\n", chunks, b"0\r\n\r\n")[2] == 65_536
    )


BODY = b"DELETE /gallery/p-1 HTTP/1.1\r\nHost: x\r\n\r\n"


@pytest.mark.parametrize("wish", [b"h2c\r\nHTTP2-Settings: AAMAAABkAAQ", b"websocket"], ids=["h2c", "websocket"])
@pytest.mark.parametrize("apart", [False, True], ids=["at once", "in two parts"])
@pytest.mark.parametrize("chunked", [False, True], ids=["length", "chunks"])
def test_who_would_rather_go_on_by_another_protocol_is_answered_by_this_one(
    wish: bytes, apart: bool, chunked: bool
) -> None:
    """With the body, which must not be taken for a request."""
    framing = b"Transfer-Encoding: chunked" if chunked else b"Content-Length: %d" % len(BODY)
    body = b"%x\r\n%b\r\n0\r\n\r\n" % (len(BODY), BODY) if chunked else BODY
    connection = b"Connection: Upgrade, HTTP2-Settings, keep-alive\r\nUpgrade: " + wish
    head = b"\r\n".join((b"POST / HTTP/1.1", b"Host: x", connection, framing, b"", b""))
    last = GET + b"Connection: close\r\n\r\n"
    answers = asyncio.run(exchange(*((head, body, last) if apart else (head + body + last,))))
    assert [int(one.partition(b"HTTP/")[0]) for one in answers.split(b"\r\n\r\n")[1:]] == [len(BODY), 0]


def test_fields_that_follow_a_body_are_not_taken_for_the_heads() -> None:
    seen: list[bytes] = []

    async def tell_names(scope: Scope, receive: Receive, send: Send) -> None:
        await tell_length(scope, receive, send)
        seen.extend(name for name, _ in scope["headers"])

    sent = POST.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n") + b"1\r\na\r\n0\r\nX-API-Key: k\r\n\r\n"
    asyncio.run(exchange(sent, app=tell_names))
    assert seen == [b"host", b"transfer-encoding", b"connection"]


def test_requests_sent_at_once_are_all_answered() -> None:
    head = b"POST / HTTP/1.1\r\nContent-Length: 100000\r\n"
    one, last = head + b"\r\n" + b"b" * 100_000, head + b"Connection: close\r\n\r\n" + b"b" * 100_000
    assert asyncio.run(exchange(one * 3 + last)).count(b"\r\n\r\n100000") == 4


def test_headers_that_do_not_come_in_time_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "HEAD_TIMEOUT_S", 0.2)
    status, _, said = ask(GET)
    assert (status, said["error"]) == (408, "SLOW_HEADERS")
    first = GET + b"Content-Length: 0\r\n\r\n"
    answers = asyncio.run(exchange(first, GET, b"X: y\r\n"))
    assert answers.count(b"HTTP/1.1 200 ") == 1
    assert answers.count(b"HTTP/1.1 408 ") == 1, "later requests of a connection too"
    assert asyncio.run(exchange()) == b"", "who says nothing is left"


def test_the_service_answers_so(server: Server) -> None:
    with socket.create_connection(("127.0.0.1", server.port), timeout=PATIENCE_S) as asking:
        asking.sendall(b"hello\r\n\r\n")
        answer = asking.recv(65_536)
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert json.loads(answer.partition(b"\r\n\r\n")[2])["error"] == "BAD_REQUEST"
