"""What every request passes first: its id, who may send it, how large its body may be; and what every answer gets:
security headers, a line in the log, a place in the metrics, and 500 for what nobody else caught."""

import asyncio
import itertools
import logging
import re
import secrets
import time
from collections.abc import Collection
from contextlib import suppress
from urllib.parse import unquote_to_bytes, urlsplit

from starlette.datastructures import Headers
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Receive, Scope, Send

from service.api.access import ANSWER_HEADERS
from service.api.errors import internal_problem, problem
from service.api.exchange import SECURITY_HEADERS, Bodies, Exchange
from service.api.refusals import Refusals
from service.errors import (
    BadInput,
    CallerLeft,
    NotAllowed,
    OutcomeUnknown,
    ReappearError,
    Stopping,
)
from service.flows.admission import Admission, Lane
from service.telemetry import Telemetry, request_id

log = logging.getLogger(__name__)

REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
WORK = {  # what goes through admission
    ("POST", "/query"): Lane.QUERY, ("POST", "/embed"): Lane.QUERY, ("POST", "/compare"): Lane.QUERY,
    ("POST", "/gallery"): Lane.BULK,
}  # fmt: skip
FORWARDED = {b"forwarded", b"via", b"x-forwarded-for", b"x-forwarded-host", b"x-forwarded-proto", b"x-real-ip"}
READS = ("GET", "OPTIONS")


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
        self._bodies = Bodies(max_body_bytes, max_bodies_bytes, body_timeout_s)
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
        exchange = Exchange(self._bodies, receive, send, lane, admission, closes=_closes(scope, headers))
        if lane is not None and admission is not None and admission.is_full(lane):
            with suppress(asyncio.CancelledError):  # a stop does not wait, and it is refused all the same
                await exchange.hear_out()
            await self.refusals.answer(send, known_as, scope["method"], scope["path"])
            return  # before the body is kept, routed and parsed: in a flood that would cost more than the work itself
        token = request_id.set(known_as)
        started = time.perf_counter()
        try:
            await self._run(scope, headers, exchange)
        finally:
            if exchange.leave():
                self.refusals.served()
            self._account(scope, exchange, time.perf_counter() - started)
            request_id.reset(token)

    async def _run(self, scope: Scope, headers: Headers, exchange: Exchange) -> None:
        try:
            scope[ANSWER_HEADERS] = exchange.headers
            self._check(scope, headers)
            await exchange.check_length(headers)
            await self._app(scope, exchange.receive, exchange.send)
        except ReappearError as error:
            await problem(error)(scope, exchange.receive, exchange.send)
        except ClientDisconnect:  # in the middle of its body: no failure of ours
            await problem(CallerLeft("the client closed the connection"))(scope, exchange.receive, exchange.send)
        except asyncio.CancelledError:
            if exchange.status:
                raise
            exchange.ends_now()
            await problem(self._cut_off(scope))(scope, exchange.receive, exchange.send)
        except Exception:
            log.exception("a request failed")
            if exchange.status:
                raise  # half an answer is out: cut the connection, so that nobody takes it for a whole one
            await internal_problem()(scope, exchange.receive, exchange.send)

    @staticmethod
    def _cut_off(scope: Scope) -> ReappearError:
        """What is said to those whom a stop does not wait for any longer."""
        if scope["method"] in READS or WORK.get((scope["method"], scope["path"])) is Lane.QUERY:
            return Stopping("the service is shutting down; send the request again in a few seconds")
        return OutcomeUnknown("the service is shutting down, and did not wait for the end of this; look what was kept")

    def _check(self, scope: Scope, headers: Headers) -> None:
        if len(headers.getlist("host")) > 1:
            raise BadInput("the request has more than one Host header; send one")
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

    def _account(self, scope: Scope, exchange: Exchange, seconds: float) -> None:
        route = getattr(scope.get("route"), "path", "none")  # never the path itself: it names people
        self._telemetry.observe_request(scope["method"], route, exchange.status, seconds)
        if exchange.status >= 400:
            self._telemetry.observe_refusal(exchange.status)
        self._telemetry.requests.note(scope["method"], route, exchange.status, seconds)


def _closes(scope: Scope, headers: Headers) -> bool:
    """Whether the connection ends with the answer; not where the client waits to be told to send its body."""
    closes = scope.get("http_version") == "1.0" or "close" in headers.get("connection", "").lower()
    return closes and "expect" not in headers


def _admission_of(scope: Scope) -> Admission | None:
    """None until the service has its parts."""
    return getattr(scope.get("state", {}).get("parts"), "admission", None)


def _host_name(host: str) -> str:
    """The name in a Host header, without the port."""
    try:
        return urlsplit(f"//{host}").hostname or ""
    except ValueError:  # brackets that hold no IPv6 address
        return ""
