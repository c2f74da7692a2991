"""One route past the framework, whose routing, solving of dependencies and validation of answers take time of every
query. The route stands in the framework as well, which documents it."""

from collections.abc import Awaitable, Callable

from fastapi import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

Endpoint = Callable[[Request], Awaitable[Response]]


class Shortcut:
    """ASGI middleware that answers POST to one path itself. It stands inside the guard, which answers errors."""

    def __init__(self, app: ASGIApp, *, api: ASGIApp, path: str, endpoint: Endpoint) -> None:
        """`api` is the application as requests know it."""
        self._app = app
        self._api = api
        self.path = path  # as a route has it, which names the request in metrics and log
        self._endpoint = endpoint

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, or pass on."""
        if scope["type"] != "http" or scope["path"] != self.path or scope["method"] != "POST":
            await self._app(scope, receive, send)
            return
        scope["app"], scope["route"] = self._api, self
        response = await self._endpoint(Request(scope, receive, send))
        await response(scope, receive, send)
