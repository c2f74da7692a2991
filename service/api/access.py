"""Who may do what: the key a request carries, its share of the minute, its scope and its collection. A route gets the
parts of the service only through here."""

import math
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Request
from limits import RateLimitItemPerMinute
from limits.storage import MemoryStorage
from limits.strategies import SlidingWindowCounterRateLimiter
from starlette.datastructures import Headers

from service.api.dependencies import known_query
from service.domain import Caller, Scope
from service.errors import BadInput, NotAllowed, TooManyRequests, Unauthorised
from service.flows.audit import caller as caller_id
from service.flows.keyring import KeyRing
from service.flows.parts import Parts
from service.flows.readiness import Readiness

ANSWER_HEADERS = "reappear.headers"  # in the ASGI scope: headers that the guard adds to the answer
RATE_LIMIT_HEADERS = ("RateLimit-Limit", "RateLimit-Remaining", "RateLimit-Reset")


class Throttle:
    """Counts the requests of each key over a sliding minute, reads and writes apart."""

    def __init__(self, *, reads_per_minute: int, writes_per_minute: int) -> None:
        """Shares of keys that have none of their own; 0 is as many as they like."""
        self._shares = {"reads": reads_per_minute, "writes": writes_per_minute}
        self._limiter = SlidingWindowCounterRateLimiter(MemoryStorage())

    def take(self, caller: Caller, kind: str, headers: dict[str, str]) -> None:
        """Count one of the `reads` or `writes`, and say in headers what is left. Raises TooManyRequests."""
        own = caller.reads_per_minute if kind == "reads" else caller.writes_per_minute
        share = self._shares[kind] if own is None else own
        if share == 0:
            return
        item = RateLimitItemPerMinute(share)
        allowed = self._limiter.hit(item, kind, caller.id)
        window = self._limiter.get_window_stats(item, kind, caller.id)
        reset_s = max(1, math.ceil(window.reset_time - time.time()))
        told = (share, window.remaining if allowed else 0, reset_s)
        headers.update(zip(RATE_LIMIT_HEADERS, map(str, told), strict=True))
        if not allowed:
            headers["Retry-After"] = str(reset_s)
            raise TooManyRequests(f"this key may send {share} {kind} a minute; wait, or ask for a larger share")


@dataclass(frozen=True, slots=True)
class Access:
    """A request that may go on, and whose it is."""

    _parts: Parts
    caller: Caller

    @property
    def parts(self) -> Parts:
        """The parts, directly only for what touches no collection. Raises Unauthorised where the key has gone."""
        self._parts.keys.check(self.caller)
        return self._parts

    def to(self, collection: str) -> Parts:
        """The parts, for work in one collection. Raises NotAllowed where the key is for another, or Unauthorised."""
        if not self.sees(collection):
            raise NotAllowed(f"this key is for the collection {self.caller.collection!r} only")
        return self.parts

    def to_all(self) -> Parts:
        """The parts, for what concerns all collections. Raises NotAllowed for a key of one, or Unauthorised."""
        _check_for_all(self.caller)
        return self.parts

    def sees(self, collection: str) -> bool:
        """Whether the key may see a collection."""
        return self.caller.collection in (None, collection)


async def known_caller(request: Request) -> Caller:
    """The holder of the request's key. Raises Unauthorised, before anything else is looked at."""
    ring: KeyRing = request.state.parts.keys
    found = ring.identify(_token(request.headers))
    caller_id.set(found.id)
    return found


def permitted(scope: Scope, *, everywhere: bool = False) -> Callable[..., Awaitable[Caller]]:
    """A dependency that counts a request and raises TooManyRequests, or NotAllowed for a key of a lesser scope, or of
    one collection where it must be for all, or BadInput for an unknown query parameter, in this order."""

    async def check(request: Request, caller: Annotated[Caller, Depends(known_caller)]) -> Caller:
        await _permit(request, caller, scope, everywhere=everywhere)
        return caller

    return check


async def let_in(request: Request, scope: Scope) -> Access:
    """What the dependencies of a route do, in the same order, for the route that does without their machinery."""
    caller = await known_caller(request)
    await _permit(request, caller, scope)
    return _access(request, caller)


def _needs(scope: Scope) -> Callable[..., Awaitable[Access]]:
    async def check(request: Request, caller: Annotated[Caller, Depends(permitted(scope))]) -> Access:
        return _access(request, caller)

    return check


async def _permit(request: Request, caller: Caller, scope: Scope, *, everywhere: bool = False) -> None:
    throttle: Throttle = request.state.throttle
    kind = "reads" if scope is Scope.READ or request.method == "GET" else "writes"
    throttle.take(caller, kind, request.scope[ANSWER_HEADERS])
    if not caller.scope.covers(scope):
        raise NotAllowed(f"this needs a key with the scope {scope.value!r}; this one has {caller.scope.value!r}")
    if everywhere:
        _check_for_all(caller)
    await known_query(request)


def _access(request: Request, caller: Caller) -> Access:
    readiness: Readiness = request.state.readiness
    readiness.check()
    return Access(request.state.parts, caller)


def _check_for_all(caller: Caller) -> None:
    if caller.collection is not None:
        raise NotAllowed(f"this key is for the collection {caller.collection!r}; this needs one for all")


def _token(headers: Headers) -> str | None:
    given = headers.get("authorization")
    key = headers.get("x-api-key")
    if given is None:
        return key
    kind, _, token = given.partition(" ")
    token = token.strip()
    if kind.lower() != "bearer" and key is not None:
        return key  # the other is for a proxy on the way
    if kind.lower() != "bearer" or not token:
        raise Unauthorised("send a key: `Authorization: Bearer KEY` or `X-API-Key: KEY`")
    if key is not None and key != token:
        raise BadInput("send one key: `Authorization: Bearer KEY` or `X-API-Key: KEY`")
    return token


Reads = Annotated[Access, Depends(_needs(Scope.READ))]
Writes = Annotated[Access, Depends(_needs(Scope.WRITE))]
Administers = Annotated[Access, Depends(_needs(Scope.ADMIN))]
