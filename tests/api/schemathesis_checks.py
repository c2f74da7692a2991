"""What Schemathesis demands of every answer beyond its own checks; it is told of this file by SCHEMATHESIS_HOOKS."""

import schemathesis
from schemathesis.specs.openapi.checks import content_type_conformance


@schemathesis.check
def refusals_keep_their_form(
    ctx: schemathesis.CheckContext, response: schemathesis.Response, case: schemathesis.Case
) -> None:
    """Any refusal says what to do, and a 503 when to come again; HEAD has no body."""
    if response.status_code == 503:
        assert response.headers.get("retry-after", [""])[0].isdigit(), "a 503 without Retry-After"
    if response.status_code >= 400 and case.method.upper() != "HEAD" and _is_ours(response):
        said = response.json()
        assert {"error", "detail"} <= said.keys(), said
        assert isinstance(said["error"], str), said
        assert said["detail"], said


@schemathesis.check
def documented_content_type(
    ctx: schemathesis.CheckContext, response: schemathesis.Response, case: schemathesis.Case
) -> None:
    """Schemathesis's own check, but for what never reaches the service."""
    if _is_ours(response):
        content_type_conformance(ctx, response, case)


def _is_ours(response: schemathesis.Response) -> bool:
    """What is no HTTP, or an address of tens of thousands of characters, is refused by the server below the service."""
    return response.content != b"Invalid HTTP request received."
