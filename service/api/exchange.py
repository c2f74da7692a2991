"""One request's body as it comes, counted and bounded, and its answer, with the headers every answer has."""

import asyncio
from collections.abc import Iterable
from contextlib import suppress

from starlette.datastructures import Headers
from starlette.types import Message, Receive, Send

from service.errors import BodyTooLarge, Overloaded, ReappearError, SlowBody
from service.flows.admission import Admission, Lane
from service.telemetry import request_id

CLOSED = "the handler is closed"  # what uvloop says of a connection before the server has heard that it is lost
SECURITY_HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}
PAGE_POLICY = (  # of /docs, whose parts all come from here
    "default-src 'self'; script-src 'self' 'unsafe-inline'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
    "frame-ancestors 'none'"
)
RAW_HEADERS = {name.lower().encode(): value.encode() for name, value in SECURITY_HEADERS.items()}
PAGE_HEADERS = {**RAW_HEADERS, b"content-security-policy": PAGE_POLICY.encode()}
DRAIN_FACTOR = 4  # a body over its limit is read and dropped up to so many limits: its sender shall hear the answer


class Bodies:
    """How large bodies may be, each and all that are in memory together, and in what time one must be there."""

    def __init__(self, most: int, most_together: int, timeout_s: float) -> None:
        self.most = most
        self.timeout_s = timeout_s
        self._most_together = most_together
        self._together = 0

    def take(self, size: int, whole: int) -> None:
        """Count what came of a body, which with it has `whole` bytes. Raises BodyTooLarge or Overloaded."""
        self._together += size
        if whole > self.most:
            raise self.too_large()
        if self._together > self._most_together and self._together > whole:
            raise Overloaded("too many request bodies are on their way; send the request again later")

    def give_back(self, size: int) -> None:
        """A body is not in memory any more."""
        self._together -= size

    def too_large(self) -> BodyTooLarge:
        """The error for a body over its limit."""
        return BodyTooLarge(f"the body is over {self.most:,} bytes; send fewer or smaller pictures a request")


class Exchange:
    """One request's body, counted, and its answer, with the headers every answer has."""

    def __init__(
        self, bodies: Bodies, receive: Receive, send: Send, lane: Lane | None, admission: Admission | None, *,
        closes: bool,
    ) -> None:  # fmt: skip
        """`closes` tells whether the connection ends with the answer."""
        self._bodies = bodies
        self._lane = lane
        self._admission = admission
        self._closes = closes
        self._came = False
        self._receive = receive
        self._send = send
        self._deadline = asyncio.get_running_loop().time() + bodies.timeout_s
        self._whole = False
        self._taken = self._dropped = 0
        self.status = 0
        self.headers: dict[str, str] = {}  # of the answer, beside those that every answer has

    def leave(self) -> bool:
        """The request is answered. Returns whether it had a place among those that are admitted."""
        self._bodies.give_back(self._taken)
        if self._came and self._lane is not None and self._admission is not None:
            self._admission.go(self._lane)
        return self._came

    def _come(self) -> None:
        """Not before the body is whole: who sends slowly must not take a place from those who wait."""
        if self._lane is not None and self._admission is not None and not self._came:
            self._admission.come(self._lane)
            self._came = True

    async def check_length(self, headers: Headers) -> None:
        """Refuse a body that says itself that it is too large, before any of it is kept."""
        length = headers.get("content-length", "0")
        if not (length.isascii() and length.isdigit()) or int(length) <= self._bodies.most:
            return
        if headers.get("expect", "").lower() == "100-continue":  # who asks first has not sent it
            self.headers["Connection"] = "close"
        else:
            await self._drain()
        raise self._bodies.too_large()

    async def receive(self) -> Message:
        """As a server gives it. Raises BodyTooLarge, Overloaded, SlowBody."""
        message = await self._next()
        if message["type"] == "http.request":
            try:
                size = len(message.get("body", b""))
                self._taken += size
                self._bodies.take(size, self._taken)
            except BodyTooLarge:
                if message.get("more_body"):  # after the last of it nothing comes any more
                    await self._drain()
                raise
            if not message.get("more_body"):
                self._come()
        return message

    async def send(self, message: Message) -> None:
        """As a server takes it."""
        if message["type"] == "http.response.start":
            await self.hear_out()
            self.status = message["status"]
            message["headers"] = self._with_ours(message.get("headers", ()))
        try:
            await self._send(message)
        except RuntimeError as error:
            if CLOSED not in str(error):
                raise  # else the client has left, and the server, as soon as it knows too, drops messages as well

    def _with_ours(self, headers: Iterable[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
        """Headers of an answer, and those of ours that are not among them."""
        given = list(headers)
        names = {name for name, _ in given}
        is_page = any(name == b"content-type" and value.startswith(b"text/html") for name, value in given)
        ours = {**(PAGE_HEADERS if is_page else RAW_HEADERS), b"x-request-id": (request_id.get() or "").encode()}
        ours.update((name.lower().encode(), value.encode()) for name, value in self.headers.items())
        return given + [one for one in ours.items() if one[0] not in names]

    async def _next(self) -> Message:
        """The next message; until the body is whole, no later than its deadline. Raises SlowBody."""
        if self._whole:
            return await self._receive()
        try:
            async with asyncio.timeout_at(self._deadline):
                message = await self._receive()
        except TimeoutError as error:
            raise SlowBody(
                f"the body did not arrive in {self._bodies.timeout_s:g} seconds; send less at once, "
                "or over a faster connection"
            ) from error
        self._whole = not message.get("more_body", False)
        return message

    def ends_now(self) -> None:
        """Nobody waits for the rest of the body any more."""
        self._closes = False

    async def hear_out(self) -> None:
        """Where the connection ends with the answer, drop what is still to come of the body first: a connection that is
        closed with something unread is reset, and takes the answer with it."""
        if self._closes and not self._whole:
            with suppress(ReappearError):
                await self._drain()

    async def _drain(self) -> None:
        while self._dropped < DRAIN_FACTOR * self._bodies.most:
            message = await self._next()
            self._dropped += len(message.get("body", b""))
            if message["type"] != "http.request" or not message.get("more_body"):
                return
