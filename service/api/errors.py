"""Errors as HTTP, here and nowhere else: what is not a success answers {"error": CODE, "detail": what to do}."""

import logging
from http import HTTPStatus

import orjson
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from pydantic import ValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response

from service import errors
from service.telemetry import request_id

log = logging.getLogger(__name__)

MAX_PROBLEMS = 5  # named in one detail, which people must be able to read
MAX_WHERE_CHARS = 128

STATUS: dict[type[errors.ReappearError], int] = {
    errors.BadInput: 422,
    errors.UnsupportedFormat: 415,
    errors.PictureTooLarge: 413,
    errors.BodyTooLarge: 413,
    errors.SlowBody: 408,
    errors.UnsupportedBody: 415,
    errors.CallerLeft: 499,
    errors.Unauthorised: 401,
    errors.NotAllowed: 403,
    errors.TooManyRequests: 429,
    errors.NotFound: 404,
    errors.Conflict: 409,
    errors.Unavailable: 503,
}


def answer_errors(app: FastAPI) -> None:
    """Register the handlers. What none of them knows is answered by the guard, with 500."""

    @app.exception_handler(errors.ReappearError)
    async def _ours(request: Request, error: errors.ReappearError) -> Response:
        return problem(error)

    @app.exception_handler(RequestValidationError)
    async def _invalid(request: Request, error: RequestValidationError) -> Response:
        return problem(errors.BadInput(explain(error)))

    @app.exception_handler(HTTPException)
    async def _http(request: Request, error: HTTPException) -> Response:
        detail, headers = str(error.detail), dict(error.headers or {})
        if error.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
            headers["Allow"] = _allowed(request) or headers.get("Allow", "")
            detail = f"{request.method} is not for this route; it takes {headers['Allow']}"
        if error.status_code == HTTPStatus.NOT_FOUND:
            detail = "there is no such route; /docs lists them all, where it is served"
        return answer(error.status_code, HTTPStatus(error.status_code).name, detail, headers)


def problem(error: errors.ReappearError) -> Response:
    """An error as its response."""
    status = next((STATUS[kind] for kind in type(error).__mro__ if kind in STATUS), 500)
    headers = {}
    if isinstance(error, errors.Unavailable):
        headers["Retry-After"] = str(error.retry_after_s)
    if isinstance(error, errors.SlowBody):
        headers["Connection"] = "close"  # else the rest of the body would hold the connection
    if isinstance(error, errors.Unauthorised):
        headers["WWW-Authenticate"] = "Bearer"
    return answer(status, error.error_code, error.detail, headers)


def internal_problem() -> Response:
    """What an unexpected failure answers; the log has the rest under the same id."""
    detail = f"something failed inside the service; its log has the cause under request id {request_id.get()}"
    return answer(500, "INTERNAL", detail, {})


def explain(error: RequestValidationError | ValidationError) -> str:
    """The first problems of a validation in one line. Inputs are never echoed: they may not be valid JSON."""
    found = error.errors()
    problems = []
    for one in found[:MAX_PROBLEMS]:
        where = ".".join(str(part) for part in one["loc"] if part not in ("body", "query", "path"))[:MAX_WHERE_CHARS]
        problems.append(f"{where}: {one['msg']}" if where else str(one["msg"]))
    if len(found) > MAX_PROBLEMS:
        problems.append(f"and {len(found) - MAX_PROBLEMS} more")
    return "; ".join(problems)


def _allowed(request: Request) -> str:
    """Every method of a path; Starlette names those of its first route alone."""
    path = getattr(request.scope.get("route"), "path", "")
    return ", ".join(method.upper() for method in request.app.openapi()["paths"].get(path, {}))


def answer(status: int, code: str, detail: str, headers: dict[str, str]) -> Response:
    """The response of an error."""
    content = orjson.dumps({"error": code, "detail": detail})
    return Response(content, status_code=status, headers=headers, media_type="application/json")
