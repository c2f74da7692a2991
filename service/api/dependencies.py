"""What routes take from the running service, and the cursor of a page."""

import base64
import binascii
from collections import Counter
from typing import Annotated, Any

from fastapi import Depends, Query, Request

from service.api.fields import CollectionName
from service.errors import BadInput
from service.telemetry import Stopwatch, Telemetry

MAX_PAGE = 500


async def known_query(request: Request) -> None:
    """Raises BadInput for a query parameter that the OpenAPI document does not name: it may be misspelt; and for one
    that is there twice: which of them is meant?"""
    if not request.query_params:
        return
    path = request.app.openapi()["paths"].get(request.scope["route"].path, {})
    parameters = path.get(request.method.lower(), {}).get("parameters", [])
    known = {one["name"]: one["schema"] for one in parameters if one["in"] == "query"}
    unknown = sorted(set(request.query_params) - known.keys())
    if unknown:
        allowed = ", ".join(sorted(known)) or "none"
        some = ", ".join(name[:64] for name in unknown[:5])
        raise BadInput(f"unknown query parameters: {some}; known are: {allowed}")
    counted = Counter(name for name, _ in request.query_params.multi_items())
    repeated = sorted(name for name, count in counted.items() if count > 1 and not _takes_many(known[name]))
    if repeated:
        raise BadInput(f"query parameters that are there more than once: {', '.join(repeated)}; send each once")


def _takes_many(schema: dict[str, Any]) -> bool:
    return schema.get("type") == "array" or any(map(_takes_many, schema.get("anyOf", ())))


async def stopwatch(request: Request) -> Stopwatch:
    """A stopwatch for the stages of this request."""
    telemetry: Telemetry = request.state.telemetry
    return Stopwatch(telemetry)


async def after_cursor(
    cursor: Annotated[str, Query(max_length=64, description="`next` of the page before.")] = "",
) -> int:
    """The row a page begins after. Raises BadInput for a cursor this service did not make."""
    try:
        after = int(base64.b64decode(cursor + "=" * (-len(cursor) % 4), b"-_", validate=True) or b"0")
    except (ValueError, binascii.Error) as error:
        raise BadInput("cursor is not one that this service gave; begin without one") from error
    if not 0 <= after < 2**63:
        raise BadInput("cursor is not one that this service gave; begin without one")
    return after


def cursor_after(row: int) -> str:
    """The cursor of the page that begins after a row."""
    return base64.urlsafe_b64encode(str(row).encode()).decode().rstrip("=")


Watch = Annotated[Stopwatch, Depends(stopwatch)]
After = Annotated[int, Depends(after_cursor)]
Limit = Annotated[int, Query(ge=1, le=MAX_PAGE, description="Entries on a page.")]
InCollection = Annotated[CollectionName, Query()]
