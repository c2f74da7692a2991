"""What every request passes first: its id, who may send it, how large its body may be; and what every answer gets:
security headers, a line in the log, a place in the metrics, and 500 for what nobody else caught."""

import asyncio
import itertools
import logging
import re
import secrets
import time
from collections.abc import Collection, Iterable
from urllib.parse import unquote_to_bytes, urlsplit

from starlette.datastructures import Headers
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.api.access import ANSWER_HEADERS
from service.api.errors import internal_problem, problem
from service.api.refusals import Refusals
from service.errors import BadInput, BodyTooLarge, CallerLeft, NotAllowed, Overloaded, ReappearError, SlowBody
from service.flows.admission import Admission, Lane
from service.telemetry import Telemetry, request_id

log = logging.getLogger(__name__)

REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
CLOSED = "the handler is closed"  # what uvloop says of a connection before the server has heard that it is lost
WORK = {  # what goes through admission
    ("POST", "/query"): Lane.QUERY, ("POST", "/embed"): Lane.QUERY, ("POST", "/compare"): Lane.QUERY,
    ("POST", "/gallery"): Lane.BULK,
}  # fmt: skip
FORWARDED = {b"forwarded", b"via", b"x-forwarded-for", b"x-forwarded-host", b"x-forwarded-proto", b"x-real-ip"}
READS = ("GET", "OPTIONS")
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
DRAIN_FACTOR = (
    4  # a body over its limit is read and dropped up to this many limits, so that its sender hears the answer
)


class Guard:
    """ASGI middleware; one for the whole service."""

    def __init__(
        self, app: ASGIApp, *, telemetry: Telemetry, allowed_hosts: set[str] | None,
        allowed_origins: Collection[str], asks_for_keys: bool, max_body_bytes: int, max_bodies_bytes: int,
        body_timeout_s: float, paths_by_any_host: Collection[str] = (),
    ) -> None:  # fmt: skip
        """`allowed_hosts` are the names this service may be called by, but for `paths_by_any_host`; None where any may
        be used. Pages of `allowed_origins` may call it from other sites."""
        self._app = app
        self._telemetry = telemetry
        self._allowed_hosts = allowed_hosts
        self._paths_by_any_host = paths_by_any_host
        self._allowed_origins = allowed_origins
        self._asks_for_keys = asks_for_keys
        self._max_body_bytes = max_body_bytes
        self._max_bodies_bytes = max_bodies_bytes
        self.body_timeout_s = body_timeout_s
        self._bodies_bytes = 0
        self.refusals = Refusals(telemetry, SECURITY_HEADERS)
        self._run_id, self._numbers = secrets.token_hex(4), itertools.count()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request through, or answer it here."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        if scope["method"] == "HEAD":
            scope = {**scope, "method": "GET"}  # the server, which keeps the scope it gave, leaves the body out
        headers = Headers(scope=scope)
        given = headers.get("x-request-id", "")
        known_as = given if REQUEST_ID.fullmatch(given) else f"{self._run_id}{next(self._numbers):08x}"
        lane, admission = WORK.get((scope["method"], scope["path"])), _admission_of(scope)
        if lane is not None and admission is not None and admission.is_full(lane):
            await self.refusals.answer(send, known_as, scope["method"], scope["path"])
            return  # before the body is read, routed and parsed: in a flood that would cost more than the work itself
        token = request_id.set(known_as)
        exchange = _Exchange(self, receive, send, lane, admission)
        started = time.perf_counter()
        try:
            await self._run(scope, headers, exchange)
        finally:
            self._bodies_bytes -= exchange.body_bytes
            exchange.leave()
            self._account(scope, exchange, time.perf_counter() - started)
            request_id.reset(token)

    async def _run(self, scope: Scope, headers: Headers, exchange: "_Exchange") -> None:
        try:
            scope[ANSWER_HEADERS] = exchange.headers
            self._check(scope, headers)
            await exchange.check_length(headers)
            await self._app(scope, exchange.receive, exchange.send)
        except ReappearError as error:
            await problem(error)(scope, exchange.receive, exchange.send)
        except ClientDisconnect:  # in the middle of its body: no failure of ours
            await problem(CallerLeft("the client closed the connection"))(scope, exchange.receive, exchange.send)
        except Exception:
            log.exception("a request failed")
            if exchange.status:
                raise  # half an answer is out: cut the connection, so that nobody takes it for a whole one
            await internal_problem()(scope, exchange.receive, exchange.send)

    def _check(self, scope: Scope, headers: Headers) -> None:
        if b"%2f" in scope.get("raw_path", b"").lower():
            raise BadInput("an encoded slash is not allowed in a path: ids have none")
        try:
            unquote_to_bytes(scope.get("raw_path", b"") + scope["query_string"]).decode()
        except UnicodeDecodeError as error:
            raise BadInput("the address is not UTF-8") from error
        if not self._asks_for_keys and not FORWARDED.isdisjoint([name for name, _ in scope["headers"]]):
            raise NotAllowed(
                "this came through a proxy, and no key is asked for on loopback: set REAPPEAR_AUTH=on and "
                "REAPPEAR_ADMIN_KEY_FILE where others can reach the proxy"
            )
        host = headers.get("host", "")
        is_named = self._allowed_hosts is None or _host_name(host) in self._allowed_hosts
        if not is_named and scope["path"] not in self._paths_by_any_host:
            raise NotAllowed(
                f"this service does not answer to the host name {host!r}; REAPPEAR_ALLOWED_HOSTS adds names"
            )
        if scope["method"] in READS or headers.get("origin", "").lower() in self._allowed_origins:
            return
        origin, site = headers.get("origin"), headers.get("sec-fetch-site", "same-origin")
        if (origin and origin.partition("://")[2] != host) or site not in ("same-origin", "none"):
            raise NotAllowed("requests from pages of other sites are refused")

    def take(self, exchange: "_Exchange", size: int) -> None:
        """Count body bytes as they come. Raises BodyTooLarge or Overloaded."""
        exchange.body_bytes += size
        self._bodies_bytes += size
        if exchange.body_bytes > self._max_body_bytes:
            raise self.too_large()
        if self._bodies_bytes > self._max_bodies_bytes and self._bodies_bytes > exchange.body_bytes:
            raise Overloaded("too many request bodies are on their way; send the request again later")

    def too_large(self) -> BodyTooLarge:
        """The error for a body over its limit."""
        return BodyTooLarge(
            f"the body is over {self._max_body_bytes:,} bytes; send fewer or smaller pictures a request"
        )

    @property
    def max_body_bytes(self) -> int:
        """The limit of one body."""
        return self._max_body_bytes

    def _account(self, scope: Scope, exchange: "_Exchange", seconds: float) -> None:
        route = getattr(scope.get("route"), "path", "none")  # never the path itself: it names people
        self._telemetry.observe_request(scope["method"], route, exchange.status, seconds)
        if exchange.status >= 400:
            self._telemetry.observe_refusal(exchange.status)
        self._telemetry.requests.note(scope["method"], route, exchange.status, seconds)


