"""The answer to a request for which there is no room. In a flood most answers are this one, so it costs as little as an
answer can: it is made once, and the log has one line a second instead of one a request. Clients that ask again at once,
whatever Retry-After says, would still take the time of those who are served: where far more are refused than served,
refusals are held for a moment (docs/decisions/0032-refusals-are-held.md)."""

import asyncio
import logging
from contextlib import suppress

from starlette.types import Send

from service.api.errors import problem
from service.errors import Overloaded
from service.flows.admission import FULL
from service.telemetry import Telemetry

log = logging.getLogger(__name__)

LOG_EVERY_S = 1.0
EACH = 8  # refusals at once for each request that is served; the others are held
MOST = 25 * EACH  # that may be saved up
HELD_S = 0.04


class Refusals:
    """Answers 503 with Retry-After, and counts."""

    def __init__(self, telemetry: Telemetry, headers: dict[str, str]) -> None:
        """`headers` are those that every answer has."""
        answer = problem(Overloaded(FULL))
        self._status, self._body = answer.status_code, answer.body
        self._headers = [
            *answer.raw_headers,
            *((name.lower().encode(), value.encode()) for name, value in headers.items()),
        ]
        self._telemetry = telemetry
        self._untold = 0
        self._at_once = MOST

    def served(self) -> None:
        """A request found a place, and has left."""
        self._at_once = min(self._at_once + EACH, MOST)

    async def answer(self, send: Send, request_id: str, method: str, path: str) -> None:
        """Refuse one request; what may still be on its way of its body is dropped by the server."""
        held = HELD_S if self._at_once == 0 else 0.0
        self._at_once = max(self._at_once - 1, 0)
        self._telemetry.observe_request(method, path, self._status, held)
        self._telemetry.observe_refusal(self._status)
        if not self._untold:
            asyncio.get_running_loop().call_later(LOG_EVERY_S, self._tell)
        self._untold += 1
        if held:
            with suppress(asyncio.CancelledError):  # by a stop, which does not wait
                await asyncio.sleep(held)
        headers = [*self._headers, (b"x-request-id", request_id.encode())]
        await send({"type": "http.response.start", "status": self._status, "headers": headers})
        await send({"type": "http.response.body", "body": self._body})

    def _tell(self) -> None:
        log.warning("overloaded", extra={"refused": self._untold, "seconds": LOG_EVERY_S})
        self._untold = 0
