"""Headers that let pages of named origins read answers, also those that the guard gives before a request reaches the
application: what answers preflights is within the guard, what adds headers to all else is around it."""

from http import HTTPStatus

from starlette.datastructures import Headers
from starlette.middleware.cors import CORSMiddleware
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from service.api.errors import answer


class Preflights(CORSMiddleware):
    """Answers preflights, and leaves all else as it is."""

    async def simple_response(self, scope: Scope, receive: Receive, send: Send, request_headers: Headers) -> None:
        """Add nothing."""
        del request_headers
        await self.app(scope, receive, send)

    def preflight_response(self, request_headers: Headers) -> Response:
        """In the words of this service where it is refused."""
        response = super().preflight_response(request_headers)
        if response.status_code < HTTPStatus.BAD_REQUEST:
            return response
        detail = bytes(response.body).decode()
        if "origin" in detail:
            detail += "; REAPPEAR_CORS_ORIGINS names the origins whose pages may call this service"
        kept = {name: value for name, value in response.headers.items() if not name.startswith("content-")}
        return answer(response.status_code, "NOT_ALLOWED", detail, kept)


class CrossOrigin(CORSMiddleware):
    """Adds to all answers but those of preflights what lets a page read them."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request through."""
        if scope["type"] == "http" and "access-control-request-method" in Headers(scope=scope):
            await self.app(scope, receive, send)
        else:
            await super().__call__(scope, receive, send)
