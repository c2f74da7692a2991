"""A connection as the server has it, with what it leaves open: how large the head of a request may be and how long it
may take, and answers in the service's own words where the parser makes no request of what was sent."""

import asyncio
from typing import Any

from httptools import HttpParserError, HttpParserUpgrade, HttpRequestParser
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from service.api.errors import answer
from service.api.exchange import RAW_HEADERS

MAX_HEAD_BYTES = 65_536
MAX_URL_BYTES = 65_535  # what the parser takes
HEAD_TIMEOUT_S = 30.0


OF_UPGRADES = (b"upgrade", b"http2-settings")


class Parser:
    """The server's parser, but that a request which would rather go on by another protocol goes on by this one, as a
    server may let it (RFC 9110, 7.8): left to itself the parser takes its body for the next request."""

    def __init__(self, connection: "Connection") -> None:
        self._connection = connection
        self._parser = HttpRequestParser(connection)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._parser, name)

    @property
    def stops_here(self) -> bool:
        """Whether it is about to stop behind this head."""
        return bool(self._parser.should_upgrade())

    def should_upgrade(self) -> bool:
        """Never."""
        return False

    def feed_data(self, data: bytes) -> None:
        """Parse it. Raises HttpParserError."""
        try:
            self._parser.feed_data(data)
        except HttpParserUpgrade as upgrade:
            (rest,) = upgrade.args
            head = self._connection.head_without_upgrade()
            self._parser = HttpRequestParser(self._connection)
            self.feed_data(head + data[rest:])


class Connection(HttpToolsProtocol):
    """Bounds what comes before a body, after it, and between its chunks: the parser would collect it without end, at a
    cost that grows with its square."""

    def __init__(self, *arguments: Any, **more: Any) -> None:
        super().__init__(*arguments, **more)
        self.url = b""
        self._heads = Parser(self)
        self.parser = self._heads  # type: ignore[assignment]  # has all that is asked of one
        self._unread = 0  # bytes since the parser last made something of them
        self._in_head = True
        self._giving_up: asyncio.TimerHandle | None = None

    def connection_made(self, transport: Any) -> None:
        """Wait for a head, from now on."""
        super().connection_made(transport)
        self._giving_up = self.loop.call_later(HEAD_TIMEOUT_S, self._give_up)

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait for nothing."""
        self._stop_waiting()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Parse it, unless that leads nowhere."""
        self._unread += len(data)
        super().data_received(data)
        if self.transport.is_closing():
            return
        if self._unread > MAX_HEAD_BYTES:
            detail = f"headers have at most {MAX_HEAD_BYTES:,} bytes here; send fewer, or a shorter address"
            self._refuse(431, "HEADERS_TOO_LARGE", detail)
        elif self._in_head and self._giving_up is None:
            self._giving_up = self.loop.call_later(HEAD_TIMEOUT_S, self._give_up)

    def on_message_begin(self) -> None:
        """The first byte of a head."""
        super().on_message_begin()
        self._in_head = True

    def on_header(self, name: bytes, value: bytes) -> None:
        """A field of a head; those that follow a body are not read."""
        if self._in_head:
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """A head, whole."""
        if self._heads.stops_here:
            return
        self._in_head, self._unread = False, 0
        self._stop_waiting()
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """Some of a body."""
        self._unread = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        """A request, whole."""
        if self._heads.stops_here:
            return
        self._unread = 0
        super().on_message_complete()

    def head_without_upgrade(self) -> bytes:
        """The head that was read last, without its wish for another protocol. Raises HttpParserError for CONNECT."""
        method = self.parser.get_method()
        if method == b"CONNECT":
            raise HttpParserError("CONNECT is for proxies.")
        lines = [b"%b %b HTTP/%b" % (method, self.url, self.parser.get_http_version().encode())]
        for name, value in self.headers:
            if name == b"connection":
                kept = [one.strip() for one in value.split(b",") if one.strip().lower() not in OF_UPGRADES]
                value = b", ".join(kept)
            if name not in OF_UPGRADES:
                lines.append(name + b": " + value)
        return b"\r\n".join([*lines, b"", b""])

    def send_400_response(self, msg: str) -> None:
        """Where the parser gives up."""
        if len(self.url) > MAX_URL_BYTES:
            detail = f"an address has at most {MAX_URL_BYTES:,} bytes; send less in its parameters"
            self._refuse(414, "ADDRESS_TOO_LONG", detail)
        else:
            self._refuse(400, "BAD_REQUEST", f"{msg} Send HTTP/1.1, and a body as long as its headers say")

    def _give_up(self) -> None:
        self._giving_up = None
        if self._unread:
            detail = f"the headers did not arrive in {HEAD_TIMEOUT_S:g} seconds; send the request again"
            self._refuse(408, "SLOW_HEADERS", detail)
        else:
            self.transport.close()

    def _stop_waiting(self) -> None:
        if self._giving_up is not None:
            self._giving_up.cancel()
            self._giving_up = None

    def _refuse(self, status: int, code: str, detail: str) -> None:
        self._stop_waiting()
        response = answer(status, code, detail, {"Connection": "close"})
        headers = b"".join(b"%b: %b\r\n" % one for one in (*response.raw_headers, *RAW_HEADERS.items()))
        self.transport.write(STATUS_LINE[status] + headers + b"\r\n" + bytes(response.body))
        self.transport.close()