class _Exchange:
    """One request's body, counted, and its answer, with the headers every answer has."""

    def __init__(
        self, guard: Guard, receive: Receive, send: Send, lane: Lane | None, admission: Admission | None
    ) -> None:
        self._guard = guard
        self._lane = lane
        self._admission = admission
        self._came = False
        self._receive = receive
        self._send = send
        self._deadline = asyncio.get_running_loop().time() + guard.body_timeout_s
        self._whole = False
        self.body_bytes = 0
        self.status = 0
        self.headers: dict[str, str] = {}  # of the answer, beside those that every answer has

    def leave(self) -> None:
        """The request is answered."""
        if self._came and self._lane is not None and self._admission is not None:
            self._admission.go(self._lane)
            self._guard.refusals.served()

    def _come(self) -> None:
        """Not before the body is whole: who sends slowly must not take a place from those who wait."""
        if self._lane is not None and self._admission is not None and not self._came:
            self._admission.come(self._lane)
            self._came = True

    async def check_length(self, headers: Headers) -> None:
        """Refuse a body that says itself that it is too large, before any of it is kept."""
        length = headers.get("content-length", "0")
        if not (length.isascii() and length.isdigit()) or int(length) <= self._guard.max_body_bytes:
            return
        if headers.get("expect", "").lower() == "100-continue":  # who asks first has not sent it
            self.headers["Connection"] = "close"
        else:
            await self._drain()
        raise self._guard.too_large()

    async def receive(self) -> Message:
        message = await self._next()
        if message["type"] == "http.request":
            try:
                self._guard.take(self, len(message.get("body", b"")))
            except BodyTooLarge:
                if message.get("more_body"):  # after the last of it nothing comes any more
                    await self._drain()
                raise
            if not message.get("more_body"):
                self._come()
        return message

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
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
                f"the body did not arrive in {self._guard.body_timeout_s:g} seconds; send less at once, "
                "or over a faster connection"
            ) from error
        self._whole = not message.get("more_body", False)
        return message

    async def _drain(self) -> None:
        dropped = 0
        while dropped < DRAIN_FACTOR * self._guard.max_body_bytes:
            message = await self._next()
            dropped += len(message.get("body", b""))
            if message["type"] != "http.request" or not message.get("more_body"):
                return


def _admission_of(scope: Scope) -> Admission | None:
    """None until the service has its parts."""
    return getattr(scope.get("state", {}).get("parts"), "admission", None)


def _host_name(host: str) -> str:
    """The name in a Host header, without the port."""
    try:
        return urlsplit(f"//{host}").hostname or ""
    except ValueError:  # brackets that hold no IPv6 address
        return ""
